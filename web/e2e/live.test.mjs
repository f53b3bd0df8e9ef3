// The page stays current: behind nginx, over breaks and restarts, without a stream, and for a long time.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openPage, startBrowser, until } from './demo.mjs';
import { startStage } from './stage.mjs';

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

const mood = (page) => page.evaluate(() => document.body.dataset.mood);
const live = (page) => page.evaluate(() => document.getElementById('clock')?.dataset.state === 'live');
const mark = (page) => page.evaluate(() => { window.theSamePage = true; });
const same = (page) => page.evaluate(() => window.theSamePage === true);
/** Everything that a person sees, for comparing two pages. */
const seen = (page) =>
  page.evaluate(() => {
    const cards = [...document.querySelectorAll('.card')].map((card) => [
      card.dataset.level, card.dataset.state, card.querySelector('.vh')?.textContent,
      ...[...card.querySelectorAll('.fault, .fig, .cells b, .n')].map((part) => part.textContent),
      [...card.querySelectorAll('.cells i')].map((cell) => cell.className).join(''),
    ]);
    const lit = [...document.querySelectorAll('.wires g[data-hop]')].map((wire) => `${wire.id} ${wire.dataset.hop}`).sort();
    const words = [...document.querySelectorAll('#strip h2, #strip h3, #strip li')].map((part) => part.textContent);
    return { cards, lit, words, title: document.getElementById('title')?.textContent };
  });

async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A real nginx before `port`, with its usual settings. */
async function startNginx(port, location = '') {
  const dir = mkdtempSync(join(tmpdir(), 'topowatch-nginx-'));
  const own = await freePort();
  writeFileSync(
    join(dir, 'nginx.conf'),
    `daemon off; pid ${dir}/pid; error_log stderr crit; worker_processes 1;
     events { worker_connections 64; }
     http {
       access_log off; client_body_temp_path ${dir}/a; proxy_temp_path ${dir}/b; fastcgi_temp_path ${dir}/c;
       uwsgi_temp_path ${dir}/d; scgi_temp_path ${dir}/e; gzip on; gzip_types *;
       server { listen 127.0.0.1:${own}; location / { proxy_pass http://127.0.0.1:${port}; } ${location} }
     }`,
  );
  const child = spawn('nginx', ['-c', join(dir, 'nginx.conf'), '-p', dir], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${own}`;
  await until('nginx', () => fetch(`${url}/healthz`).then((answer) => answer.status > 0, () => false));
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      await once(child, 'exit');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

test('behind nginx a change arrives without delay', async () => {
  const stage = await startStage('green');
  const nginx = await startNginx(stage.port);
  try {
    const { page, wrong, close } = await openPage(browser, `${nginx.url}/?lang=en`);
    await until('the stream', () => live(page));
    await page.waitForTimeout(1500); // two heartbeats came through
    await stage.say('show member-db');
    await until('red', async () => (await mood(page)) === 'red');
    assert.equal(await live(page), true);
    assert.deepEqual(wrong, []);
    await close();
  } finally {
    await nginx.stop();
    await stage.stop();
  }
});

test('a stream that is cut again and again loses nothing', async () => {
  const stage = await startStage('green', { flags: ['--quick'] });
  // This proxy ends every stream after half a second of silence.
  const nginx = await startNginx(stage.port, `location /api/v1/events { proxy_pass http://127.0.0.1:${stage.port}; proxy_read_timeout 500ms; }`);
  try {
    const { page, close } = await openPage(browser, `${nginx.url}/?lang=en`);
    await mark(page);
    for (const state of ['hung', 'member-db', 'green', 'two-roots', 'mixed', 'member-db']) {
      await stage.say(`show ${state}`);
      await page.waitForTimeout(400);
    }
    await until('the last state', async () => (await mood(page)) === 'red');
    const fresh = await openPage(browser, `${stage.url}/?lang=en`);
    const wanted = await seen(fresh.page);
    await until('the same picture', async () => JSON.stringify(await seen(page)) === JSON.stringify(wanted));
    assert.equal(await same(page), true, 'it was not loaded anew');
    await fresh.close();
    await close();
  } finally {
    await nginx.stop();
    await stage.stop();
  }
});

test('where the stream does not come through, the page asks', async () => {
  const stage = await startStage('green');
  const nginx = await startNginx(stage.port, 'location /api/v1/events { return 502; }');
  try {
    const { page, close } = await openPage(browser, `${nginx.url}/?lang=en`);
    await mark(page);
    const asked = page.waitForResponse((answer) => answer.url().includes('/changes-since') && answer.status() === 304);
    await asked;
    await stage.say('show member-db');
    await until('red', async () => (await mood(page)) === 'red');
    await until('live', () => live(page));
    assert.equal(await same(page), true);
    await close();
  } finally {
    await nginx.stop();
    await stage.stop();
  }
});

test('a restart of the server is survived without a reload', async () => {
  let stage = await startStage('green');
  const { port } = stage;
  try {
    const { page, close } = await openPage(browser, `${stage.url}/?lang=en`);
    await mark(page);
    await until('the stream', () => live(page));
    await stage.stop('SIGKILL');
    stage = await startStage('member-db', { port });
    await until('the new state', async () => (await mood(page)) === 'red');
    assert.equal(await same(page), true, 'it was not loaded anew');
    // And it goes on from there.
    await stage.say('show two-roots');
    await until('two roots', async () => (await page.locator('.card[data-state="root"]').count()) === 2);
    await close();
  } finally {
    await stage.stop();
  }
});

test('a page of another topology is loaded anew', async () => {
  let stage = await startStage('green');
  const { port } = stage;
  try {
    const { page, close } = await openPage(browser, `${stage.url}/?lang=en`);
    await until('the stream', () => live(page));
    await stage.stop('SIGKILL');
    stage = await startStage('big', { port });
    await until('the other topology', async () => {
      try {
        return /62 components/.test((await page.locator('#title').textContent()) ?? '');
      } catch {
        return false; // in the middle of a reload
      }
    });
    await close();
  } finally {
    await stage.stop();
  }
});

test('the time line is dragged and the colours of then come', async () => {
  const stage = await startStage('member-db');
  try {
    const { incidents } = await (await fetch(`${stage.url}/api/v1/incidents?state=open`)).json();
    const opened = Math.floor(Date.parse(incidents[0].opened_at) / 1000);
    const { page, wrong, close } = await openPage(browser, `${stage.url}/?lang=en&at=${opened + 30}&from=${opened - 60}&to=${opened + 60}`);
    assert.equal(await mood(page), 'red');
    const drag = (seconds) =>
      page.locator('#moment').evaluate((range, value) => {
        range.value = String(value);
        range.dispatchEvent(new Event('input'));
      }, seconds);
    await drag(opened - 20);
    await until('the green of then', async () => (await mood(page)) === 'green');
    assert.equal(await page.locator('.card[data-state="root"]').count(), 0);
    assert.match(page.url(), /at=20\d\d-/, 'the address is that moment');
    await drag(opened + 10);
    await until('the red of then', async () => (await mood(page)) === 'red');
    await page.goto(`${stage.url}/incidents/${incidents[0].id}?lang=en`);
    await page.getByText('the wall as it was').click();
    await until('the wall of then', () => page.locator('#moment').count());
    assert.deepEqual(wrong, []);
    await close();
  } finally {
    await stage.stop();
  }
});

/** Boards of the soak: a day has some hundred thousand; `SOAK=20000` is what docs/wall.md speaks of. */
const SOAK = Number(process.env.SOAK ?? 3000);

test(`${SOAK} boards later the page is as small as before`, async () => {
  const stage = await startStage('green', { flags: ['--quick'] });
  try {
    const { page, wrong, close } = await openPage(browser, `${stage.url}/?lang=en`);
    const session = await page.context().newCDPSession(page);
    await session.send('HeapProfiler.enable');
    const heap = async () => {
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      const { nodes } = await session.send('Memory.getDOMCounters');
      return { bytes: usedSize, nodes };
    };
    await stage.say('storm 1000');
    await page.waitForTimeout(500);
    await page.evaluate(() => {
      window.changes = 0;
      new MutationObserver(() => { window.changes += 1; }).observe(document.body, { attributeFilter: ['data-sequence'] });
    });
    const before = await heap();
    await stage.say(`storm ${SOAK}`);
    await page.waitForTimeout(500);
    const after = await heap();
    const grown = (after.bytes - before.bytes) / 1e6;
    const changes = await page.evaluate(() => window.changes);
    console.log(`${SOAK} boards in ${changes} frames; heap ${(before.bytes / 1e6).toFixed(2)} MB, grown by ${grown.toFixed(2)} MB; ${before.nodes} nodes, then ${after.nodes}`);
    assert.ok(grown < 5, `${grown} MB`);
    assert.ok(after.nodes < before.nodes + 500, `${before.nodes} nodes, then ${after.nodes}`);
    assert.ok(Number(await page.evaluate(() => document.body.dataset.sequence)) > SOAK);
    assert.ok(changes > SOAK / 20, `${changes} frames`);
    assert.deepEqual(wrong, []);
    await close();
  } finally {
    await stage.stop();
  }
});
