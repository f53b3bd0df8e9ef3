// A demo in a directory of its own, and a page on its wall.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const profile = process.env.TOPOWATCH_PROFILE ?? 'debug';
export const program = (name) => join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), profile, name);
const PATIENCE = 90_000;

/** Waits until `look` gives something true. */
export async function until(name, look) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${PATIENCE / 1000} s for: ${name}`);
    await pause(50);
  }
}

/** A port below those that outgoing connections take, free a moment ago. */
async function freePort() {
  for (let port = 29_000 + (process.pid % 1000); ; port += 1) {
    const free = await new Promise((done) => {
      const server = createServer();
      server.once('error', () => done(false));
      server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
    });
    if (free) return port;
  }
}

/** Starts the platform and its monitor; resolves when everything has been seen once. */
export async function startDemo() {
  const dir = mkdtempSync(join(tmpdir(), 'topowatch-e2e-'));
  const port = await freePort();
  const log = openSync(join(dir, 'demo.log'), 'w');
  const child = spawn(program('topowatch'), ['demo', '--dir', dir, '--port', String(port)], { stdio: ['ignore', log, log] });
  const ended = new Promise((done) => child.once('exit', done));
  const said = () => readFileSync(join(dir, 'demo.log'), 'utf8');
  await until('the demo', () => {
    if (child.exitCode !== null) throw new Error(`the demo ended: ${said()}`);
    return existsSync(join(dir, 'url'));
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    pidOf(instance) {
      const state = JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8'));
      return Object.values(state.components).flat().find((one) => one.name === instance).pid;
    },
    monitorPid: () => Number(readFileSync(join(dir, 'monitor.pid'), 'utf8')),
    repair() {
      const done = spawnSync(program('ordering-platform'), ['up', '--repair', '--dir', dir], { encoding: 'utf8' });
      if (done.status !== 0) throw new Error(done.stderr);
    },
    async json(path) {
      return (await fetch(url + path)).json();
    },
    async green() {
      await until('green', async () => (await this.json('/api/v1/health')).level === 'green');
    },
    async stop() {
      child.kill('SIGTERM');
      const code = await ended;
      if (code !== 0) throw new Error(`the demo ended with ${code}: ${said()}`);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A headless browser that talks to nobody else. */
export function startBrowser() {
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      ...(root ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A page that notes everything that must not happen. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1920, height: 1080 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  const home = new URL(url).host;
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) wrong.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== home) wrong.push(`request to ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  return { page, wrong, close: () => context.close() };
}
