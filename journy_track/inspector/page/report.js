// What an app reports of itself: what it did not send and why, or a warning of its log.

import { copyButton, el, time } from "./dom.js";
import { fact, head, part, table } from "./detail.js";
import { reasonOf } from "./model.js";
import { badge, titleOf } from "./rows.js";

export function report(item, onClose) {
  const { kind, place } = item.report;
  const dropped = kind === "dropped";
  const facts = [];
  if (dropped) facts.push(fact("Dropped", reasonOf(item)));
  if (place) facts.push(fact("Place", el("code", { class: "id" }, place), copyButton(place, "the place")));
  if (item.operation) facts.push(fact("Call", el("code", {}, item.operation)));
  facts.push(fact("Reported by", "the app itself. None of this was sent to the API"));
  const made = [
    head(titleOf(item), [badge(item), ` ${dropped ? "not sent" : "logged"} at ${time(item.at)}`], onClose),
    item.message ? el("p", { class: dropped ? "wrong" : "warned" }, item.message) : null,
    el("dl", { class: "facts" }, ...facts),
    Object.keys(item.values).length > 0 ? part("Values", table(item.values, "Values")) : null,
  ];
  return made.filter((child) => child !== null);
}
