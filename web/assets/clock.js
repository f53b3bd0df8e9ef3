// The server's time, carried on by the page's own steady clock, and the proof that the page is live.
import { byId } from "./apply.js";

const LATE = 3000;
const OLD = 10000;

/**
 * By how long nothing was heard.
 * @param {number} silence milliseconds
 * @returns {"live" | "late" | "old"}
 */
export function stateOf(silence) {
  return silence > OLD ? "old" : silence > LATE ? "late" : "live";
}

/**
 * Time of day of `ms` (since 1970) at `offset` seconds from UTC.
 * @param {number} ms
 * @param {number} offset
 */
export function timeOfDay(ms, offset) {
  return new Date(ms + offset * 1000).toISOString().slice(11, 19);
}

export class Clock {
  /** @type {"live" | "late" | "old"} */
  state = "live";
  /** Something was heard since the last beat. */
  alive = true;
  kept = { mood: "", title: "", line: "" };

  /**
   * @param {number} now the server's time in milliseconds
   * @param {number} newest that of the newest data
   * @param {number} offset seconds from UTC
   */
  constructor(now, newest, offset) {
    this.base = now;
    this.newest = newest;
    this.offset = offset;
    this.heardAt = performance.now();
    this.zh = document.documentElement.lang.startsWith("zh");
  }

  /**
   * The server said what time it is.
   * @param {number} now
   * @param {number} newest
   */
  heard(now, newest) {
    this.base = now;
    this.newest = newest;
    this.heardAt = performance.now();
    this.alive = true;
    if (this.state !== "live") this.tick();
  }

  now() {
    return this.base + performance.now() - this.heardAt;
  }

  /** A tick enters the row on the right, flat when the second passed in silence. */
  beat() {
    const row = byId("beat");
    const tick = row.firstElementChild;
    if (!tick) return;
    tick.className = this.alive ? "" : "miss";
    row.append(tick);
    this.alive = false;
  }

  tick() {
    const silence = performance.now() - this.heardAt;
    const state = stateOf(silence);
    if (state !== this.state) this.turn(state);
    const seconds = Math.floor(silence / 1000);
    const age = this.zh ? `${seconds} 秒` : `${seconds} s`;
    put("time", state === "old" ? age : timeOfDay(this.now(), this.offset));
    put("age", this.words(state, seconds));
  }

  /**
   * @param {string} state
   * @param {number} seconds
   */
  words(state, seconds) {
    if (state === "old") {
      const since = timeOfDay(this.base, this.offset);
      return this.zh ? `${since} 起无更新` : `no update since ${since}`;
    }
    if (state === "late") return this.zh ? `${seconds} 秒前更新` : `last update ${seconds} s ago`;
    const age = Math.max(0, this.now() - this.newest) / 1000;
    const shown = age < 10 ? age.toFixed(1) : Math.floor(age);
    if (document.body.dataset.mood === "blind") {
      return this.zh ? `页面实时 · 数据 ${shown} 秒前` : `page live · data ${shown} s old`;
    }
    return this.zh ? `实时 · 最新数据 ${shown} 秒前` : `live · newest data ${shown} s ago`;
  }

  /**
   * Into and out of "not live": the page then claims nothing.
   * @param {"live" | "late" | "old"} state
   */
  turn(state) {
    const { dataset } = document.body;
    if (state === "old") {
      this.kept = { mood: dataset.mood ?? "", title: text("title"), line: text("line") };
      const at = timeOfDay(this.base, this.offset);
      dataset.mood = "old";
      put("title", this.zh ? "本页已停止更新：以下内容已过时" : "This page is not live: the picture below is old");
      put(
        "line",
        this.zh ? `最后已知 ${at}：${this.kept.title}。每 2 秒重试` : `Last known, ${at}: ${this.kept.title}. Trying again every 2 s.`,
      );
    } else if (this.state === "old") {
      dataset.mood = this.kept.mood;
      put("title", this.kept.title);
      put("line", this.kept.line);
    }
    this.state = state;
    byId("clock").dataset.state = state;
  }
}

/** @param {string} id */
function text(id) {
  return byId(id).textContent ?? "";
}

/**
 * @param {string} id
 * @param {string} words
 */
function put(id, words) {
  const element = byId(id);
  if (element.textContent !== words) element.textContent = words;
}
