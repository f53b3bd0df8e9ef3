// The search box: cards by their names as one types; Enter goes there. Instances are searched by the table.
import { build, byId } from "./apply.js";
import { goTo } from "./keys.js";

const MOST = 12;

/** @param {HTMLElement[]} cards */
export function open(cards) {
  const zh = document.documentElement.lang.startsWith("zh");
  let dialog = document.getElementById("search");
  if (!(dialog instanceof HTMLDialogElement)) {
    const words = zh ? "搜索组件" : "Search components";
    document.body.append(
      build([
        "dialog",
        { id: "search", class: "dialog", "aria-label": words },
        [
          "form",
          { method: "dialog" },
          ["input", { id: "q", type: "search", autocomplete: "off", "aria-label": words, placeholder: words, "aria-controls": "found" }],
        ],
        ["ol", { id: "found" }],
        ["p", { id: "hint", role: "status" }],
      ]),
    );
    dialog = byId("search");
    const input = byId("q");
    input.addEventListener("input", () => show(cards, zh));
    dialog.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      const first = byId("found").querySelector("button");
      if (first) first.click();
      else if (input instanceof HTMLInputElement) location.assign(table(input.value));
    });
  }
  const input = byId("q");
  if (input instanceof HTMLInputElement) input.value = "";
  show(cards, zh);
  if (dialog instanceof HTMLDialogElement) dialog.showModal();
}

/** @param {string} text */
function table(text) {
  const query = new URLSearchParams(document.documentElement.dataset.q ?? "");
  query.set("q", text);
  return `/table?${query}`;
}

/**
 * @param {HTMLElement[]} cards
 * @param {boolean} zh
 */
function show(cards, zh) {
  const input = byId("q");
  const text = input instanceof HTMLInputElement ? input.value.trim().toLowerCase() : "";
  const fits = (/** @type {HTMLElement} */ card) =>
    `${card.title} ${card.getAttribute("href")}`.toLowerCase().includes(text);
  const found = text ? cards.filter(fits) : [];
  const rows = found.slice(0, MOST).map((card) => {
    const row = build(["li", {}, ["button", { type: "button" }, ["i", { class: `b ${card.dataset.level}`, "aria-hidden": "true" }], ["span", {}, card.title]]]);
    row.firstChild?.addEventListener("click", () => {
      const dialog = byId("search");
      if (dialog instanceof HTMLDialogElement) dialog.close();
      goTo(card);
    });
    return row;
  });
  byId("found").replaceChildren(...rows);
  const more = found.length - rows.length;
  let words = zh ? `${found.length} 个组件` : `${found.length} components`;
  if (more > 0) words = zh ? `另有 ${more} 个` : `and ${more} more`;
  if (text && found.length === 0) words = zh ? "没有此组件；按回车在表格中查找实例" : "No component; Enter looks for instances in the table";
  byId("hint").textContent = text ? words : "";
}
