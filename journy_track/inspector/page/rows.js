// How each view's rows look.

import { bytes, copyButton, dayAndTime, el, milliseconds, number, shown, time } from "./dom.js";
import { failed, isEvent, statusText } from "./model.js";

const CHIPS = 8; // more don't fit into any row
const NOT_SHOWN = new Set(["trace_id", "span_id"]); // they have a column of their own

export function badge(item) {
  const kind = failed(item) ? "bad" : item.wrong > 0 ? "warn" : "good";
  const text = kind === "warn" ? `${statusText(item)} · ${item.wrong} rejected` : statusText(item);
  return el("b", { class: `badge ${kind}`, title: item.message ?? false }, text);
}

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

// In a row a moment to the minute is enough.
const brief = (value) => (typeof value === "string" && MOMENT.test(value) ? value.slice(0, 16).replace("T", " ") : shown(value));

export function chips(values, hidden = NOT_SHOWN) {
  const made = [];
  for (const [name, value] of Object.entries(values)) {
    if (made.length === CHIPS) break;
    if (hidden.has(name)) continue;
    made.push(el("span", { class: "chip" }, el("i", {}, name), " ", value === null ? "deleted" : brief(value)));
  }
  return made;
}

function who(identity) {
  if (!identity) return [el("span", { class: "nobody" }, "–")];
  if (!identity.id) return [el("span", {}, identity.alias)];
  return [el("span", {}, identity.id), identity.alias ? el("span", { class: "alias" }, identity.alias) : null];
}

function members(item) {
  if (item.users.length <= 1) return who(item.users[0]);
  return [el("span", {}, `${item.users.length} users`), el("span", { class: "alias" }, item.users.map((user) => user.id ?? user.alias).join(", "))];
}

function traced(item) {
  const trace = item.values.trace_id;
  if (typeof trace !== "string") return [];
  const button = copyButton(trace, "trace ID");
  button.tabIndex = -1; // in a list, Tab leaves it; the ID is in the details as well
  return [el("code", {}, trace.slice(0, 8)), button];
}

export const TITLES = {
  upsertUser: "Upsert user", upsertAccount: "Upsert account", addUserToAccount: "Add users", link: "Link device",
  removeUserFromAccount: "Remove users", deleteUser: "Delete user", deleteAccount: "Delete account",
  trackEvent: "Track event", trackJourneyEvent: "Track event (old path)", getValidity: "Check the key",
  getTrackingSnippet: "Get snippet", getEvents: "List events", getUserProperties: "List user properties",
  getAccountProperties: "List account properties", getUserSegments: "List user segments",
  getAccountSegments: "List account segments",
};

export const titleOf = (item) => (isEvent(item) && item.name) || TITLES[item.operation] || "No such call";

function cells(item, list, classes = []) {
  list.id = item;
  list.classes = classes;
  return list;
}

const STATUS = { name: "Status", class: "status" };
const TIME = { name: "Time", class: "time" };

export const EVENTS = {
  label: "Events",
  empty: "No event passes this filter.",
  key: (item) => item.number,
  columns: [TIME, { name: "Event", class: "name" }, { name: "User", class: "user" }, { name: "Account", class: "account" },
    { name: "Metadata", class: "data" }, { name: "Trace", class: "trace" }, STATUS],
  row: (item) => cells(item.number, [
    time(item.at), item.name ?? "–", who(item.users[0]), who(item.account), chips(item.values), traced(item), [badge(item)],
  ], failed(item) ? ["failed"] : []),
};

export const REQUESTS = {
  label: "Requests",
  empty: "No request passes this filter.",
  key: (item) => item.number,
  columns: [TIME, { name: "Call", class: "name" }, { name: "Path", class: "path" }, { name: "About", class: "about" },
    { name: "Attempt", class: "attempt" }, { name: "Latency", class: "latency" }, { name: "Size", class: "size" }, STATUS],
  row: (item) => cells(item.number, [
    time(item.at), titleOf(item), el("code", {}, `${item.method} ${item.path}`),
    item.users.length > 0 ? members(item) : who(item.account),
    item.attempt > 1 ? [el("b", { class: "badge warn" }, `${item.attempt}×`)] : [el("span", { class: "nobody" }, "1×")],
    milliseconds(item.ms), bytes(item.size), [badge(item)],
  ], failed(item) ? ["failed"] : []),
};

const text = (value) => (typeof value === "string" ? value : "");

export const nameOf = (person) =>
  text(person.properties.full_name) || text(person.properties.name) ||
  [person.properties.first_name, person.properties.last_name].map(text).filter(Boolean).join(" ");

const rowId = (person) => encodeURIComponent(person.id ?? person.alias);

export const USERS = {
  label: "Users",
  empty: "No user passes this search.",
  key: (user) => user.id ?? user.alias,
  columns: [{ name: "Last seen", class: "time" }, { name: "ID", class: "name" }, { name: "Name", class: "full" }, { name: "E-mail", class: "mail" },
    { name: "Events", class: "count" }, { name: "Properties", class: "data" }],
  row: (user) => cells(rowId(user), [
    dayAndTime(user.last), user.id ?? "–", nameOf(user) || "–", user.alias ?? "–", number(user.events),
    chips(user.properties, new Set(["full_name", "first_name", "last_name"])),
  ]),
};

export const ACCOUNTS = {
  label: "Accounts",
  empty: "No account passes this search.",
  key: (account) => account.id ?? account.alias,
  columns: [{ name: "Last seen", class: "time" }, { name: "ID", class: "name" }, { name: "Name", class: "full" }, { name: "Domain", class: "mail" },
    { name: "Members", class: "count" }, { name: "Events", class: "count" }, { name: "Properties", class: "data" }],
  row: (account) => cells(rowId(account), [
    dayAndTime(account.last), account.id ?? "–", nameOf(account) || "–", account.alias ?? "–",
    number(account.members.length), number(account.events), chips(account.properties, new Set(["name"])),
  ]),
};
