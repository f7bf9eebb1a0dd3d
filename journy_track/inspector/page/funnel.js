// A funnel: how many users did one thing, then another. Its steps are in the address.

import { filterOf, setSteps, stepsOf } from "./address.js";
import { el, icon, number } from "./dom.js";
import { link } from "./detail.js";
import { failed, happened, identityText, isEvent } from "./model.js";
import { more } from "./timeline.js";

const NAMES = 200; // that can be chosen from
const PAUSE = 300; // milliseconds between two drawings while events pour in

export class Funnel {
  constructor(section) {
    this.section = section;
    this.opened = new Set(); // steps whose users are unfolded
  }

  // `items()`: those that count, as the filter lets them through.
  show(items) {
    this.items = items;
    this.waiting ??= setTimeout(() => {
      this.waiting = undefined;
      if (!this.section.hidden) this.#draw();
    }, this.drawn ? PAUSE : 0);
  }

  // At once, for what the reader did.
  #choose(steps) {
    setSteps(steps);
    this.opened.clear();
    this.#draw();
  }

  #draw() {
    this.drawn = true;
    const focused = document.activeElement?.dataset.key;
    const steps = stepsOf();
    const items = this.items();
    const { reached, nobodys } = funnelOf(items, steps);
    const filtering = Object.keys(filterOf()).some((name) => name !== "event");
    this.section.replaceChildren(...[
      el("h2", {}, "Funnel"),
      el("p", { class: "quiet" }, "How many users did one thing and later, at any time after that, the next."),
      steps.length > 0
        ? el("ol", { class: "steps", "aria-label": "Steps" }, ...reached.map((step, place) => this.#step(step, place, steps, reached)))
        : el("p", { class: "quiet" }, "No steps yet. Choose events by name, in order."),
      el("h3", {}, steps.length > 0 ? "Add a step" : "Events"),
      this.#names(items, steps),
      el("p", { class: "quiet" }, [
        `This counts the accepted events that this page holds${filtering ? " and that match the filter" : ""}, each once.`,
        nobodys > 0 && `${number(nobodys)} of them name no user.`,
      ].filter(Boolean).join(" ")),
    ]);
    if (focused) this.section.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #step({ name, users, stopped }, place, steps, reached) {
    const first = reached[0].users;
    const before = place > 0 ? reached[place - 1].users : null;
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("i"));
    bar.firstChild.style.width = `${first > 0 ? (users / first) * 100 : 0}%`;
    const shares = before === null ? null : place === 1 ? `${percent(users, before)} of them` : `${percent(users, before)} of the step before, ${percent(users, first)} of the first`;
    return el("li", {},
      el("div", { class: "step" },
        el("b", {}, name),
        el("span", { class: "users" }, number(users), users === 1 ? " user" : " users"),
        el("button", { type: "button", class: "icon", "data-key": `remove-${place}`, "aria-label": `Remove the step ${name}`, title: "Remove this step",
          onclick: () => this.#choose(steps.filter((_, other) => other !== place)) }, icon("close"))),
      bar,
      shares && el("p", { class: "quiet" }, shares),
      this.#stopped(stopped, place, steps.length));
  }

  // Who came so far and no further: whom to look at.
  #stopped(stopped, place, length) {
    if (stopped.length === 0 || length < 2) return null;
    const last = place === length - 1;
    const list = el("ul", { class: "plain-list" });
    more(list, stopped, (user) => el("li", {}, link("users", user)));
    const words = `${number(stopped.length)} ${last ? "got to the end" : stopped.length === 1 ? "goes no further" : "go no further"}`;
    const folded = el("details", { open: this.opened.has(place) }, el("summary", { "data-key": `stopped-${place}` }, words), list);
    folded.addEventListener("toggle", () => this.opened[folded.open ? "add" : "delete"](place));
    return folded;
  }

  #names(items, steps) {
    const counts = new Map();
    for (const item of items) if (isCounted(item)) counts.set(item.name, (counts.get(item.name) ?? 0) + 1);
    if (counts.size === 0) return el("p", { class: "quiet" }, "No events have been accepted yet.");
    const names = [...counts].sort(([one, count], [other, times]) => times - count || (one < other ? -1 : 1)).slice(0, NAMES);
    return el("div", { class: "choices" }, ...names.map(([name, count]) =>
      el("button", { type: "button", class: "secondary", "data-key": `name-${name}`, title: `Add ${name} as the next step`, onclick: () => this.#choose([...steps, name]) },
        name, " ", el("b", {}, number(count)))));
  }
}

const percent = (part, whole) => (whole === 0 ? "–" : `${Math.round((part / whole) * 100)} %`);

// What a step can be: an event that was accepted, and not the repetition of one.
const isCounted = (item) => isEvent(item) && Boolean(item.name) && !failed(item) && item.outcome !== "duplicate";

// Of each step how many users reached it, and who of them got no further. `items` in any order.
export function funnelOf(items, steps) {
  const events = items.filter(isCounted).sort((one, other) => Date.parse(happened(one)) - Date.parse(happened(other)));
  // A user may be named by ID here, by e-mail there: what named both joins them.
  const idOf = new Map(events.flatMap((item) => item.users).filter((user) => user.id && user.alias).map((user) => [user.alias, user.id]));
  const people = new Map();
  let nobodys = 0;
  for (const item of events) {
    if (item.users.length === 0) nobodys += 1;
    for (const user of item.users) {
      const key = user.id ?? idOf.get(user.alias) ?? user.alias;
      const one = people.get(key) ?? { user: user.id ? user : { ...user, id: idOf.get(user.alias) }, done: 0 };
      people.set(key, one);
      if (one.done < steps.length && item.name === steps[one.done]) one.done += 1;
    }
  }
  const all = [...people.values()];
  const reached = steps.map((name, place) => ({
    name,
    users: all.filter((one) => one.done > place).length,
    stopped: all.filter((one) => one.done === place + 1).map((one) => one.user).sort((one, other) => (identityText(one) < identityText(other) ? -1 : 1)),
  }));
  return { reached, nobodys };
}
