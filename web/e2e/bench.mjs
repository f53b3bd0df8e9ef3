// What the wall costs the network and the browser, measured through the browser's own tracing; fails when a budget
// of docs/wall.md is broken. `make bench-web` runs it on release builds.
import { openPage, startBrowser, until } from './demo.mjs';
import { startStage } from './stage.mjs';

const browser = await startBrowser();
const broken = [];

function say(what, value, unit, budget) {
  const good = budget === undefined || value <= budget;
  if (!good) broken.push(what);
  const shown = Number.isInteger(value) ? value.toLocaleString('en') : value.toFixed(1);
  console.log(`${good ? '  ' : '! '}${what.padEnd(58)} ${`${shown} ${unit}`.padStart(12)}${budget === undefined ? '' : `   at most ${budget.toLocaleString('en')} ${unit}`}`);
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

/** Durations of the trace's events by name, in milliseconds, while `act` runs. */
async function traced(page, act) {
  const session = await browser.newBrowserCDPSession();
  const events = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  await session.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['devtools.timeline', 'disabled-by-default-devtools.timeline'] } });
  await act();
  await page.waitForTimeout(400);
  const done = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  await done;
  await session.detach();
  const of = (...names) => events.filter((event) => event.ph === 'X' && names.includes(event.name)).map((event) => event.dur / 1000);
  return { of, longest: (...names) => Math.max(0, ...of(...names)) };
}

/** The first paint over the wire: bytes as they came, and how deep the chain of requests is. */
async function firstPaint() {
  const stage = await startStage('member-db', { flags: ['--frozen'] });
  const context = await browser.newContext({ viewport: { width: 1920, height: 1080 } });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  const requests = new Map();
  session.on('Network.requestWillBeSent', (event) => requests.set(event.requestId, { url: event.request.url, by: event.initiator, bytes: 0 }));
  session.on('Network.loadingFinished', (event) => {
    const one = requests.get(event.requestId);
    if (one) one.bytes = event.encodedDataLength;
  });
  await page.goto(`${stage.url}/?lang=en`, { waitUntil: 'load' });
  await page.waitForTimeout(1000);
  const all = [...requests.values()].filter((one) => !one.url.includes('/api/v1/events'));
  for (const one of all) console.log(`     ${new URL(one.url).pathname.padEnd(48)} ${String(one.bytes).padStart(6)} bytes`);
  say('first paint, whole', all.reduce((sum, one) => sum + one.bytes, 0), 'bytes', 40_000);
  // The page is depth 1; whatever the parser or the page's own sheet names is depth 2.
  const depth = (one) => {
    const parent = all.find((other) => other.url === one.by?.url || other.url === one.by?.stack?.callFrames?.[0]?.url);
    return !parent || parent === one ? 1 : 1 + depth(parent);
  };
  const sheets = all.filter((one) => one.url.endsWith('cells.svg'));
  say('chain of requests', Math.max(...all.filter((one) => !sheets.includes(one)).map(depth)), 'deep', 2);
  await context.close();
  await stage.stop();
}

/** How large the changes are that a page gets. */
async function updates() {
  const stage = await startStage('green');
  const ask = async (since, run) => (await fetch(`${stage.url}/api/v1/changes-since?since=${since}&run=${run}&lang=en`)).text();
  const html = await (await fetch(`${stage.url}/?lang=en`)).text();
  const run = html.match(/data-run="([^"]+)"/)[1];
  const sequence = Number(html.match(/data-sequence="([^"]+)"/)[1]);
  await stage.say('flip order-redis-1');
  say('change of one node', Buffer.byteLength(await ask(sequence, run)), 'bytes', 1023);
  const next = Number(JSON.parse(await ask(sequence, run)).sequence);
  await stage.say('show member-db');
  say('an incident opens: four components, three wires', Buffer.byteLength(await ask(next, run)), 'bytes');
  await stage.stop();
}

/** A thousand cells at once, and one. */
async function cells() {
  const stage = await startStage('huge');
  const { page, close } = await openPage(browser, `${stage.url}/?lang=en`);
  await page.waitForTimeout(1500);
  const count = await page.locator('.cells i').count();
  const scripts = [];
  const styles = [];
  for (let i = 0; i < 5; i += 1) {
    const trace = await traced(page, async () => {
      await stage.say(i % 2 ? 'every green' : 'every red');
      await until('the colours', async () => (await page.locator(`.cells i.${i % 2 ? 'r' : 'g'}`).count()) === 0);
    });
    scripts.push(trace.longest('FireAnimationFrame'));
    styles.push(trace.longest('UpdateLayoutTree', 'RecalculateStyles') + trace.longest('Layout'));
  }
  say(`${count.toLocaleString('en')} cells at once, script`, median(scripts), 'ms', 16);
  say('  and style and layout', median(styles), 'ms');
  await close();
  await stage.stop();
}

async function huge() {
  const stage = await startStage('huge');
  const times = [];
  for (let i = 0; i < 3; i += 1) {
    const { page, close } = await openPage(browser, `${stage.url}/?lang=en`);
    await page.waitForTimeout(1500);
    times.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
    await close();
  }
  say('5,000 instances, first contentful paint', median(times), 'ms', 1000);
  await stage.stop();
}

/** From the board's change to the frame that shows it, over fifty changes. */
async function latency() {
  const stage = await startStage('green');
  const { page, close } = await openPage(browser, `${stage.url}/?lang=en`);
  await page.waitForTimeout(1000);
  // The time of the frame after the one in which the card changed.
  await page.evaluate(() => {
    window.shown = [];
    const card = document.querySelector('a.card[href^="/nodes/order-redis"]');
    new MutationObserver(() => {
      requestAnimationFrame(() => setTimeout(() => window.shown.push(performance.timeOrigin + performance.now())));
    }).observe(card, { attributeFilter: ['data-level'] });
  });
  const times = [];
  for (let i = 0; i < 50; i += 1) {
    // Changes come at any moment of the page's and the server's rhythm.
    await page.waitForTimeout(230 + ((i * 67) % 310));
    const told = await stage.say('flip order-redis-1');
    await page.waitForFunction((n) => window.shown.length > n, i, { polling: 20 });
    times.push((await page.evaluate((n) => window.shown[n], i)) - told);
  }
  say('from the board to the pixel, median of 50', median(times), 'ms', 150);
  say('  and the slowest', Math.max(...times), 'ms');
  await close();
  await stage.stop();
}

try {
  await firstPaint();
  await updates();
  await cells();
  await huge();
  await latency();
} finally {
  await browser.close();
}
if (broken.length > 0) {
  console.error(`over budget: ${broken.join('; ')}`);
  process.exitCode = 1;
}
