// The wall as it was: the time line is dragged, and the colours of then come.
import { apply, byId } from "./apply.js";
import { timeOfDay } from "./clock.js";
import { keys } from "./keys.js";

const { body } = document;
const WAIT = 80;

/** @type {AbortController | null} */
let asking = null;
let timer = 0;

/** @param {number} seconds since 1970 */
async function show(seconds) {
  asking?.abort();
  asking = new AbortController();
  const at = new Date(seconds * 1000).toISOString().slice(0, 19);
  const query = new URLSearchParams({ at: `${at}Z`, group: body.dataset.group ?? "", lang: document.documentElement.lang.slice(0, 2) });
  try {
    const answer = await fetch(`/api/v1/changes-since?${query}`, { signal: asking.signal });
    if (!answer.ok) return;
    apply(await answer.json());
    body.dataset.at = String(seconds);
    const here = new URL(location.href);
    here.searchParams.set("at", `${at}Z`);
    history.replaceState(null, "", here);
  } catch {
    // Another moment was asked for meanwhile, or the server is away: the picture stays.
  }
}

const range = byId("moment");
if (range instanceof HTMLInputElement) {
  range.addEventListener("input", () => {
    byId("time").textContent = timeOfDay(Number(range.value) * 1000, Number(body.dataset.offset));
    clearTimeout(timer);
    timer = setTimeout(() => show(Number(range.value)), WAIT);
  });
}
keys();
