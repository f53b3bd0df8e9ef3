// Follows the server's events, and comes back when they stop.

/** A silence this long means that the stream is dead, whatever the socket says. */
const SILENCE = 5000;
const RETRY = 2000;

/** Loads the page anew, but only once the server answers: a wall never ends on an error page. */
export async function reload(win = window) {
  try {
    const answer = await win.fetch(win.location.href, { cache: "no-store" });
    if (answer.ok) win.location.reload();
  } catch {
    // Still away; the next try follows.
  }
}

/**
 * @param {DOMStringMap} page what the page was rendered from
 * @param {{board(change: object): void, beat(now: number, newest: number): void}} to
 */
export function follow(page, to) {
  let source = null;
  let last = page.sequence;
  let heard = performance.now();
  let lost = false;

  function open() {
    const query = new URLSearchParams({ since: last, run: page.run, lang: document.documentElement.lang.slice(0, 2) });
    source = new EventSource(`/api/v1/events?${query}`);
    const on = (name, act) =>
      source.addEventListener(name, (event) => {
        heard = performance.now();
        if (event.lastEventId) last = event.lastEventId;
        act(event.data);
      });
    on("board", (data) => to.board(JSON.parse(data)));
    on("beat", (data) => to.beat(...data.split(" ").map(Number)));
    on("reset", () => {
      source.close();
      lost = true;
      reload();
    });
  }

  open();
  setInterval(() => {
    if (lost) {
      reload();
    } else if (source.readyState === EventSource.CLOSED || performance.now() - heard > SILENCE) {
      source.close();
      open();
    }
  }, RETRY);
}
