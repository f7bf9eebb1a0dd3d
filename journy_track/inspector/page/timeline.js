// A list of what happened, as long as somebody asks for: of a user or account, or the messages of a batch.

import { ago, dateOf, el, number, time, valueText } from "./dom.js";
import { failed, happened, identityText, isEvent, keyOf, kindOf } from "./model.js";
import { badge, titleOf } from "./rows.js";
import { headingOf, sessionsOf } from "./sessions.js";

const AT_ONCE = 100; // entries
const LATE = 60_000; // milliseconds between an event and its arrival that are told

// `kind`: of whom, "users" or "accounts", who are not named again; null: of nobody.
export function timeline(items, kind, label = "Timeline", none = "Nothing that is still kept mentions it.") {
  if (items.length === 0) return el("p", { class: "quiet" }, none);
  const list = el("ol", { class: "timeline", "aria-label": label });
  const sessions = kind === null ? [] : sessionsOf(items);
  const headings = new Map(sessions.map((session) => [session[0], headingOf(session, kind === "accounts")]));
  more(list, items, (item) => {
    const made = entry(item, kind);
    if (headings.has(item)) made.prepend(el("p", { class: "session" }, headings.get(item)));
    return made;
  });
  return list;
}

// Newest first, by when it happened: what arrived late stands where it belongs.
export const byTime = (items) => [...items].reverse().sort((one, other) => new Date(happened(other)) - new Date(happened(one)));

function entry(item, kind) {
  const values = Object.entries(item.values).filter(([name]) => !["trace_id", "span_id"].includes(name)).slice(0, 6);
  const users = item.users.map(identityText).join(", ");
  const account = identityText(item.account);
  const at = happened(item);
  const late = Math.abs(new Date(item.at) - new Date(at)) >= LATE;
  const other = kind === "users" ? account : kind === "accounts" ? users : [users, account].filter(Boolean).join(" in ");
  return el(
    "li",
    { class: `${kindOf(item)}${failed(item) ? " failed" : ""}` },
    el("a", { href: `#/${isEvent(item) ? "events" : "requests"}/${keyOf(item)}` },
      el("b", {}, titleOf(item)),
      failed(item) || item.outcome === "duplicate" ? badge(item) : null,
      el("time", { datetime: at, title: `${dateOf(at)}, ${time(at)}` }, time(at).slice(0, 8)),
    ),
    kind === null ? null : el("p", { class: "quiet" }, ago(at), late ? `, arrived ${dateOf(item.at)}, ${time(item.at).slice(0, 8)}` : null),
    other ? el("p", { class: "quiet" }, other) : null,
    values.length > 0 ? el("p", { class: "chips" }, ...values.map(([name, value]) => el("span", { class: "chip" }, el("i", {}, name), " ", value === null ? "deleted" : valueText(value)))) : null,
  );
}

// A long list grows when somebody asks for more of it.
export function more(list, items, make) {
  let done = 0;
  const button = el("button", { type: "button", class: "secondary" });
  const last = el("li", { class: "more" }, button);
  function grow() {
    last.remove();
    list.append(...items.slice(done, done + AT_ONCE).map(make));
    done = Math.min(items.length, done + AT_ONCE);
    if (done < items.length) {
      button.textContent = `${number(items.length - done)} more`;
      list.append(last);
    }
  }
  button.addEventListener("click", grow);
  grow();
}
