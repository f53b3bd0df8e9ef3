// What the keys do, and the switch for single letters.
import { build, byId } from "./apply.js";
import { LETTERS_OFF, lettersOn } from "./keys.js";

const KEYS = [
  ["Tab", "next region; once into the topology", "下一区域；拓扑只占一站"],
  ["← ↑ → ↓", "the card next in that direction", "该方向的下一张卡片"],
  ["Home End", "first and last card of the lane", "本列首张、末张卡片"],
  ["Enter", "open the component", "打开组件页"],
  ["r", "next root cause", "下一个根因"],
  ["u", "next unhealthy component", "下一个异常组件"],
  ["/", "search", "搜索"],
  ["?", "this help", "本帮助"],
];

export function open() {
  let dialog = document.getElementById("help");
  if (!(dialog instanceof HTMLDialogElement)) {
    const zh = document.documentElement.lang.startsWith("zh");
    const row = (/** @type {string[]} */ [key, en, words]) => ["div", {}, ["dt", {}, ["kbd", {}, key]], ["dd", {}, zh ? words : en]];
    const title = zh ? "按键" : "Keys";
    document.body.append(
      build([
        "dialog",
        { id: "help", class: "dialog", "aria-labelledby": "help-title" },
        ["h2", { id: "help-title" }, title],
        ["dl", {}, ...KEYS.map(row)],
        ["p", {}, ["label", {}, ["input", { type: "checkbox", id: "letters" }], zh ? " 单字母按键" : " Single-letter keys"]],
        ["form", { method: "dialog" }, ["button", {}, zh ? "关闭" : "Close"]],
      ]),
    );
    dialog = byId("help");
    const letters = byId("letters");
    if (letters instanceof HTMLInputElement) {
      letters.checked = lettersOn();
      letters.addEventListener("change", () => {
        if (letters.checked) localStorage.removeItem(LETTERS_OFF);
        else localStorage.setItem(LETTERS_OFF, "1");
      });
    }
  }
  if (dialog instanceof HTMLDialogElement) dialog.showModal();
}
