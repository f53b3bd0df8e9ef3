// Boots the page: the stream in, the changes on, the clock running, the keys live.
import { apply, fillSince } from "./apply.js";
import { Clock } from "./clock.js";
import { keys } from "./keys.js";
import { follow } from "./stream.js";

const { body } = document;
const clock = new Clock(Number(body.dataset.now), Number(body.dataset.newest), Number(body.dataset.offset));
const narrow = matchMedia("(max-width: 1099.98px)");

/** In the list healthy lanes start closed; on the wall all are open. */
function fold() {
  for (const lane of document.querySelectorAll(".lanes > li")) {
    const open = !narrow.matches || lane.getAttribute("data-level") !== "green";
    lane.firstElementChild?.toggleAttribute("open", open);
  }
}
fold();
narrow.addEventListener("change", fold);

/** @type {import("./apply.js").Change[]} */
let waiting = [];
function flush() {
  const changes = waiting;
  waiting = [];
  for (const change of changes) apply(change);
  clock.tick();
}

follow(body.dataset, {
  board(change) {
    clock.heard(change.now ?? 0, change.newest ?? 0);
    if (waiting.push(change) === 1) requestAnimationFrame(flush);
    // A hidden page draws no frames; it must not gather changes for ever.
    if (waiting.length > 50) flush();
  },
  beat(now, newest) {
    clock.heard(now, newest);
  },
});

setInterval(() => {
  clock.beat();
  if (clock.state !== "old") fillSince(clock.now());
}, 1000);
setInterval(() => clock.tick(), 200);
keys();

/** A screen that nobody touches must not go dark. */
async function stayAwake() {
  try {
    await navigator.wakeLock.request("screen");
  } catch {
    // Not allowed here: the screen's own settings decide.
  }
}
if (body.hasAttribute("data-kiosk") && "wakeLock" in navigator) {
  stayAwake();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") stayAwake();
  });
}
