// The pictures of the README: the wall green and with the member database dead, from the live demo.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.env.TOPOWATCH_PROFILE ??= 'release';
const { openPage, startBrowser, startDemo, until } = await import('./demo.mjs');

const out = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docs', 'images');
const SIZES = { wall: { width: 1920, height: 1080 }, phone: { width: 390, height: 844 } };

mkdirSync(out, { recursive: true });
const demo = await startDemo();
const browser = await startBrowser();

async function take(state, settled) {
  for (const [shape, viewport] of Object.entries(SIZES)) {
    for (const theme of ['dark', 'light']) {
      for (const lang of ['en', 'zh']) {
        if (lang === 'zh' && (shape === 'phone' || theme === 'light')) continue;
        const { page, close } = await openPage(browser, `${demo.url}/?theme=${theme}&lang=${lang}`, { viewport });
        await until('the picture', () => settled(page));
        // The lit path draws itself for 600 ms and the ring fades for two seconds: the picture is what stays.
        await page.waitForTimeout(3000);
        const name = `${shape}-${state}-${theme}${lang === 'zh' ? '-zh' : ''}.png`;
        await page.screenshot({ path: join(out, name) });
        console.log(name);
        await close();
      }
    }
  }
}

const attribute = (page, name, key) => page.locator(`a.card[href^="/nodes/${name}"]`).first().getAttribute(key);
try {
  await demo.green();
  await take('green', async (page) => (await page.locator('[data-level="red"]').count()) === 0);

  const pid = demo.pidOf('miniapp-server-3');
  process.kill(pid, 'SIGSTOP');
  await take('hung', async (page) => (await attribute(page, 'miniapp-server', 'data-level')) === 'yellow');
  process.kill(pid, 'SIGCONT');
  await demo.green();

  process.kill(demo.pidOf('member-db-1'), 'SIGKILL');
  await until('the outage', async () => (await demo.json('/api/v1/incidents?state=open')).incidents[0]?.affected.length >= 3);
  await take('member-db', async (page) => (await attribute(page, 'gateway', 'data-level')) === 'red');
} finally {
  await browser.close();
  await demo.stop();
}
