// The server's time, carried on by the page's own steady clock, and the proof that the page is live.

const LATE = 3000;
const OLD = 10000;

/** `live`, `late` or `old`, by how long nothing was heard. */
export function stateOf(silence) {
  return silence > OLD ? "old" : silence > LATE ? "late" : "live";
}

/** Time of day of `ms` (since 1970) at `offset` seconds from UTC. */
export function timeOfDay(ms, offset) {
  return new Date(ms + offset * 1000).toISOString().slice(11, 19);
}

export class Clock {
  constructor(doc, now, newest, offset, steady = () => performance.now()) {
    Object.assign(this, { doc, offset, steady, newest, base: now, heardAt: steady(), state: "live", alive: true });
    this.zh = doc.documentElement.lang.startsWith("zh");
  }

  /** The server said what time it is. */
  heard(now, newest) {
    this.base = now;
    this.newest = newest;
    this.heardAt = this.steady();
    this.alive = true;
    if (this.state !== "live") this.tick();
  }

  now() {
    return this.base + this.steady() - this.heardAt;
  }

  /** A tick enters the row on the right, flat when the second passed in silence. */
  beat() {
    const row = this.doc.getElementById("beat");
    const tick = row.firstElementChild;
    tick.className = this.alive ? "" : "miss";
    row.append(tick);
    this.alive = false;
  }

  tick() {
    const silence = this.steady() - this.heardAt;
    const state = stateOf(silence);
    if (state !== this.state) this.turn(state);
    const seconds = Math.floor(silence / 1000);
    const time = state === "old" ? (this.zh ? `${seconds} 秒` : `${seconds} s`) : timeOfDay(this.now(), this.offset);
    this.put("time", time);
    this.put("age", this.words(state, seconds));
  }

  words(state, seconds) {
    if (state === "old") {
      const since = timeOfDay(this.base, this.offset);
      return this.zh ? `${since} 起无更新` : `no update since ${since}`;
    }
    if (state === "late") return this.zh ? `${seconds} 秒前更新` : `last update ${seconds} s ago`;
    const age = Math.max(0, this.now() - this.newest) / 1000;
    const shown = age < 10 ? age.toFixed(1) : Math.floor(age);
    if (this.doc.body.dataset.mood === "blind") {
      return this.zh ? `页面实时 · 数据 ${shown} 秒前` : `page live · data ${shown} s old`;
    }
    return this.zh ? `实时 · 最新数据 ${shown} 秒前` : `live · newest data ${shown} s ago`;
  }

  /** Into and out of "not live": the page then claims nothing. */
  turn(state) {
    const { body } = this.doc;
    if (state === "old") {
      this.kept = { mood: body.dataset.mood, title: this.text("title"), line: this.text("line") };
      const at = timeOfDay(this.base, this.offset);
      body.dataset.mood = "old";
      this.put("title", this.zh ? "本页已停止更新：以下内容已过时" : "This page is not live: the picture below is old");
      this.put(
        "line",
        this.zh ? `最后已知 ${at}：${this.kept.title}。每 2 秒重试` : `Last known, ${at}: ${this.kept.title}. Trying again every 2 s.`,
      );
    } else if (this.state === "old") {
      body.dataset.mood = this.kept.mood;
      this.put("title", this.kept.title);
      this.put("line", this.kept.line);
    }
    this.state = state;
    this.doc.getElementById("clock").dataset.state = state;
  }

  text(id) {
    return this.doc.getElementById(id).textContent;
  }

  put(id, text) {
    const element = this.doc.getElementById(id);
    if (element.textContent !== text) element.textContent = text;
  }
}
