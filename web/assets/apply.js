// Puts a change on the page: attributes and text, never markup.

/** An element from `"text"` or `["tag", {attributes}, child, ...]`. */
export function build(doc, tree) {
  if (typeof tree === "string") return doc.createTextNode(tree);
  const [tag, attributes, ...children] = tree;
  const element = doc.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, name === "href" ? value + (doc.documentElement.dataset.q ?? "") : value);
  }
  element.append(...children.map((child) => build(doc, child)));
  return element;
}

/** A duration as the server writes it. */
export function lasting(seconds, zh) {
  const s = Math.max(0, Math.floor(seconds));
  const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (d) return zh ? `${d} 天 ${h} 小时` : `${d} d ${h} h`;
  if (h) return zh ? `${h} 小时 ${m} 分` : `${h} h ${m} min`;
  if (m && s % 60 === 0) return zh ? `${m} 分` : `${m} min`;
  if (m) return zh ? `${m} 分 ${s % 60} 秒` : `${m} min ${s % 60} s`;
  return zh ? `${s} 秒` : `${s} s`;
}

/** The same in one unit, for a card. */
export function brief(seconds, zh) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 120) return zh ? `${s} 秒` : `${s} s`;
  if (s < 7200) return zh ? `${Math.floor(s / 60)} 分` : `${Math.floor(s / 60)} min`;
  if (s < 172800) return zh ? `${Math.floor(s / 3600)} 小时` : `${Math.floor(s / 3600)} h`;
  return zh ? `${Math.floor(s / 86400)} 天` : `${Math.floor(s / 86400)} d`;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Writes how long everything with a `data-since` has lasted. */
export function fillSince(doc, now) {
  const zh = doc.documentElement.lang.startsWith("zh");
  for (const element of doc.querySelectorAll("[data-since]")) {
    const seconds = (now - Number(element.dataset.since)) / 1000;
    const { text } = element.dataset;
    put(element, text ? text.replace("{}", () => brief(seconds, zh)) : lasting(seconds, zh));
  }
}

function header(doc, header) {
  doc.body.dataset.mood = header.mood;
  doc.body.toggleAttribute("data-calm", header.calm);
  const title = doc.getElementById("title");
  title.className = header.size;
  put(title, header.title);
  put(doc.getElementById("line"), header.line);
  put(doc.getElementById("alert"), header.alert);
  doc.getElementById("tally").replaceChildren(build(doc, header.tally));
  doc.title = `${header.title} · topowatch`;
}

function cells(box, letters) {
  const all = box.getElementsByTagName("i");
  for (let i = 0; i < all.length; i++) {
    if (all[i].className !== letters[i]) all[i].className = letters[i];
  }
}

function card(doc, index, change) {
  const element = doc.getElementById(`c${index}`);
  const find = (selector) => element.querySelector(selector);
  if (change.level !== undefined && change.level !== element.dataset.level) {
    element.dataset.level = change.level;
    element.classList.add("changed");
    element.addEventListener("animationend", () => element.classList.remove("changed"), { once: true });
  }
  if (change.state !== undefined) element.dataset.state = change.state;
  if (change.label !== undefined) element.setAttribute("aria-label", change.label);
  if (change.cells !== undefined) cells(find(".cells"), change.cells);
  if (change.rows !== undefined) {
    element.querySelectorAll(".cells b").forEach((row, i) => put(row, change.rows[i] ?? ""));
  }
  if (change.number !== undefined) {
    for (const number of element.querySelectorAll(".n")) put(number, change.number ? String(change.number) : "");
  }
  const fault = find(".fault");
  if (change.fault !== undefined) {
    fault.dataset.text = change.fault;
    put(fault, change.fault);
  }
  if (change.since > 0) fault.dataset.since = change.since;
  else if (change.since === 0) delete fault.dataset.since;
  if (change.figures !== undefined) {
    element.querySelectorAll(".fig").forEach((figure, i) => put(figure, change.figures[i] ?? ""));
  }
}

function wire(doc, index, lit) {
  const element = doc.getElementById(`e${index}`);
  if (lit) {
    element.dataset.hop = lit.hop;
    element.dataset.level = lit.level;
    element.parentNode.append(element);
  } else {
    delete element.dataset.hop;
    delete element.dataset.level;
  }
}

function lane(doc, index, { level, badge, counts }) {
  const element = doc.getElementById(`l${index}`);
  const before = element.dataset.level;
  element.dataset.level = level;
  element.querySelector("summary .b").className = badge;
  put(element.querySelector(".lc"), counts);
  if (before === "green" && level !== "green") element.firstElementChild.open = true;
}

/** Applies one change. */
export function apply(doc, change) {
  if (change.header) header(doc, change.header);
  for (const [index, part] of Object.entries(change.cards ?? {})) card(doc, index, part);
  for (const [index, part] of Object.entries(change.lit ?? {})) wire(doc, index, part);
  for (const [index, part] of Object.entries(change.lanes ?? {})) lane(doc, index, part);
  if (change.strip) doc.getElementById("strip").replaceWith(build(doc, change.strip));
  if (change.now) fillSince(doc, change.now);
  doc.body.dataset.sequence = change.sequence;
}
