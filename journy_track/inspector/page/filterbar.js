// The filter's fields: filled from the address, read into it.

import { filterOf, setFilter } from "./address.js";
import { byId, el } from "./dom.js";
import { FILTERS } from "./model.js";

const SUGGESTED = 200; // names in the suggestions of a field
const LOOKED_AT = 3000; // of the newest items, for names to suggest

export class FilterBar {
  constructor(onChange, items) {
    this.form = byId("filter");
    this.onChange = onChange;
    this.form.addEventListener("input", () => this.#changed());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("focusin", () => this.#suggest(items()));
    byId("clear").addEventListener("click", () => {
      this.set({});
      this.search.focus();
    });
    byId("more").addEventListener("click", () => {
      byId("more").setAttribute("aria-expanded", this.form.classList.toggle("unfolded"));
    });
  }

  get search() {
    return this.form.elements.q;
  }

  set(filter) {
    setFilter(filter);
    this.fill();
    this.onChange();
  }

  fill() {
    const filter = filterOf();
    for (const name of FILTERS) {
      const field = this.form.elements[name];
      if (field.type === "checkbox") field.checked = Boolean(filter[name]);
      else if (field.value !== (filter[name] ?? "")) field.value = filter[name] ?? "";
    }
    this.#summarise(filter);
  }

  #changed() {
    const filter = {};
    for (const name of FILTERS) {
      const field = this.form.elements[name];
      const value = field.type === "checkbox" ? (field.checked ? "1" : "") : field.value;
      if (value.trim()) filter[name] = value;
    }
    setFilter(filter);
    this.#summarise(filter);
    this.onChange();
  }

  #summarise(filter) {
    const set = Object.keys(filter).filter((name) => name !== "q").length;
    byId("clear").hidden = Object.keys(filter).length === 0;
    const badge = byId("more").querySelector("b");
    badge.hidden = set === 0;
    badge.textContent = set;
  }

  #suggest(items) {
    const seen = { event: new Set(), user: new Set(), account: new Set() };
    const add = (set, value) => value && set.size < SUGGESTED && set.add(value);
    for (const item of items.slice(-LOOKED_AT).reverse()) {
      add(seen.event, item.name);
      for (const user of item.users) add(seen.user, user.id ?? user.alias);
      add(seen.account, item.account?.id ?? item.account?.alias);
    }
    for (const [kind, values] of Object.entries(seen)) {
      byId(`${kind}s-seen`).replaceChildren(...[...values].sort().map((value) => el("option", { value })));
    }
  }
}
