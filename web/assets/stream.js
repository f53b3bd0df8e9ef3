// Follows the server's events, and comes back when they stop. Where a stream does not get through (a proxy that
// holds answers back), the page asks every second instead, and tries the stream again now and then.

/** A silence this long means that the stream is dead, whatever the socket says. */
const SILENCE = 5000;
const RETRY = 2000;
/** Streams in a row that gave nothing, before the page begins to ask. */
const PATIENCE = 2;
const ASK = 1000;
/** How long the page asks before it tries a stream again. */
const AGAIN = 30_000;

/** Loads the page anew, but only once the server answers: a wall never ends on an error page. */
export async function reload() {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.ok) location.reload();
  } catch {
    // Still away; the next try follows.
  }
}

/**
 * @param {DOMStringMap} page what the page was rendered from
 * @param {{board(change: import("./apply.js").Change): void, beat(now: number, newest: number): void}} to
 */
export function follow(page, to) {
  /** @type {EventSource | null} */
  let source = null;
  let last = page.sequence ?? "";
  let heard = performance.now();
  let opened = heard;
  let failures = 0;
  let lost = false;
  let tag = "";

  function query() {
    return new URLSearchParams({
      since: last,
      run: page.run ?? "",
      stage: page.stage ?? "",
      version: page.version ?? "",
      group: page.group ?? "",
      lang: document.documentElement.lang.slice(0, 2),
    });
  }

  function give(/** @type {import("./apply.js").Change} */ change) {
    if (change.reset) {
      lost = true;
      source?.close();
      reload();
      return;
    }
    last = String(change.sequence);
    if (change.now) to.board(change);
  }

  function open() {
    source?.close();
    opened = performance.now();
    const stream = new EventSource(`/api/v1/events?${query()}`);
    source = stream;
    const on = (/** @type {string} */ name, /** @type {(data: string) => void} */ act) =>
      stream.addEventListener(name, (event) => {
        heard = performance.now();
        failures = 0;
        if (event.lastEventId) last = event.lastEventId;
        act(event.data);
      });
    on("board", (data) => give(JSON.parse(data)));
    on("beat", (data) => {
      const [now, newest] = data.split(" ").map(Number);
      to.beat(now, newest);
    });
    on("reset", () => give({ reset: true, sequence: 0 }));
  }

  async function ask() {
    try {
      const headers = tag ? { "if-none-match": tag } : undefined;
      const answer = await fetch(`/api/v1/changes-since?${query()}`, { cache: "no-store", headers });
      const beat = answer.headers.get("topowatch-beat");
      tag = answer.headers.get("etag") ?? "";
      if (answer.status === 200) give(await answer.json());
      if (beat && !lost) {
        const [now, newest] = beat.split(" ").map(Number);
        to.beat(now, newest);
      }
    } catch {
      // Nothing was heard; the clock says so.
    }
  }

  function watch() {
    if (lost) {
      reload();
      return;
    }
    const now = performance.now();
    const dead = source?.readyState === EventSource.CLOSED || now - Math.max(heard, opened) > SILENCE;
    const due = failures < PATIENCE || now - opened > AGAIN;
    if (dead && due) {
      failures += 1;
      open();
    } else if (dead && source && failures >= PATIENCE) {
      source.close();
    }
  }

  open();
  setInterval(watch, RETRY);
  setInterval(() => {
    if (failures >= PATIENCE && !lost) ask();
  }, ASK);
}
