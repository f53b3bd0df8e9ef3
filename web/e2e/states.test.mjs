// Every state of the wall, in a real browser: what it says, that it is whole without script, that nothing is cut
// off, that it asks nobody else, that axe finds nothing, and that it looks as the pictures in docs/images do.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import pixelmatch from 'pixelmatch';
import { PNG } from 'pngjs';
import { openPage, startBrowser, until } from './demo.mjs';
import { SHAPES, STATES, VIEWS, nameOf, settle } from './states.mjs';
import { startStage } from './stage.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const images = join(here, '..', '..', 'docs', 'images');
/** Pixels that may differ, as a share: letters are smoothed a little differently from machine to machine. */
const TOLERANCE = 0.004;

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

const title = (page) => page.locator('#title').textContent();
const WANTED = {
  green: { mood: 'green', says: /All 27 components are healthy/, roots: 0 },
  hung: { mood: 'yellow', says: /1 of 12 .* hung/, roots: 1 },
  'member-db': { mood: 'red', says: /Member database is down: 3 others affected/, roots: 1 },
  'two-roots': { mood: 'red', says: /Two independent faults/, roots: 2 },
  blind: { mood: 'blind', says: /This monitor is blind/, roots: 0 },
  starting: { mood: 'starting', says: /Looking for the first time/, roots: 0 },
  mixed: { mood: 'yellow', says: /hung/, roots: 2 },
  edge: { mood: 'red', says: /cannot reach/, roots: 0 },
  recovering: { mood: 'red', says: /answers again; 2 still recovering/, roots: 1 },
};

/** axe's own findings, with the markup they are about. */
async function violations(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ['violations'] })).violations);
  return found.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`);
}

for (const state of STATES) {
  test(`${state}: says what it must, in both themes and languages, on the wall and on a phone`, async () => {
    const stage = await startStage(state, { flags: ['--frozen'] });
    try {
      const wanted = WANTED[state];
      const look = async ({ shape, viewport, theme, lang }) => {
        const { page, wrong, close } = await openPage(browser, `${stage.url}/?theme=${theme}&lang=${lang}`, { viewport });
        await settle(page);
        assert.equal(await page.evaluate(() => document.body.dataset.mood), wanted.mood);
        if (lang === 'en') assert.match(await title(page), wanted.says);
        else assert.match(await title(page), /[一-鿿]/);
        assert.equal(await page.locator('.card[data-state="root"]').count(), wanted.roots);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(wide <= 0, `${shape} is ${wide} px too wide`);
        await compare(page, nameOf({ shape, state, theme, lang }));
        if (lang === 'en') assert.deepEqual(await violations(page), [], `${state} ${theme} ${shape}`);
        assert.deepEqual(wrong, []);
        await close();
      };
      for (const shape of Object.keys(SHAPES)) await Promise.all(VIEWS.filter((view) => view.shape === shape).map(look));
      // The same without script.
      const still = await openPage(browser, `${stage.url}/?lang=en`, { javaScriptEnabled: false });
      assert.match(await title(still.page), wanted.says);
      assert.equal(await still.page.locator('.card[data-state="root"]').count(), wanted.roots);
      assert.match(await still.page.content(), /http-equiv="refresh" content="10"/);
      await still.close();
    } finally {
      await stage.stop();
    }
  });
}

/** Without the clock, which moves. */
function blank({ width, height, data }, box) {
  for (let y = Math.floor(box.y); y < Math.min(height, box.y + box.height); y += 1) {
    for (let x = Math.floor(box.x); x < Math.min(width, box.x + box.width); x += 1) data.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3);
  }
}

/** Against the picture in docs/images, if there is one; without, the test says so. */
async function compare(page, name) {
  const path = join(images, name);
  assert.ok(existsSync(path), `there is no ${name}: make screenshots`);
  const taken = PNG.sync.read(await page.screenshot({ animations: 'disabled' }));
  const kept = PNG.sync.read(readFileSync(path));
  assert.deepEqual([taken.width, taken.height], [kept.width, kept.height], name);
  const clock = await page.locator('#clock').boundingBox();
  for (const picture of [taken, kept]) blank(picture, clock);
  const differing = new PNG({ width: taken.width, height: taken.height });
  const n = pixelmatch(taken.data, kept.data, differing.data, taken.width, taken.height, { threshold: 0.12 });
  const share = n / (taken.width * taken.height);
  if (share > TOLERANCE) {
    const out = join(here, 'differences');
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, name), PNG.sync.write(differing));
  }
  assert.ok(share <= TOLERANCE, `${name}: ${(share * 100).toFixed(2)} % of the pixels differ`);
}

test('the other pages: axe finds nothing, nothing is too wide, nobody else is asked', async () => {
  const stage = await startStage('member-db', { flags: ['--frozen'] });
  const paths = ['/table', '/nodes/member-service', '/nodes/member-db-1', '/nodes/gateway', '/nodes/member-db?range=7d', '/incidents/20261124-0407-1', '/history', '/embed', '/nowhere'];
  try {
    for (const path of paths) {
      for (const theme of ['dark', 'light']) {
        for (const viewport of [SHAPES.wall, SHAPES.phone]) {
          const { page, wrong, close } = await openPage(browser, `${stage.url}${path}${path.includes('?') ? '&' : '?'}theme=${theme}&lang=en`, { viewport });
          assert.deepEqual(await violations(page), [], `${path} ${theme} ${viewport.width}`);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          assert.ok(wide <= 0, `${path}: ${wide} px too wide at ${viewport.width}`);
          assert.deepEqual(wrong.filter((line) => !/404/.test(line)), [], path);
          await close();
        }
      }
    }
  } finally {
    await stage.stop();
  }
});

test('the ranges of a node and the days of the history are reached without script, and both can be printed', async () => {
  const stage = await startStage('member-db', { flags: ['--frozen'] });
  try {
    const { page, wrong, close } = await openPage(browser, `${stage.url}/nodes/member-db?lang=en`, { javaScriptEnabled: false });
    assert.ok((await page.locator('.charts polyline').count()) >= 3);
    await page.locator('.ranges a', { hasText: '7 d' }).click();
    await page.waitForURL(/range=7d/);
    assert.equal(await page.locator('.ranges a[aria-current]').textContent(), '7 d');
    assert.equal(await page.locator('.charts li').first().locator('polyline').count(), 2, 'a gap is a gap');
    await page.locator('nav a', { hasText: 'History' }).click();
    await page.locator('input[name=from]').fill('2026-11-23');
    await page.locator('input[name=to]').fill('2026-11-23');
    await page.locator('header button').click();
    await page.waitForURL(/from=2026-11-23/);
    assert.match(await page.locator('ol.told').textContent(), /RabbitMQ restarted/);
    await page.emulateMedia({ media: 'print' });
    assert.equal(await page.locator('header form').isVisible(), false);
    assert.deepEqual(wrong, []);
    await close();
  } finally {
    await stage.stop();
  }
});

test('at 200 % zoom and at 320 pixels the wall is a list', async () => {
  const stage = await startStage('member-db');
  try {
    for (const width of [960, 320]) {
      const { page, close } = await openPage(browser, `${stage.url}/?lang=en`, { viewport: { width, height: 540 } });
      const shown = await page.evaluate(() => ({
        wires: getComputedStyle(document.querySelector('.wires')).display,
        size: parseFloat(getComputedStyle(document.querySelector('.card')).fontSize),
        over: document.documentElement.scrollWidth - window.innerWidth,
      }));
      assert.deepEqual([shown.wires, shown.over <= 0], ['none', true], `${width}`);
      assert.ok(shown.size >= 14, `${shown.size} px`);
      await close();
    }
  } finally {
    await stage.stop();
  }
});

test('forced colours, more contrast and reduced motion', async () => {
  const stage = await startStage('green');
  try {
    const forced = await openPage(browser, `${stage.url}/?lang=en`, { forcedColors: 'active' });
    const cell = await forced.page.evaluate(() => getComputedStyle(document.querySelector('.cells i')).backgroundColor);
    assert.notEqual(cell, 'rgba(0, 0, 0, 0)', 'a cell keeps its colour');
    await forced.close();
    const still = await openPage(browser, `${stage.url}/?lang=en`, { reducedMotion: 'reduce' });
    await still.page.waitForTimeout(300);
    await stage.say('show member-db');
    await until('the mark', async () => (await still.page.locator('[data-changed^="changed 1"], [data-changed^="changed "]').count()) >= 4);
    assert.equal(await still.page.locator('.card.changed').count(), 0);
    assert.deepEqual(still.wrong, []);
    await still.close();
  } finally {
    await stage.stop();
  }
});

test('print keeps the cells and drops what moves', async () => {
  const stage = await startStage('member-db', { flags: ['--frozen'] });
  try {
    const { page, close } = await openPage(browser, `${stage.url}/?lang=en`);
    await page.emulateMedia({ media: 'print' });
    const shown = await page.evaluate(() => ({
      beat: getComputedStyle(document.querySelector('.beat')).display,
      ground: getComputedStyle(document.documentElement).backgroundColor,
      adjust: getComputedStyle(document.querySelector('.cells i')).printColorAdjust,
    }));
    assert.deepEqual(shown, { beat: 'none', ground: 'rgb(255, 255, 255)', adjust: 'exact' });
    await close();
  } finally {
    await stage.stop();
  }
});

test('the keyboard reaches everything', async () => {
  const stage = await startStage('two-roots');
  try {
    const { page, wrong, close } = await openPage(browser, `${stage.url}/?lang=en`);
    const focused = () => page.evaluate(() => document.activeElement?.id ?? '');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'skip');
    const to = await page.locator('#skip').getAttribute('href');
    assert.equal(await page.locator(to).getAttribute('data-state'), 'root');
    // The incidents, then one stop for the topology.
    await page.keyboard.press('Tab');
    assert.match(await page.evaluate(() => document.activeElement?.getAttribute('href') ?? ''), /^\/incidents\//);
    await page.keyboard.press('r');
    const first = await focused();
    await page.keyboard.press('r');
    const second = await focused();
    assert.notEqual(first, second);
    for (const id of [first, second]) assert.equal(await page.locator(`#${id}`).getAttribute('data-state'), 'root');
    assert.equal(await page.locator('.card[tabindex="0"]').count(), 1);
    assert.ok((await page.locator('.wires [data-near]').count()) >= 1, 'its wires are lit');
    await page.keyboard.press('u');
    assert.notEqual(await page.locator(`#${await focused()}`).getAttribute('data-level'), 'green');
    await page.keyboard.press('Home');
    const home = await focused();
    await page.keyboard.press('End');
    assert.notEqual(await focused(), home);
    // Search: a name, Enter, there.
    await page.keyboard.press('/');
    await page.locator('#q').fill('coupon red');
    await until('the result', async () => (await page.locator('#found li').count()) === 1);
    await page.keyboard.press('Enter');
    assert.match(await page.locator(`#${await focused()}`).getAttribute('title'), /Coupon Redis/);
    // Help, and the switch for single letters.
    await page.keyboard.press('?');
    await until('the help', () => page.locator('#help[open]').count());
    assert.deepEqual(await violations(page), []);
    await page.locator('#letters').uncheck();
    await page.keyboard.press('Escape');
    const before = await focused();
    await page.keyboard.press('r');
    assert.equal(await focused(), before, 'letters are off');
    assert.deepEqual(wrong, []);
    await close();
  } finally {
    await stage.stop();
  }
});

test('the fragment may be framed, the wall may not', async () => {
  const stage = await startStage('member-db');
  try {
    const policy = async (path) => (await fetch(stage.url + path)).headers.get('content-security-policy');
    assert.match(await policy('/embed'), /frame-ancestors \*/);
    assert.match(await policy('/'), /frame-ancestors 'none'/);
    for (const path of ['/topology.svg', '/badge.svg', '/badge/member-db.svg', '/badge/member-db-1.svg?lang=zh']) {
      const { page, wrong, close } = await openPage(browser, stage.url + path);
      assert.ok((await page.locator('svg > *').count()) >= 3, path);
      assert.deepEqual(wrong, [], path);
      await close();
    }
  } finally {
    await stage.stop();
  }
});
