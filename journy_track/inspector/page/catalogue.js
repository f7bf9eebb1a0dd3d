// The committed catalogue beside what arrived: events never seen here, and events that it does not know.

import { address } from "./address.js";
import { el, number } from "./dom.js";
import { isEvent } from "./model.js";

let names = null; // of the catalogue; null: there is none

// Whether this is an event that the catalogue does not have.
export const isUnknown = (item) => names !== null && isEvent(item) && Boolean(item.name) && !names.has(item.name);

export class Catalogue {
  // `onNames()`: what is unknown has changed.
  constructor(section, onNames) {
    Object.assign(this, { section, onNames, text: "" });
  }

  async refresh() {
    const response = await fetch("__inspector/catalogue");
    const text = await response.text();
    if (text === this.text) return;
    this.text = text;
    const answer = JSON.parse(text);
    const before = names === null ? "" : [...names].join("\n");
    names = answer.names ? new Set(answer.names) : null;
    this.#draw(answer);
    if (before !== (names === null ? "" : [...names].join("\n"))) this.onNames();
  }

  #draw({ file, names: known, seen, is_whole: isWhole, problem, message }) {
    const made = [el("h2", {}, "Catalogue")];
    if (!known) {
      made.push(el("p", { class: "wrong" }, problem ?? message));
      made.push(el("p", { class: "quiet" }, "Write one with ", el("code", {}, "journy-track catalog --output events.md"), ", and name it: ", el("code", {}, "journy-track inspect --catalog events.md"), "."));
    } else {
      const unknown = seen.filter((name) => !names.has(name)).sort();
      const never = known.filter((name) => !seen.includes(name)).sort();
      const both = known.filter((name) => seen.includes(name)).sort();
      made.push(
        el("p", { class: "quiet" }, `What this inspector has accepted since its start or its last reset, compared with the ${number(known.length)} events of `, el("code", {}, file), "."),
        isWhole ? null : el("p", { class: "quiet" }, "Some names are only made when the code runs: the catalogue does not include those."),
        ...group("Seen, but not in the catalogue", unknown, "None: all events that arrived are in it.", (name) => [link(name), similar(name, known)]),
        ...group("In the catalogue, but never seen here", never, "None: all of its events have arrived.", (name) => [el("span", {}, name)]),
        ...group("Seen", both, "None so far.", (name) => [link(name)]),
      );
    }
    const focused = document.activeElement?.dataset.key;
    this.section.replaceChildren(...made.filter((one) => one !== null));
    if (focused) this.section.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }
}

function group(title, list, none, make) {
  const content = list.length === 0 ? el("p", { class: "quiet" }, none)
    : el("ul", { class: "plain-list", "aria-label": title }, ...list.map((name) => el("li", {}, ...make(name))));
  return [el("h3", {}, `${title}, ${number(list.length)}`), content];
}

const link = (name) => el("a", { href: address({ event: `=${name}` }, "events"), "data-key": name }, name);

// One that only looks different: most are misspelt.
function similar(name, known) {
  const other = known.find((one) => plain(one) === plain(name));
  return other === undefined ? null : el("span", { class: "alias" }, `the catalogue has ${other}`);
}

const plain = (name) => name.trim().toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "_");
