// docs/images/: every state of the wall, large and small, dark and light, in both languages. The boards are made by
// hand and the clock stands still, so that two runs give the same pictures; the browser tests compare with them.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser, until } from './demo.mjs';
import { small } from './picture.mjs';
import { startStage } from './stage.mjs';
import { STATES, VIEWS, nameOf, settle } from './states.mjs';

const out = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docs', 'images');
const only = process.argv.slice(2);
mkdirSync(out, { recursive: true });
if (only.length === 0) for (const old of readdirSync(out)) rmSync(join(out, old));
const browser = await startBrowser();
let total = 0;

async function take(page, name) {
  const picture = small(await page.screenshot({ animations: 'disabled' }));
  total += picture.length;
  writeFileSync(join(out, name), picture);
  console.log(`${name} ${Math.round(picture.length / 1000)} kB`);
}

async function pages(url, state, shoot) {
  for (const { shape, viewport, theme, lang } of VIEWS) {
    const opened = await openPage(browser, `${url}theme=${theme}&lang=${lang}`, { viewport });
    await settle(opened.page);
    await shoot(opened, nameOf({ shape, state, theme, lang }));
  }
}

const wanted = (state) => only.length === 0 || only.includes(state);
try {
  for (const state of STATES.filter(wanted)) {
    const stage = await startStage(state, { flags: ['--frozen'] });
    await pages(`${stage.url}/?`, state, async ({ page, close }, name) => {
      await take(page, name);
      await close();
    });
    await stage.stop();
  }
  if (wanted('stale')) {
    // The server goes away under eight open pages.
    const stage = await startStage('member-db', { flags: ['--frozen'] });
    const open = [];
    await pages(`${stage.url}/?`, 'stale', async (opened, name) => open.push([opened, name]));
    await stage.stop('SIGKILL');
    for (const [{ page, close }, name] of open) {
      await until('the warning', () => page.evaluate(() => document.body.dataset.mood === 'old'));
      await take(page, name);
      await close();
    }
  }
  for (const [name, state, path] of [
    ['big', 'big-down', '/?'],
    ['huge', 'huge', '/?'],
    ['groups', 'groups', '/?'],
    ['incident', 'member-db', '/incidents/20261124-0407-1?'],
    ['node', 'member-db', '/nodes/member-service?'],
    ['node-week', 'member-db', '/nodes/member-db?range=7d&'],
    ['history', 'member-db', '/history?'],
    ['table', 'member-db', '/table?'],
  ].filter(([name]) => wanted(name))) {
    const stage = await startStage(state, { flags: ['--frozen'] });
    // The other walls are looked at large and dark only.
    const isWall = path === '/?';
    for (const { shape, viewport, theme, lang } of VIEWS) {
      if (lang !== 'en' || (isWall && (shape !== 'wall' || theme !== 'dark'))) continue;
      const { page, close } = await openPage(browser, `${stage.url}${path}theme=${theme}&lang=${lang}`, { viewport });
      await page.waitForTimeout(1000);
      await take(page, nameOf({ shape, state: name, theme, lang }));
      await close();
    }
    await stage.stop();
  }
  console.log(`${(total / 1e6).toFixed(1)} MB`);
} finally {
  await browser.close();
}
