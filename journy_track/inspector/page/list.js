// A list of any length: only the rows in sight are in the document. Newest first.

import { el, number } from "./dom.js";

const AROUND = 6; // rows made above and below what is in sight

export class List {
  // `columns`: [{ name, class }]; `row(entry)` returns the cells; `open(entry)` when one is chosen.
  constructor(container, onOpen, onDraw = () => {}) {
    this.onOpen = onOpen;
    this.onDraw = onDraw; // with the rows, once they are in the document
    this.body = el("div", { role: "rowgroup", class: "rows" });
    this.head = el("div", { role: "row", class: "head", "aria-rowindex": 1 });
    this.grid = el("div", { role: "grid", class: "grid", tabindex: 0, id: "grid" }, el("div", { role: "rowgroup", class: "heads" }, this.head), this.body);
    this.none = el("p", { class: "none", hidden: true });
    this.newer = el("button", { type: "button", class: "newer", hidden: true });
    container.replaceChildren(this.grid, this.none, this.newer);
    this.made = new Map(); // rows in the document, by key
    this.entries = [];
    this.active = null;
    this.sought = null; // the key of an entry that shall be the active one as soon as it is listed
    this.unseen = 0;
    this.newer.addEventListener("click", () => this.toTop());
    this.grid.addEventListener("scroll", () => this.draw(), { passive: true });
    this.grid.addEventListener("click", (event) => this.#clicked(event));
    // Who comes by keyboard sees where they are.
    this.grid.addEventListener("focus", () => this.active === null && this.grid.matches(":focus-visible") && this.move(0));
    new ResizeObserver(() => this.#resized()).observe(this.grid);
  }

  // What is listed from now on: its name for readers of the screen, its columns, how a row is made.
  describe({ label, columns, row, key, empty }) {
    this.grid.setAttribute("aria-label", label);
    this.grid.setAttribute("aria-colcount", columns.length);
    this.grid.dataset.columns = label.toLowerCase();
    this.head.replaceChildren(...columns.map((column) => el("span", { role: "columnheader", class: column.class }, column.name)));
    Object.assign(this, { columns, row, key, entries: [], active: null, sought: null, unseen: 0 });
    this.none.textContent = empty;
    this.#forget();
    this.grid.scrollTop = 0;
  }

  // `entries` oldest first. What stands in sight stays there while newer ones come in above it.
  show(entries, { keep = true } = {}) {
    const top = this.grid.scrollTop;
    const anchor = keep && top > 4 ? this.entries[this.entries.length - 1 - Math.floor(top / this.height)] : null;
    const before = anchor ? this.indexOf(this.key(anchor)) : 0;
    const oldLast = this.entries.at(-1);
    this.entries = entries;
    if (this.active !== null && this.indexOf(this.active) < 0) this.active = null;
    this.body.style.height = `${entries.length * this.height}px`;
    if (anchor) {
      const now = this.indexOf(this.key(anchor));
      if (now >= 0 && now !== before) this.grid.scrollTop = top + (now - before) * this.height;
      const newest = oldLast ? this.indexOf(this.key(oldLast)) : 0;
      this.unseen += Math.max(0, newest);
    } else {
      this.unseen = 0;
      if (!keep) this.grid.scrollTop = 0;
    }
    this.none.hidden = entries.length > 0;
    this.grid.setAttribute("aria-rowcount", entries.length + 1);
    if (this.sought !== null) this.activate(this.sought);
    else this.draw();
  }

  // Rows made anew, for entries that changed under their keys.
  redraw() {
    this.#forget();
    this.draw();
  }

  get height() {
    if (this.grid.clientWidth >= 700) return 36;
    return this.grid.dataset.columns === "events" ? 80 : 58; // with a line for metadata
  }

  get visible() {
    return Math.max(1, Math.floor((this.grid.clientHeight - this.head.offsetHeight) / this.height));
  }

  // The place of a key in the list, from the newest; -1 when it is not there.
  indexOf(key) {
    for (let place = this.entries.length - 1; place >= 0; place -= 1) {
      if (this.key(this.entries[place]) === key) return this.entries.length - 1 - place;
    }
    return -1;
  }

  at(index) {
    return this.entries[this.entries.length - 1 - index];
  }

  draw() {
    if (!this.row) return;
    const height = this.height;
    if (height !== this.drawnHeight) {
      this.drawnHeight = height;
      this.body.style.height = `${this.entries.length * height}px`;
    }
    const top = this.grid.scrollTop;
    if (top <= 4) this.unseen = 0;
    this.newer.hidden = this.unseen === 0;
    this.newer.textContent = `↑ ${number(this.unseen)} newer`;
    const from = Math.max(0, Math.floor(top / height) - AROUND);
    const to = Math.min(this.entries.length, Math.ceil((top + this.grid.clientHeight) / height) + AROUND);
    const wanted = new Set();
    for (let index = from; index < to; index += 1) {
      const entry = this.at(index);
      const key = this.key(entry);
      wanted.add(key);
      let row = this.made.get(key);
      if (!row) {
        row = this.#make(entry, key);
        this.made.set(key, row);
        this.body.append(row);
      }
      row.style.transform = `translateY(${index * height}px)`;
      row.setAttribute("aria-rowindex", index + 2);
      const active = key === this.active;
      row.classList.toggle("active", active);
      row.setAttribute("aria-selected", active);
    }
    for (const [key, row] of this.made) {
      if (wanted.has(key)) continue;
      row.remove();
      this.made.delete(key);
    }
    const active = this.made.get(this.active);
    if (active) this.grid.setAttribute("aria-activedescendant", active.id);
    else this.grid.removeAttribute("aria-activedescendant");
    this.onDraw(this.body);
  }

  // Make an entry the active one and bring it into sight, once it is listed. No key: none is.
  activate(key) {
    const index = key === null ? -1 : this.indexOf(key);
    this.active = index < 0 ? null : key;
    this.sought = index < 0 ? key : null;
    if (index >= 0) this.#reveal(index);
    this.draw();
  }

  // The entry `steps` further down; returns it.
  move(steps) {
    if (this.entries.length === 0) return null;
    const index = this.active === null ? -1 : this.indexOf(this.active);
    const last = this.entries.length - 1;
    const next = index < 0 && steps !== Infinity ? 0 : Math.min(last, Math.max(0, index + steps));
    const entry = this.at(next);
    this.activate(this.key(entry));
    return entry;
  }

  activeEntry() {
    const index = this.active === null ? -1 : this.indexOf(this.active);
    return index < 0 ? null : this.at(index);
  }

  toTop() {
    this.grid.scrollTop = 0;
    this.draw();
    this.grid.focus({ preventScroll: true });
  }

  #make(entry, key) {
    const cells = this.row(entry);
    const classes = ["row", ...(cells.classes ?? [])].join(" ");
    const made = el("div", { role: "row", class: classes, id: `row-${cells.id}` });
    made.key = key;
    cells.forEach((cell, place) => {
      made.append(el("span", { role: "gridcell", class: this.columns[place].class }, ...(Array.isArray(cell) ? cell : [cell])));
    });
    return made;
  }

  // The active row stays in sight where the list gets shorter, as when the chart comes in above it.
  #resized() {
    const before = this.room ?? 0;
    this.room = this.grid.clientHeight;
    const index = this.active === null ? -1 : this.indexOf(this.active);
    const top = index * this.height - this.grid.scrollTop;
    if (index >= 0 && top >= 0 && top < before) this.#reveal(index);
    this.draw();
  }

  #reveal(index) {
    this.room = this.grid.clientHeight;
    const top = index * this.height;
    const room = this.grid.clientHeight - this.head.offsetHeight - this.height;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top > this.grid.scrollTop + room) this.grid.scrollTop = top - room;
  }

  #clicked(event) {
    const row = event.target.closest(".row");
    if (!row || event.target.closest("button")) return;
    this.active = row.key;
    this.sought = null;
    this.draw();
    this.onOpen(this.activeEntry());
  }

  #forget() {
    for (const row of this.made.values()) row.remove();
    this.made.clear();
  }
}
