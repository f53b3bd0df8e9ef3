// Boots the page: the stream in, the changes on, the clock running, the keys live.
import { apply, fillSince } from "./apply.js";
import { Clock } from "./clock.js";
import { keys } from "./keys.js";
import { follow } from "./stream.js";

const body = document.body;
const clock = new Clock(document, Number(body.dataset.now), Number(body.dataset.newest), Number(body.dataset.offset));
const narrow = matchMedia("(max-width: 899.98px)");

/** On a narrow page healthy lanes start closed; on the wall all are open. */
function fold() {
  for (const lane of document.querySelectorAll(".lanes > li")) {
    lane.firstElementChild.open = !narrow.matches || lane.dataset.level !== "green";
  }
}
fold();
narrow.addEventListener("change", fold);

let waiting = [];
function flush() {
  const changes = waiting;
  waiting = [];
  for (const change of changes) apply(document, change);
  clock.tick();
}

follow(body.dataset, {
  board(change) {
    clock.heard(change.now, change.newest);
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
  if (clock.state !== "old") fillSince(document, clock.now());
}, 1000);
setInterval(() => clock.tick(), 200);
keys(document);
