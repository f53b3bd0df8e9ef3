// Arrows between cards, r to the next root cause, u to the next unhealthy one.

const SIDES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The card next to `from` in a direction: near along it, and not far off it. */
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

function centre(element) {
  const box = element.getBoundingClientRect();
  return { x: box.x + box.width / 2, y: box.y + Math.min(box.height / 2, 40) };
}

/** Listens to the keyboard; one card at a time takes the Tab key. */
export function keys(doc) {
  const cards = [...doc.querySelectorAll(".card")];
  const rove = (card) => {
    for (const other of cards) other.tabIndex = other === card ? 0 : -1;
  };
  const go = (card) => {
    if (!card) return;
    rove(card);
    card.closest("details").open = true;
    card.focus();
  };
  const after = (wanted) => {
    const at = cards.indexOf(doc.activeElement);
    const turned = [...cards.slice(at + 1), ...cards.slice(0, at + 1)];
    go(turned.find(wanted));
  };
  rove(cards[0]);
  doc.addEventListener("focusin", (event) => {
    if (cards.includes(event.target)) rove(event.target);
  });
  doc.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const here = doc.activeElement;
    const side = SIDES[event.key];
    if (side && cards.includes(here)) {
      const found = nextTo(centre(here), cards.map(centre), side);
      if (found >= 0) go(cards[found]);
      event.preventDefault();
    } else if ((event.key === "Home" || event.key === "End") && cards.includes(here)) {
      const lane = [...here.closest("ol").querySelectorAll(".card")];
      go(event.key === "Home" ? lane[0] : lane.at(-1));
      event.preventDefault();
    } else if (event.key === "r") {
      after((card) => card.dataset.state === "root");
    } else if (event.key === "u") {
      after((card) => card.dataset.level !== "green" && card.dataset.level !== "paused");
    }
  });
}
