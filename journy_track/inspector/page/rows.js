// How each view's rows look.

import { bytes, copyButton, dayAndTime, el, milliseconds, number, time, valueText } from "./dom.js";
import { isUnknown } from "./catalogue.js";
import { mirrored } from "./mirror.js";
import { countOf, failed, isEvent, keyOf, reasonOf, statusText } from "./model.js";

const CHIPS = 8; // more don't fit into any row
const NOT_SHOWN = new Set(["trace_id", "span_id"]); // they have a column of their own

export function badge(item) {
  if (item.report) return el("b", { class: `badge ${item.report.kind === "dropped" ? "bad" : "warn"}` }, item.report.kind);
  if (item.outcome === "duplicate" || item.outcome === "ignored") {
    const kind = item.outcome === "ignored" ? "bad" : "warn";
    return el("b", { class: `badge ${kind}`, title: OUTCOMES[item.outcome] }, item.outcome);
  }
  const count = item.messages && countOf(item);
  if (count && !failed(item) && count.duplicate + count.ignored > 0) {
    const words = [count.ignored > 0 && `${number(count.ignored)} ignored`, count.duplicate > 0 && `${number(count.duplicate)} known`];
    const title = `Of ${number(count.all)} messages ${number(count.ignored)} were ignored, and ${number(count.duplicate)} were already known`;
    return el("b", { class: "badge warn", title }, [statusText(item), words.filter(Boolean)[0]].join(" · "));
  }
  const kind = failed(item) ? "bad" : item.wrong > 0 ? "warn" : "good";
  const rejected = item.outcome ? `${item.wrong} left out` : `${statusText(item)} · ${item.wrong} rejected`;
  const text = kind === "warn" ? rejected : statusText(item);
  return el("b", { class: `badge ${kind}`, title: item.message ?? false }, text);
}

export const OUTCOMES = {
  accepted: "Accepted",
  duplicate: "A duplicate: a message with this ID had already arrived, so this one was ignored",
  ignored: "Ignored: it is invalid. The sender is not notified",
  refused: "Refused, together with the whole request",
};

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

// In a row a moment to the minute is enough.
const brief = (value) => (typeof value === "string" && MOMENT.test(value) ? value.slice(0, 16).replace("T", " ") : valueText(value));

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
  if (item.messages) return batch(item);
  if (item.users.length <= 1) return who(item.users[0]);
  return [el("span", {}, `${number(item.users.length)} users`), el("span", { class: "alias" }, item.users.map((user) => user.id ?? user.alias).join(", "))];
}

export function typesOf(count) {
  return Object.entries(count.types).map(([type, times]) => `${number(times)} ${type}`).join(", ");
}

function batch(item) {
  const count = countOf(item);
  return [el("span", {}, count.all === 1 ? "1 message" : `${number(count.all)} messages`), el("span", { class: "alias" }, typesOf(count))];
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
  batch: "Batch", track: "Track", identify: "Identify", group: "Group", page: "Page", screen: "Screen", alias: "Alias",
};

export const titleOf = (item) => (item.report && (item.name || "Warning")) || (isEvent(item) && item.name) || TITLES[item.type] || TITLES[item.operation] || (item.outcome ? "Not a message" : "No such call");

function nameIn(item) {
  if (!item.name) return [el("span", { class: "nobody" }, item.name === "" ? "empty name" : "no name")];
  return isUnknown(item) ? [item.name, el("b", { class: "badge warn unknown", title: "The committed catalogue does not have this event" }, "unknown")] : item.name;
}

// How often it was tried, where that was more than once.
const triesOf = (item) => item.tries ?? (item.place === undefined && !item.part_of ? item.attempt : 1);
const tries = (item) => triesOf(item) > 1
  ? el("span", { class: "tries", title: `Attempt ${number(triesOf(item))}: the ones before failed` }, `${number(triesOf(item))}×`) : null;

// In the list of requests: how often, and whether it is a part of a batch that failed.
function attempt(item) {
  if (item.split) return [tries(item), el("b", { class: "badge warn", title: "Its messages were sent again in other batches" }, "split")];
  if (item.part_of) return [tries(item), el("b", { class: "badge", title: `It has messages of request ${number(item.part_of)}, which failed` }, "part")];
  return triesOf(item) > 1 ? [el("b", { class: "badge warn" }, `${number(triesOf(item))}×`)] : [el("span", { class: "nobody" }, "1×")];
}

// Why something was not sent, and where in the app that was: over all columns between its name and its status.
function unsent(item) {
  const where = [reasonOf(item), item.report.place].filter(Boolean).join(", ");
  const row = [time(item.at), titleOf(item), [where ? el("b", {}, where) : null, el("span", { class: "alias" }, item.message)], [], [], [], [badge(item)]];
  return cells(item.place, row, ["unsent", item.report.kind === "dropped" ? "failed" : ""]);
}

function cells(item, list, classes = []) {
  list.id = item;
  list.classes = classes;
  return list;
}

const STATUS = { name: "Status", class: "status" };
const TIME = { name: "Time", class: "time" };

export const EVENTS = {
  label: "Events",
  empty: "No events match this filter.",
  key: keyOf,
  columns: [TIME, { name: "Event", class: "name" }, { name: "User", class: "user" }, { name: "Account", class: "account" },
    { name: "Metadata", class: "data" }, { name: "Trace", class: "trace" }, STATUS],
  row: (item) => item.report ? unsent(item) : cells(keyOf(item), [
    time(item.at), nameIn(item), who(item.users[0]), who(item.account), chips(item.values), traced(item), [mirrored(item), tries(item), badge(item)],
  ], failed(item) ? ["failed"] : []),
};

export const REQUESTS = {
  label: "Requests",
  empty: "No requests match this filter.",
  key: keyOf,
  columns: [TIME, { name: "Call", class: "name" }, { name: "Path", class: "path" }, { name: "About", class: "about" },
    { name: "Attempt", class: "attempt" }, { name: "Latency", class: "latency" }, { name: "Size", class: "size" }, STATUS],
  row: (item) => cells(keyOf(item), [
    time(item.at), titleOf(item), el("code", {}, `${item.method} ${item.path}`),
    item.messages || item.users.length > 0 ? members(item) : who(item.account),
    attempt(item), milliseconds(item.ms), bytes(item.size), [mirrored(item), badge(item)],
  ], failed(item) ? ["failed"] : []),
};

const text = (value) => (typeof value === "string" ? value : "");

export const nameOf = (person) =>
  text(person.properties.full_name) || text(person.properties.name) ||
  [person.properties.first_name ?? person.properties.firstName, person.properties.last_name ?? person.properties.lastName].map(text).filter(Boolean).join(" ");

const rowId = (person) => encodeURIComponent(person.id ?? person.alias);

export const USERS = {
  label: "Users",
  empty: "No users match this search.",
  key: (user) => user.id ?? user.alias,
  columns: [{ name: "Last seen", class: "time" }, { name: "ID", class: "name" }, { name: "Name", class: "full" }, { name: "E-mail", class: "mail" },
    { name: "Events", class: "count" }, { name: "Properties", class: "data" }],
  row: (user) => cells(rowId(user), [
    dayAndTime(user.last), user.id ?? user.alias, nameOf(user) || "–", user.alias ?? "–", number(user.events),
    chips(user.properties, new Set(["full_name", "first_name", "last_name", "firstName", "lastName"])),
  ]),
};

export const ACCOUNTS = {
  label: "Accounts",
  empty: "No accounts match this search.",
  key: (account) => account.id ?? account.alias,
  columns: [{ name: "Last seen", class: "time" }, { name: "ID", class: "name" }, { name: "Name", class: "full" }, { name: "Domain", class: "mail" },
    { name: "Members", class: "count" }, { name: "Events", class: "count" }, { name: "Properties", class: "data" }],
  row: (account) => cells(rowId(account), [
    dayAndTime(account.last), account.id ?? account.alias, nameOf(account) || "–", account.alias ?? "–",
    number(account.members.length), number(account.events), chips(account.properties, new Set(["name"])),
  ]),
};
