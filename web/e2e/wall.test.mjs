// The wall on the live demo: what a person sees, and that it comes without a reload.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startBrowser, startDemo, until } from './demo.mjs';

let demo;
let browser;

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), startBrowser()]);
  await demo.green();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

const card = (page, name) => page.locator(`a.card[href^="/nodes/${name}"]`).first();
const level = (page, name) => card(page, name).getAttribute('data-level');
const title = (page) => page.locator('#title').textContent();

test('a hung server turns its cell red and the header says so, without a reload', async () => {
  const { page, wrong, close } = await openPage(browser, demo.url);
  await until('the green sentence', async () => /components are healthy/.test(await title(page)));
  await page.evaluate(() => { window.theSamePage = true; });
  const redCells = () => card(page, 'miniapp-server').locator('.cells .r, .cells .x').count();
  assert.equal(await redCells(), 0);

  const pid = demo.pidOf('miniapp-server-3');
  process.kill(pid, 'SIGSTOP');
  try {
    await until('the yellow card', async () => (await level(page, 'miniapp-server')) === 'yellow');
    assert.match(await title(page), /1 of 4 .*hung/);
    assert.match(await page.locator('.strip').first().textContent(), /miniapp-server-3/);
    assert.equal(await redCells(), 1);
    assert.equal(await level(page, 'gateway'), 'green');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await until('green again', async () => /components are healthy/.test(await title(page)));
  assert.equal(await page.evaluate(() => window.theSamePage), true);
  assert.deepEqual(wrong, []);
  await close();
});

test('a dead database is the one loud card, and what it broke says because of it', async () => {
  const { page, wrong, close } = await openPage(browser, `${demo.url}/?lang=en`);
  process.kill(demo.pidOf('member-db-1'), 'SIGKILL');
  await until('the root', async () => (await card(page, 'member-db').getAttribute('data-state')) === 'root');
  await until('the gateway', async () => (await level(page, 'gateway')) === 'red');
  // Beside it a busy machine may have made another slow for a moment.
  await until('the title', async () => /Member DB is down: \d others affected/.test(await title(page)));
  for (const name of ['member-service', 'miniapp-server', 'gateway']) {
    await until(`because of, on ${name}`, async () => /because of/.test(await card(page, name).textContent()));
  }
  assert.ok((await page.locator('svg.wires g[data-hop]').count()) >= 3, 'the path is lit');

  // The same picture comes from the server alone, and in Chinese.
  const still = await openPage(browser, `${demo.url}/?lang=zh`, { javaScriptEnabled: false });
  await until('the title in Chinese', async () => {
    await still.page.reload();
    return /会员数据库宕机，波及其余 \d 个组件/.test(await title(still.page));
  });
  await still.close();

  // Taken on by a plain form, without script.
  const href = await page.locator('.strip a[href^="/incidents/"]').first().getAttribute('href');
  const form = await openPage(browser, demo.url + href, { javaScriptEnabled: false });
  await form.page.locator('form:has(button[value=acknowledge]) input[name=by]').fill('wang');
  await form.page.locator('button[value=acknowledge]').click();
  await form.page.waitForLoadState();
  assert.match(await form.page.locator('header').textContent(), /Acknowledged by wang/);
  assert.deepEqual(form.wrong, []);
  await form.close();

  demo.repair();
  await until('green again', async () => /components are healthy/.test(await title(page)));
  assert.deepEqual(wrong, []);
  await close();
});

test('nothing is cut off or overlaps, on the wall and on a phone', async () => {
  for (const [width, height] of [[1920, 1080], [390, 844], [320, 640]]) {
    const { page, wrong, close } = await openPage(browser, demo.url, { viewport: { width, height } });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `${width}: ${overflow} px too wide`);
    assert.deepEqual(wrong, []);
    await close();
  }
});

test('the arrow keys walk the cards and Enter opens the node', async () => {
  const { page, wrong, close } = await openPage(browser, demo.url);
  await until('the green sentence', async () => /components are healthy/.test(await title(page)));
  await card(page, 'gateway').focus();
  await page.keyboard.press('ArrowRight');
  const focused = await page.evaluate(() => document.activeElement?.getAttribute('href') ?? '');
  assert.match(focused, /^\/nodes\//);
  assert.doesNotMatch(focused, /gateway/);
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/nodes\//);
  assert.deepEqual(wrong, []);
  await close();
});

test('a page that loses its server says that it is not live', async () => {
  const { page, close } = await openPage(browser, demo.url);
  await until('the green sentence', async () => /components are healthy/.test(await title(page)));
  const monitor = demo.monitorPid();
  process.kill(monitor, 'SIGSTOP');
  try {
    await until('the warning', async () => /not live/.test(await title(page)));
  } finally {
    process.kill(monitor, 'SIGCONT');
  }
  await until('the recovery', async () => /components are healthy/.test(await title(page)));
  await close();
});

test('a monitor that is killed and comes back finds its page waiting', async () => {
  const { page, close } = await openPage(browser, demo.url);
  await until('the green sentence', async () => /components are healthy/.test(await title(page)));
  const before = demo.monitorPid();
  process.kill(before, 'SIGKILL');
  await until('another monitor', () => demo.monitorPid() !== before);
  await until('a fresh page', async () => {
    try {
      const run = await page.evaluate(() => document.querySelector('#clock')?.dataset.state);
      return run === 'live' && /components are healthy/.test(await title(page));
    } catch {
      return false; // in the middle of a reload
    }
  });
  await close();
});
