// Puts a change on the page: attributes and text, never markup.

/**
 * An element from `"text"` or `["tag", {attributes}, child, ...]`.
 * @typedef {string | [string, Record<string, string>, ...any[]]} Tree
 */
/**
 * The way to a node by child numbers, and what stands there now.
 * @typedef {[number[], Tree]} Edit
 */
/**
 * @typedef {object} CardChange
 * @property {string} [level]
 * @property {string} [state]
 * @property {number} [number]
 * @property {string} [fault]
 * @property {number} [since]
 * @property {string[]} [figures]
 * @property {string} [cells]
 * @property {Tree | null} [bar]
 * @property {string} [rest]
 * @property {string[]} [rows]
 * @property {string} [label]
 */
/**
 * @typedef {object} HeaderChange
 * @property {string} [mood]
 * @property {string} [title]
 * @property {string} [size]
 * @property {string} [line]
 * @property {Tree} [tally]
 * @property {boolean} [calm]
 * @property {string} [alert]
 */
/**
 * @typedef {object} Change
 * @property {HeaderChange} [header]
 * @property {Record<string, CardChange>} [cards]
 * @property {Record<string, {hop: number, level: string} | null>} [lit]
 * @property {Record<string, {level: string, badge: string, counts: string}>} [lanes]
 * @property {Edit[]} [strip]
 * @property {Edit[]} [orders]
 * @property {number} [now]
 * @property {number} [newest]
 * @property {number} sequence
 * @property {string} [run]
 * @property {boolean} [reset]
 */

const SVG = "http://www.w3.org/2000/svg";
const CHANGED = 10_000;

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`there is no #${id}`);
  return element;
}

/**
 * @param {Tree} tree
 * @param {string | null} [space] the namespace it stands in
 * @returns {Node}
 */
export function build(tree, space = null) {
  if (typeof tree === "string") return document.createTextNode(tree);
  const [tag, attributes, ...children] = tree;
  const inside = tag === "svg" ? SVG : space;
  const element = inside ? document.createElementNS(inside, tag) : document.createElement(tag);
  const query = document.documentElement.dataset.q ?? "";
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, name === "href" ? value + query : value);
  }
  element.append(...children.map((child) => build(child, inside)));
  return element;
}

/**
 * A duration as the server writes it.
 * @param {number} seconds
 * @param {boolean} zh
 */
export function lasting(seconds, zh) {
  const s = Math.max(0, Math.floor(seconds));
  const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (d) return zh ? `${d} 天 ${h} 小时` : `${d} d ${h} h`;
  if (h) return zh ? `${h} 小时 ${m} 分` : `${h} h ${m} min`;
  if (m && s % 60 === 0) return zh ? `${m} 分` : `${m} min`;
  if (m) return zh ? `${m} 分 ${s % 60} 秒` : `${m} min ${s % 60} s`;
  return zh ? `${s} 秒` : `${s} s`;
}

/**
 * The same in one unit, for a card.
 * @param {number} seconds
 * @param {boolean} zh
 */
export function brief(seconds, zh) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 120) return zh ? `${s} 秒` : `${s} s`;
  if (s < 7200) return zh ? `${Math.floor(s / 60)} 分` : `${Math.floor(s / 60)} min`;
  if (s < 172800) return zh ? `${Math.floor(s / 3600)} 小时` : `${Math.floor(s / 3600)} h`;
  return zh ? `${Math.floor(s / 86400)} 天` : `${Math.floor(s / 86400)} d`;
}

/**
 * @param {Element} element
 * @param {string} text
 */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const zh = () => document.documentElement.lang.startsWith("zh");

/**
 * Writes how long everything with a `data-since` has lasted.
 * @param {number} now the server's time in milliseconds
 */
export function fillSince(now) {
  for (const element of document.querySelectorAll("[data-since]")) {
    if (!(element instanceof HTMLElement)) continue;
    const seconds = (now - Number(element.dataset.since)) / 1000;
    const { text } = element.dataset;
    put(element, text ? text.replace("{}", () => brief(seconds, zh())) : lasting(seconds, zh()));
  }
}

/** @param {HeaderChange} change */
function header(change) {
  const { body } = document;
  if (change.mood !== undefined) body.dataset.mood = change.mood;
  if (change.calm !== undefined) body.toggleAttribute("data-calm", change.calm);
  const title = byId("title");
  if (change.size !== undefined) title.className = change.size;
  if (change.title !== undefined) {
    put(title, change.title);
    document.title = `${change.title} · topowatch`;
  }
  if (change.line !== undefined) put(byId("line"), change.line);
  if (change.alert !== undefined) put(byId("alert"), change.alert);
  if (change.tally !== undefined) byId("tally").replaceChildren(build(change.tally));
}

/**
 * One class a cell. Beside a bar their number changes, else never.
 * @param {Element} box
 * @param {string} letters
 */
function cells(box, letters) {
  const all = box.getElementsByTagName("i");
  while (all.length > letters.length) all[all.length - 1].remove();
  for (let i = 0; i < letters.length; i++) {
    const cell = all[i] ?? box.insertBefore(document.createElement("i"), box.querySelector("b"));
    if (cell.className !== letters[i]) cell.className = letters[i];
  }
}

/**
 * @param {HTMLElement} element
 * @param {string} level
 */
function turned(element, level) {
  element.dataset.level = level;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    const time = byId("time").textContent ?? "";
    element.dataset.changed = zh() ? `${time} 变化` : `changed ${time}`;
    setTimeout(() => delete element.dataset.changed, CHANGED);
    return;
  }
  element.classList.add("changed");
  element.addEventListener("animationend", () => element.classList.remove("changed"), { once: true });
}

/**
 * @param {string} index
 * @param {CardChange} change
 */
function card(index, change) {
  const element = byId(`c${index}`);
  if (change.level !== undefined && change.level !== element.dataset.level) turned(element, change.level);
  if (change.state !== undefined) element.dataset.state = change.state;
  const label = element.querySelector(".vh");
  if (label && change.label !== undefined) put(label, change.label);
  const box = element.querySelector(".cells");
  if (box && change.bar) box.querySelector("svg")?.replaceWith(build(change.bar));
  if (box && change.cells !== undefined) cells(box, change.cells);
  if (change.rest !== undefined) element.querySelectorAll(".cells > svg ~ b").forEach((rest) => put(rest, change.rest ?? ""));
  if (change.rows !== undefined) {
    element.querySelectorAll(".list b").forEach((row, i) => put(row, change.rows?.[i] ?? ""));
  }
  if (change.number !== undefined) {
    for (const number of element.querySelectorAll(".n")) put(number, change.number ? String(change.number) : "");
  }
  const fault = element.querySelector(".fault");
  if (fault instanceof HTMLElement) {
    if (change.fault !== undefined) {
      fault.dataset.text = change.fault;
      put(fault, change.fault);
    }
    if (change.since) fault.dataset.since = String(change.since);
    else if (change.since === 0) delete fault.dataset.since;
  }
  if (change.figures !== undefined) {
    element.querySelectorAll(".fig").forEach((figure, i) => put(figure, change.figures?.[i] ?? ""));
  }
}

/**
 * @param {string} index
 * @param {{hop: number, level: string} | null} lit
 */
function wire(index, lit) {
  const element = document.getElementById(`e${index}`);
  if (!element) return;
  if (lit) {
    element.dataset.hop = String(lit.hop);
    element.dataset.level = lit.level;
    element.parentNode?.append(element);
  } else {
    delete element.dataset.hop;
    delete element.dataset.level;
  }
}

/**
 * @param {string} index
 * @param {{level: string, badge: string, counts: string}} lane
 */
function lane(index, { level, badge, counts }) {
  const element = byId(`l${index}`);
  const before = element.dataset.level;
  element.dataset.level = level;
  const mark = element.querySelector("summary .b");
  if (mark) mark.className = badge;
  const words = element.querySelector(".lc");
  if (words) put(words, counts);
  if (before === "green" && level !== "green") element.firstElementChild?.setAttribute("open", "");
}

/**
 * @param {string} id
 * @param {Edit[]} edits
 */
function edit(id, edits) {
  for (const [way, tree] of edits) {
    /** @type {Node | undefined} */
    let node = byId(id);
    for (const step of way) node = node?.childNodes[step];
    if (!node) continue;
    const parent = node.parentNode;
    const space = parent instanceof SVGElement ? SVG : null;
    parent?.replaceChild(build(tree, space), node);
  }
}

/** @param {Change} change */
export function apply(change) {
  if (change.header) header(change.header);
  for (const [index, part] of Object.entries(change.cards ?? {})) card(index, part);
  for (const [index, part] of Object.entries(change.lit ?? {})) wire(index, part);
  for (const [index, part] of Object.entries(change.lanes ?? {})) lane(index, part);
  if (change.strip) edit("strip", change.strip);
  if (change.orders) edit("orders", change.orders);
  if (change.now) fillSince(change.now);
  if (change.run) document.body.dataset.run = change.run;
  document.body.dataset.sequence = String(change.sequence);
}
