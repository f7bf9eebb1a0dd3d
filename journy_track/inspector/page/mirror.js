// The mirror: that what is accepted here is also sent to journy.io, and what became of it there.

import { address } from "./address.js";
import { byId, el, icon, number } from "./dom.js";
import { settings } from "./settings.js";

const settled = new Map(); // by the number of the request

export class Mirror {
  constructor(onSettled) {
    this.onSettled = onSettled;
    this.clear();
  }

  clear() {
    settled.clear();
    this.sequence = 0;
  }

  // `progress`: of the inspector, or null where nothing is sent on.
  show(progress, keep) {
    byId("mirror").hidden = !progress || !settings.forward;
    if (byId("mirror").hidden) return;
    const { sent, failed, waiting, sequence } = progress;
    byId("mirror").replaceChildren(
      el("span", {}, el("b", {}, "Live data: also sent to journy.io. "),
        el("span", { class: "where" }, `What is accepted here goes to ${settings.forward.to} as well, with the key ${settings.forward.key}.`)),
      el("span", { class: "progress" }, `${number(sent)} sent`, ", ",
        failed > 0 ? el("a", { href: address({ q: "forwarded=failed" }, "requests") }, `${number(failed)} failed`) : "none failed",
        waiting > 0 ? `, ${number(waiting)} waiting` : null));
    if (sequence > this.sequence) this.#ask(keep);
  }

  async #ask(keep) {
    if (this.asking) return;
    this.asking = true;
    try {
      const response = await fetch(`__inspector/forwarded?after=${this.sequence}`);
      const answer = await response.json();
      for (const one of answer.settled) {
        settled.set(one.number, one);
        if (settled.size > keep) settled.delete(settled.keys().next().value);
      }
      this.sequence = answer.forwarded.sequence;
      if (answer.settled.length > 0) this.onSettled();
    } catch {
      // The stream says that the inspector is gone; the next news asks again.
    } finally {
      this.asking = false;
    }
  }
}

export const outcomeOf = (item) => (item.report ? undefined : settled.get(item.number));

// For a row: that it was sent on, or that this failed.
export function mirrored(item) {
  const one = outcomeOf(item);
  if (!one) return null;
  const words = one.problem ? `Failed at journy.io: ${one.problem}` : "Also sent to journy.io";
  return el("span", { class: `mirrored${one.problem ? " failed" : ""}`, title: words }, icon("forward"), one.problem ? "!" : null, el("span", { class: "hidden" }, words));
}

// For the search: forwarded=sent, forwarded=failed.
export const wordOf = (item) => (outcomeOf(item) ? (outcomeOf(item).problem ? "failed" : "sent") : undefined);
