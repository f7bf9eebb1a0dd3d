// Events over time, by name, above the list. A part that is brushed, or chosen by the arrow keys, filters.

import { el, number, svg, time } from "./dom.js";

const BINS = 60;
const HEIGHT = 56;
const COLOURS = 5; // names with a colour of their own; the rest shares one
const PAUSE = 300; // milliseconds between two drawings while events pour in
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400].map((seconds) => seconds * 1000);

export class Chart {
  // `onBrush(from, to)` with moments, or nulls for no limit; `onName(name)` for an event's name that was chosen.
  constructor(section, onBrush, onName) {
    Object.assign(this, { section, onBrush, onName });
    this.plot = el("div", { class: "plot", tabindex: 0, role: "group", "aria-roledescription": "chart" });
    this.names = el("p", { class: "names" });
    section.replaceChildren(this.plot, this.names);
    this.plot.addEventListener("pointerdown", (event) => this.#begin(event));
    this.plot.addEventListener("pointermove", (event) => this.pressed !== undefined && this.#mark(this.pressed, this.#binAt(event)));
    this.plot.addEventListener("pointerup", (event) => this.#end(event));
    this.plot.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.#draw()).observe(section);
  }

  // `items` oldest first, without regard to the limits of time `from` and `to`.
  show(items, { from, to }) {
    Object.assign(this, { items: items.filter((item) => item.report?.kind !== "warning"), from, to });
    this.waiting ??= setTimeout(() => {
      this.waiting = undefined;
      this.#draw();
    }, this.scale ? PAUSE : 0);
  }

  hide() {
    this.items = undefined;
    this.section.hidden = true;
  }

  #draw() {
    if (!this.items) return;
    this.section.hidden = this.items.length < 2;
    if (this.section.hidden || this.pressed !== undefined) return;
    this.scale = scaleOf(this.items);
    const { start, step, bins } = this.scale;
    const byName = new Map();
    for (const item of this.items) byName.set(nameOf(item), (byName.get(nameOf(item)) ?? 0) + 1);
    const names = [...byName].sort(([one, count], [other, times]) => times - count || (one < other ? -1 : 1)).slice(0, COLOURS).map(([name]) => name);
    const counts = Array.from({ length: bins }, () => new Array(COLOURS + 1).fill(0));
    for (const item of this.items) {
      const place = names.indexOf(nameOf(item));
      counts[Math.min(bins - 1, Math.floor((Date.parse(item.at) - start) / step))][place < 0 ? COLOURS : place] += 1;
    }
    const most = Math.max(...counts.map((parts) => parts.reduce((all, part) => all + part, 0)));
    const drawn = svg("svg", { viewBox: `0 0 ${bins} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (let part = 0; part <= COLOURS; part += 1) {
      const path = counts.map((parts, place) => {
        if (parts[part] === 0) return "";
        const below = parts.slice(0, part).reduce((all, one) => all + one, 0);
        const [low, high] = [below, below + parts[part]].map((value) => HEIGHT - (value / most) * HEIGHT);
        return `M${place + 0.08} ${low}V${high}h.84V${low}z`;
      });
      drawn.append(svg("path", { class: `part part-${part}`, d: path.join("") }));
    }
    this.brush = el("div", { class: "brush", hidden: true });
    const [first, last] = [start, start + bins * step].map((moment) => label(moment, step));
    this.plot.replaceChildren(drawn, this.brush, el("span", { class: "tick-label" }, first), el("span", { class: "tick-label end" }, last),
      el("span", { class: "tick-label most" }, number(most)));
    this.plot.setAttribute("aria-label", `Events over time, ${first} to ${last}, at most ${number(most)} at once. Arrow keys select a part, with Shift more of it; Escape selects all.`);
    this.names.replaceChildren(...names.map((name, place) =>
      el("button", { type: "button", class: `name-count part-${place}`, title: `Only ${name}`, onclick: () => this.onName(name) }, name, " ", el("b", {}, number(byName.get(name))))),
      byName.size > names.length ? el("span", { class: `name-count part-${COLOURS}` }, `${number(byName.size - names.length)} more names`) : "");
    if (this.from || this.to) this.#remark();
    else this.chosen = undefined;
  }

  // The brush of the limits. Whoever extends it by keys goes on from the end that moved last.
  #remark() {
    const [low, high] = [this.from ? this.#bin(Date.parse(this.from)) : 0, this.to ? this.#bin(Date.parse(this.to) - 1) : this.scale.bins - 1];
    const backwards = this.chosen !== undefined && this.chosen[0] > this.chosen[1];
    this.#mark(...(backwards ? [high, low] : [low, high]));
  }

  #bin(moment) {
    const { start, step, bins } = this.scale;
    return Math.max(0, Math.min(bins - 1, Math.floor((moment - start) / step)));
  }

  #binAt(event) {
    const box = this.plot.getBoundingClientRect();
    return Math.max(0, Math.min(this.scale.bins - 1, Math.floor(((event.clientX - box.left) / box.width) * this.scale.bins)));
  }

  #mark(one, other) {
    const [low, high] = [Math.min(one, other), Math.max(one, other)];
    this.chosen = [one, other];
    this.brush.hidden = false;
    this.brush.style.left = `${(low / this.scale.bins) * 100}%`;
    this.brush.style.width = `${((high - low + 1) / this.scale.bins) * 100}%`;
  }

  #apply() {
    const { start, step } = this.scale;
    const [low, high] = [Math.min(...this.chosen), Math.max(...this.chosen)];
    this.onBrush(new Date(start + low * step).toISOString(), new Date(start + (high + 1) * step).toISOString());
  }

  #clear() {
    this.chosen = undefined;
    this.onBrush(null, null);
  }

  #begin(event) {
    if (!this.scale || event.button !== 0) return;
    this.plot.setPointerCapture(event.pointerId);
    this.pressed = this.#binAt(event);
    this.#mark(this.pressed, this.pressed);
  }

  #end(event) {
    if (this.pressed === undefined) return;
    const [from, to] = [this.pressed, this.#binAt(event)];
    this.pressed = undefined;
    if (from === to && this.from) this.#clear(); // a click takes the brush away
    else {
      this.#mark(from, to);
      this.#apply();
    }
  }

  #onKey(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape" && this.from) this.#clear();
    else if (steps === undefined || !this.scale) return;
    else {
      const inRange = (place) => Math.max(0, Math.min(this.scale.bins - 1, place));
      const [anchor, at] = this.chosen ?? [this.scale.bins, this.scale.bins];
      const next = inRange(at + steps);
      this.#mark(event.shiftKey && this.chosen ? anchor : next, next);
      this.#apply();
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

const nameOf = (item) => item.name || "no name";

// Whole steps that hold all items, at most `BINS` of them.
function scaleOf(items) {
  const moments = items.map((item) => Date.parse(item.at));
  const [low, high] = moments.reduce(([low, high], moment) => [Math.min(low, moment), Math.max(high, moment)], [Infinity, -Infinity]);
  const step = STEPS.find((one) => (high - low) / one < BINS - 1) ?? (high - low) / (BINS - 1);
  const start = Math.floor(low / step) * step;
  return { start, step, bins: Math.max(10, Math.floor((high - start) / step) + 1) };
}

const label = (moment, step) => (step >= 86400000 ? new Date(moment).toLocaleDateString() : step < 1000 ? time(moment) : time(moment).slice(0, 8));
