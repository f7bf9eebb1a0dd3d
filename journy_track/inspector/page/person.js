// One user or account: what is known of it, with whom it belongs together, and what happened, newest first.

import { copyButton, dayAndTime, el, number, shown, time } from "./dom.js";
import { fact, head, link, part, table } from "./detail.js";
import { identityText, isEvent, kindOf, same, statusText } from "./model.js";
import { nameOf, titleOf } from "./rows.js";

const AT_ONCE = 100; // entries of the timeline

export function person(kind, known, arrived, others, onClose) {
  const one = kind === "users" ? "user" : "account";
  const items = arrived.items.filter((item) => names(item, kind, known)).reverse();
  const title = nameOf(known) || known.id || known.alias;
  const made = [
    head(title, [`${one === "user" ? "User" : "Account"} ${identityText(known)}`], onClose),
    el("div", { class: "buttons" },
      known.id ? copyButton(known.id, `the ID ${known.id}`, "ID") : null,
      el("a", { class: "secondary", href: filtered(one, known) }, "Filter the events"),
    ),
    el("dl", { class: "facts" },
      fact(one === "user" ? "E-mail" : "Domain", known.alias ?? "–"),
      fact("Events", number(known.events)),
      fact("First seen", dayAndTime(known.first)),
      fact("Last seen", dayAndTime(known.last)),
    ),
  ];
  const properties = Object.keys(known.properties).length;
  made.push(part("Properties", properties > 0 ? table(known.properties, "Properties") : el("p", { class: "quiet" }, "None.")));
  if (kind === "users") {
    const memberOf = others.filter((account) => account.members.some((member) => same(member, known)));
    made.push(part("Accounts", links("accounts", memberOf, "Added to none.")));
    if (known.devices.length > 0) made.push(part("Devices", el("ul", { class: "plain-list" }, ...known.devices.map((device) => el("li", {}, el("code", {}, device))))));
  } else {
    made.push(part(`Members, ${known.members.length}`, links("users", known.members, "None were added.")));
    if (known.removed.length > 0) made.push(part("Removed members", links("users", known.removed, "")));
  }
  made.push(part("Timeline", timeline(items, kind)));
  return made;
}

function filtered(one, known) {
  const search = new URLSearchParams({ [one]: `=${known.id ?? known.alias}` });
  return `?${search}#/events`;
}

const names = (item, kind, known) => (kind === "users" ? item.users.some((user) => same(user, known)) : same(item.account, known));

function links(kind, identities, none) {
  if (identities.length === 0) return el("p", { class: "quiet" }, none);
  const list = el("ul", { class: "plain-list" });
  more(list, identities, (identity) => el("li", {}, link(kind, identity)));
  return list;
}

function timeline(items, kind) {
  if (items.length === 0) return el("p", { class: "quiet" }, "Nothing of what is still kept names it.");
  const list = el("ol", { class: "timeline", "aria-label": "Timeline" });
  more(list, items, (item) => entry(item, kind));
  return list;
}

function entry(item, kind) {
  const bad = item.status === 0 || item.status >= 400;
  const values = Object.entries(item.values).filter(([name]) => !["trace_id", "span_id"].includes(name)).slice(0, 6);
  const other = kind === "users" ? identityText(item.account) : item.users.map(identityText).join(", ");
  return el(
    "li",
    { class: `${kindOf(item)}${bad ? " failed" : ""}` },
    el("a", { href: `#/${isEvent(item) ? "events" : "requests"}/${item.number}` },
      el("b", {}, titleOf(item)),
      bad ? el("span", { class: "badge bad" }, statusText(item)) : null,
      el("time", { datetime: item.at }, time(item.at).slice(0, 8)),
    ),
    other ? el("p", { class: "quiet" }, other) : null,
    values.length > 0 ? el("p", { class: "chips" }, ...values.map(([name, value]) => el("span", { class: "chip" }, el("i", {}, name), " ", value === null ? "deleted" : shown(value)))) : null,
  );
}

// A long list grows when somebody asks for more of it.
function more(list, items, make) {
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
