// One user or account: what is known of it, with whom it belongs together, and what happened, newest first.

import { address } from "./address.js";
import { copyButton, dayAndTime, el, number } from "./dom.js";
import { fact, head, link, part, table } from "./detail.js";
import { identityText, same } from "./model.js";
import { nameOf } from "./rows.js";
import { GAP, sessionsOf } from "./sessions.js";
import { byTime, more, timeline } from "./timeline.js";

export function person(kind, known, arrived, others, onClose) {
  const one = kind === "users" ? "user" : "account";
  const items = arrived.listed("events").filter((item) => names(item, kind, known));
  const title = nameOf(known) || known.id || known.alias;
  const made = [
    head(title, [`${one === "user" ? "User" : "Account"} ${identityText(known)}`], onClose),
    el("div", { class: "buttons" },
      known.id ? copyButton(known.id, `the ID ${known.id}`, "ID") : null,
      el("a", { class: "secondary", href: filtered(one, known, "events") }, "Filter the events"),
      el("a", { class: "secondary", href: filtered(one, known, "funnel") }, "Funnel"),
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
    made.push(part("Accounts", links("accounts", memberOf, "Not in any account.")));
    if (known.devices.length > 0) made.push(part("Devices", el("ul", { class: "plain-list" }, ...known.devices.map((device) => el("li", {}, el("code", {}, device))))));
  } else {
    made.push(part(`Members, ${number(known.members.length)}`, links("users", known.members, "No users were added.")));
    if (known.removed.length > 0) made.push(part("Removed members", links("users", known.removed, "")));
  }
  const newest = byTime(items);
  const sessions = sessionsOf(newest).length;
  made.push(part("Timeline", items.length > 0 ? el("p", { class: "quiet" }, `${number(sessions)} ${sessions === 1 ? "session" : "sessions"}: a new one begins after ${GAP} minutes without anything.`) : null, timeline(newest, kind)));
  return made;
}

const filtered = (one, known, view) => address({ [one]: `=${known.id ?? known.alias}` }, view);

const names = (item, kind, known) => (kind === "users" ? item.users.some((user) => same(user, known)) : same(item.account, known));

function links(kind, identities, none) {
  if (identities.length === 0) return el("p", { class: "quiet" }, none);
  const list = el("ul", { class: "plain-list" });
  more(list, identities, (identity) => el("li", {}, link(kind, identity)));
  return list;
}
