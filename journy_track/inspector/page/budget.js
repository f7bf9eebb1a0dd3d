// How the key's budget is spent: requests per second, and what remains in the window. Drawn as SVG.

import { el, number, svg } from "./dom.js";

const RANGES = [[60, "1 min"], [300, "5 min"], [600, "10 min"]];
const LEFT = 54;
const RIGHT = 12;
const HEIGHTS = { rate: 190, rest: 190 };
const AXIS = 22;

export class Budget {
  constructor(section) {
    this.section = section;
    this.range = 300;
    this.chosen = null; // number of the key; null: the busiest
    this.ranges = el("div", { class: "segments", role: "group", "aria-label": "Time shown" }, ...RANGES.map(([seconds, label]) =>
      el("button", { type: "button", "data-seconds": seconds, onclick: () => { this.range = seconds; this.draw(); } }, label)));
    this.keys = el("select", { "aria-label": "Key", onchange: () => { this.chosen = Number(this.keys.value); this.draw(); } });
    this.tiles = el("dl", { class: "tiles" });
    this.rate = el("figure", {});
    this.rest = el("figure", {});
    this.readout = el("p", { class: "readout", "aria-hidden": "true" });
    section.replaceChildren(
      el("div", { class: "budget-head" }, el("h2", {}, "Budget"), this.keys, this.ranges),
      this.tiles, this.rate, this.rest, this.readout,
    );
    section.addEventListener("pointermove", (event) => this.#point(event));
    section.addEventListener("pointerleave", () => this.#unpoint());
    new ResizeObserver(() => this.draw()).observe(section);
  }

  async refresh() {
    const response = await fetch("__inspector/budget");
    if (!response.ok) throw new Error(String(response.status));
    this.data = await response.json();
    this.draw();
  }

  draw() {
    if (!this.data || this.section.hidden) return;
    for (const button of this.ranges.children) button.setAttribute("aria-pressed", Number(button.dataset.seconds) === this.range);
    const key = this.#key();
    const seconds = this.seconds = series(this.data, key, this.range);
    this.#tell(seconds);
    const width = Math.max(280, this.section.clientWidth - 2 * parseFloat(getComputedStyle(this.section).paddingLeft));
    this.scale = { width, step: (width - LEFT - RIGHT) / this.range };
    this.rate.replaceChildren(...this.#plot("rate", "Requests per second", [["taken", "answered"], ["refused", "429"], ["pace", "sustainable"]]));
    this.rest.replaceChildren(...this.#plot("rest", "Remaining in the window", [["rest", "remaining"], ["mark", "429"]]));
    if (this.pointed !== undefined) this.#show(this.pointed);
  }

  #key() {
    const keys = this.data.keys;
    this.keys.hidden = keys.length < 2;
    const busiest = [...keys].sort((one, other) => total(other) - total(one))[0];
    const chosen = keys.find((key) => key.number === this.chosen) ?? busiest;
    const isAlone = (label) => keys.filter((key) => key.key === label).length === 1;
    this.keys.replaceChildren(...keys.map((key) => {
      const told = isAlone(key.key) ? key.key : `${key.key} (no. ${key.number})`;
      const option = el("option", { value: key.number }, `Key ${told}`);
      option.selected = key === chosen;
      return option;
    }));
    return chosen;
  }

  #tell(seconds) {
    const lately = seconds.slice(-10);
    const sum = (list, field) => list.reduce((all, second) => all + second[field], 0);
    const refused = sum(seconds, "refused");
    const rest = seconds.at(-1).rest;
    const tiles = [
      ["Remaining", number(rest), `of ${number(this.data.limit)} in ${this.data.window} s`, rest < this.data.limit / 10 ? "bad" : ""],
      ["Now", (sum(lately, "requests") / lately.length).toFixed(1), "requests a second", ""],
      ["Sustainable", (this.data.limit / this.data.window).toFixed(1), "requests a second", ""],
      ["Refused", number(refused), refused === 1 ? "429 in this time" : "429s in this time", refused > 0 ? "bad" : ""],
    ];
    this.tiles.replaceChildren(...tiles.map(([name, value, unit, kind]) =>
      el("div", { class: kind }, el("dt", {}, name), el("dd", {}, el("b", {}, value), el("span", {}, unit)))));
  }

  #plot(which, title, legend) {
    const { width, step } = this.scale;
    const height = HEIGHTS[which];
    const most = which === "rate" ? nice(Math.max(4, ...this.seconds.map((second) => second.requests))) : this.data.limit;
    const sustained = this.data.limit / this.data.window;
    const y = (value) => height - AXIS - (value / most) * (height - AXIS - 10);
    const x = (place) => LEFT + place * step;
    const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${title}: ${this.#summary(which)}` });
    for (const part of [0, 0.5, 1]) {
      drawn.append(
        svg("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(most * part), y2: y(most * part) }),
        svg("text", { class: "tick", x: LEFT - 8, y: y(most * part) + 4, "text-anchor": "end" }, short(most * part)),
      );
    }
    for (const [place, label] of this.#times()) {
      drawn.append(svg("text", { class: "tick", x: x(place), y: height - 5, "text-anchor": place === this.range ? "end" : place === 0 ? "start" : "middle" }, label));
    }
    if (which === "rate") drawn.append(...this.#bars(x, y, step, sustained <= most ? sustained : null));
    else drawn.append(...this.#area(x, y, height));
    drawn.append(svg("line", { class: "pointer", y1: 6, y2: height - AXIS, x1: -10, x2: -10 }));
    const told = legend.filter(([kind]) => kind !== "pace" || sustained <= most); // a slow app is far below it
    const caption = el("figcaption", {}, el("b", {}, title),
      el("span", { class: "legends" }, ...told.map(([kind, label]) => el("span", { class: `legend ${kind}` }, label))));
    return [caption, drawn];
  }

  #bars(x, y, step, sustained) {
    const bar = (from, to, place) => {
      const gap = step > 3 ? 1 : 0;
      return `M${round(x(place))} ${round(y(from))}V${round(y(to))}h${round(step - gap)}V${round(y(from))}z`;
    };
    const taken = this.seconds.map((second, place) => (second.requests > second.refused ? bar(0, second.requests - second.refused, place) : ""));
    const refused = this.seconds.map((second, place) => (second.refused > 0 ? bar(second.requests - second.refused, second.requests, place) : ""));
    const drawn = [svg("path", { class: "taken", d: taken.join("") }), svg("path", { class: "refused", d: refused.join("") })];
    if (sustained !== null) {
      const width = this.scale.width - RIGHT;
      drawn.push(svg("line", { class: "sustained", x1: LEFT, x2: width, y1: y(sustained), y2: y(sustained) }));
    }
    return drawn;
  }

  #area(x, y, height) {
    const points = this.seconds.map((second, place) => `${round(x(place + 0.5))} ${round(y(second.rest))}`);
    const [start, end] = [round(x(0.5)), round(x(this.seconds.length - 0.5))];
    const marks = this.seconds.map((second, place) => {
      if (second.refused === 0) return "";
      const middle = x(place + 0.5);
      return `M${round(middle - 4)} ${height - AXIS}h8l-4 -8z`;
    });
    return [
      svg("path", { class: "fill", d: `M${start} ${height - AXIS}L${points.join("L")}L${end} ${height - AXIS}z` }),
      svg("path", { class: "curve", d: `M${points.join("L")}` }),
      svg("path", { class: "mark", d: marks.join("") }),
    ];
  }

  #times() {
    const parts = this.scale.width < 500 ? 2 : this.range === 60 ? 4 : 5;
    return Array.from({ length: parts + 1 }, (_, part) => {
      const place = (this.range * part) / parts;
      const ago = this.range - place;
      if (ago === 0) return [place, "now"];
      return [place, this.range === 60 ? `−${ago} s` : `−${ago / 60} min`];
    });
  }

  #summary(which) {
    if (which === "rate") return `at most ${Math.max(...this.seconds.map((second) => second.requests))}, now ${this.seconds.at(-1).requests}`;
    return `at least ${Math.min(...this.seconds.map((second) => second.rest))}, now ${this.seconds.at(-1).rest}`;
  }

  #point(event) {
    const figure = event.target.closest("figure");
    if (!figure || !this.seconds) return this.#unpoint();
    const place = Math.floor((event.clientX - figure.getBoundingClientRect().left - LEFT) / this.scale.step);
    if (place < 0 || place >= this.range) return this.#unpoint();
    return this.#show(place);
  }

  #show(place) {
    this.pointed = place;
    const second = this.seconds[place];
    const at = LEFT + (place + 0.5) * this.scale.step;
    for (const line of this.section.querySelectorAll(".pointer")) {
      line.setAttribute("x1", at);
      line.setAttribute("x2", at);
    }
    const moment = new Date(second.at * 1000).toLocaleTimeString(undefined, { hourCycle: "h23" });
    this.readout.textContent = `${moment}: ${number(second.requests)} requests, ${number(second.refused)} refused, ${number(second.rest)} remain`;
  }

  #unpoint() {
    this.pointed = undefined;
    this.readout.textContent = "";
    for (const line of this.section.querySelectorAll(".pointer")) {
      line.setAttribute("x1", -10);
      line.setAttribute("x2", -10);
    }
  }
}

// Every second of the range, with what remained at its end: the limit less what the window before it took.
export function series({ limit, window, now }, key, range) {
  const counted = new Map((key?.seconds ?? []).map(([at, requests, refused, taken]) => [at, { requests, refused, taken }]));
  const end = Math.floor(now);
  const whole = Math.ceil(window);
  let spent = 0;
  const seconds = [];
  const start = end - range - whole + 1;
  for (let at = start; at <= end; at += 1) {
    spent += counted.get(at)?.taken ?? 0;
    if (at - whole >= start) spent -= counted.get(at - whole)?.taken ?? 0;
    if (at > end - range) seconds.push({ at, requests: 0, refused: 0, taken: 0, ...counted.get(at), rest: Math.max(0, limit - spent) });
  }
  return seconds;
}

const total = (key) => key.seconds.reduce((all, [, requests]) => all + requests, 0);
const round = (value) => Math.round(value * 100) / 100;
const short = (value) => (value >= 10000 ? `${value / 1000}k` : Number.isInteger(value) ? number(value) : value.toFixed(1));

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((part) => part * power).find((step) => step >= value);
}
