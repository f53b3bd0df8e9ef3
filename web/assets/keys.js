// Arrows between cards, r to the next root cause, u to the next unhealthy one, / to search, ? for help. Focusing a
// card lights its wires.

/** @type {Record<string, [number, number]>} */
const SIDES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** Where it is kept that single letters do nothing. */
export const LETTERS_OFF = "letters-off";

/**
 * The card next to `from` in a direction: near along it, and not far off it.
 * @param {{x: number, y: number}} from
 * @param {{x: number, y: number}[]} boxes
 * @param {[number, number]} side
 */
export function nextTo(from, boxes, [dx, dy]) {
  let best = -1;
  let least = Infinity;
  boxes.forEach((box, i) => {
    const along = dx ? dx * (box.x - from.x) : dy * (box.y - from.y);
    const off = dx ? Math.abs(box.y - from.y) : Math.abs(box.x - from.x);
    const cost = along + 2 * off;
    if (along > 1 && cost < least) [best, least] = [i, cost];
  });
  return best;
}

/** @param {Element} element */
function centre(element) {
  const box = element.getBoundingClientRect();
  return { x: box.x + box.width / 2, y: box.y + Math.min(box.height / 2, 40) };
}

/** Whether single letters act; a reader may switch them off (they get in the way of speech input). */
export function lettersOn() {
  try {
    return localStorage.getItem(LETTERS_OFF) === null;
  } catch {
    return true;
  }
}

/** The wires of a card and the cards at their other ends. */
function light(/** @type {HTMLElement | null} */ card) {
  for (const lit of document.querySelectorAll("[data-near]")) lit.removeAttribute("data-near");
  if (!card) return;
  const index = card.id.slice(1);
  for (const wire of document.querySelectorAll(".wires > g")) {
    const ends = (wire.getAttribute("data-ends") ?? "").split(" ");
    if (!ends.includes(index)) continue;
    wire.setAttribute("data-near", "");
    for (const end of ends) if (end !== index) document.getElementById(`c${end}`)?.setAttribute("data-near", "");
  }
}

/**
 * Focuses a card, and opens its lane where lanes are folded.
 * @param {HTMLElement} card
 */
export function goTo(card) {
  card.closest("details")?.setAttribute("open", "");
  card.focus();
}

/** Listens to the keyboard; one card at a time takes the Tab key. */
export function keys() {
  /** @type {HTMLElement[]} */
  const cards = [...document.querySelectorAll(".card")].filter((card) => card instanceof HTMLElement);
  const isCard = (/** @type {unknown} */ element) => cards.includes(/** @type {HTMLElement} */ (element));
  const rove = (/** @type {HTMLElement} */ card) => {
    for (const other of cards) other.tabIndex = other === card ? 0 : -1;
  };
  const after = (/** @type {(card: HTMLElement) => boolean} */ wanted) => {
    const at = cards.findIndex((card) => card === document.activeElement);
    const found = [...cards.slice(at + 1), ...cards.slice(0, at + 1)].find(wanted);
    if (found) goTo(found);
  };
  const open = async (/** @type {string | undefined} */ module) => {
    if (module) (await import(module)).open(cards);
  };
  if (cards[0]) rove(cards[0]);
  document.addEventListener("focusin", (event) => {
    const card = isCard(event.target) ? /** @type {HTMLElement} */ (event.target) : null;
    if (card) rove(card);
    light(card);
  });
  document.addEventListener("focusout", (event) => {
    if (!event.relatedTarget) light(null);
  });
  document.addEventListener("keydown", (event) => {
    const here = document.activeElement;
    if (event.ctrlKey || event.metaKey || event.altKey || here instanceof HTMLInputElement) return;
    const side = SIDES[event.key];
    if (side && here && isCard(here)) {
      const found = nextTo(centre(here), cards.map(centre), side);
      if (found >= 0) goTo(cards[found]);
    } else if ((event.key === "Home" || event.key === "End") && here && isCard(here)) {
      const lane = [...(here.closest("ol")?.querySelectorAll(".card") ?? [])];
      const end = event.key === "Home" ? lane[0] : lane[lane.length - 1];
      if (end instanceof HTMLElement) goTo(end);
    } else if (!lettersOn()) {
      return;
    } else if (event.key === "r") {
      after((card) => card.dataset.state === "root");
    } else if (event.key === "u") {
      after((card) => card.dataset.level !== "green" && card.dataset.level !== "paused");
    } else if (event.key === "/") {
      open(document.body.dataset.search);
    } else if (event.key === "?") {
      open(document.body.dataset.help);
    } else {
      return;
    }
    event.preventDefault();
  });
}
