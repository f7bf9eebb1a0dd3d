// What arrived, as far as the page holds it, and what of it the filter lets through. Oldest first.

import { searched } from "./search.js";

const KINDS = {
  trackEvent: "event", trackJourneyEvent: "event", upsertUser: "user", upsertAccount: "account",
  addUserToAccount: "membership", removeUserFromAccount: "membership", link: "link",
  deleteUser: "delete", deleteAccount: "delete", batch: "batch",
};
// What a message is, where that is not what the REST API would make of it.
const KINDS_OF_MESSAGES = { track: "event", identify: "user", page: "page", screen: "page", alias: "other" };
export const FILTERS = ["q", "event", "user", "account", "kind", "failed", "trace", "from", "to"];

// What an app reports of itself, as an entry of the list of events: behind the request that had arrived last.
const MAX_REPORTS = 1000;
const reported = ({ number, after, kind, reason, place, text, ...shared }) =>
  ({ ...shared, number: after, place: `r${number}`, report: { number, kind, reason, place }, message: text, users: [], account: null, wrong: 0 });

export function kindOf(item) {
  if (item.report) return "unsent";
  if (item.messages) return "batch";
  if (item.type !== undefined) return KINDS_OF_MESSAGES[item.type] ?? KINDS[item.operation] ?? "other";
  return KINDS[item.operation] ?? (item.operation ? "read" : "other");
}
export const isEvent = (item) => kindOf(item) === "event";
export const failed = (item) => item.status === 0 || item.status >= 400 || item.outcome === "ignored" || item.report !== undefined;
export const reasonOf = (item) => item.report?.reason.replaceAll("_", " ");
export const statusText = (item) => (item.status === 0 ? "dropped" : String(item.status));
// When it happened, as far as it was told; else when it arrived.
export const happened = (item) => (Number.isNaN(Date.parse(item.triggered)) ? item.at : item.triggered);
export const keyOf = (item) => item.place ?? String(item.number);

// The messages of a batch beside other requests: each under the number of its request and its place in it, from 1.
export function entriesOf(item) {
  if (!item.messages) return [item];
  const { messages, entries, text, ...shared } = item;
  item.entries ??= messages.map((message) => ({ ...shared, ...message, place: `${item.number}.${message.position + 1}` }));
  return item.entries;
}

// Those of the app's reports that belong to requests which are held.
export const isHeld = (item, first) => item.number >= (item.report ? first - 1 : first);

function listed(view, items, reports, first) {
  if (view !== "events") return items.filter((item) => !item.retried);
  const entries = items.flatMap((item) => (item.retried ? [] : entriesOf(item).filter((entry) => !entry.retried)));
  const held = reports.filter((report) => isHeld(report, first));
  return held.length > 0 ? entries.concat(held).sort((one, other) => one.number - other.number || order(one) - order(other)) : entries;
}

// At the same request: its messages first, in their order, then what was reported after it.
const order = (item) => (item.report ? 1e9 + item.report.number : (item.position ?? 0));

export const identityText = (who) => [who?.id, who?.alias].filter(Boolean).join(" · ");

export class Arrived {
  constructor() {
    this.clear();
    this.keep = 10000;
  }

  clear() {
    this.items = [];
    this.reports = [];
    this.chains = new Map(); // the attempts of one request, by the number of the first
    this.parts = new Map(); // of a batch that failed, what its messages came again in, by the number of its first attempt
    this.sent = new Map(); // the entries of one message, by its ID
    this.messages = 0; // how many the items hold
    this.firstListed = 0; // number of the first item whose messages are held
  }

  get first() {
    return this.items.length > 0 ? this.items[0].number : 0;
  }

  // What a view lists of some items, or of all.
  listed(view, items = this.items, reports = this.reports) {
    return listed(view, items, reports, this.first);
  }

  // What an app reports, oldest first; says what of it was not there yet.
  report(sent) {
    const last = this.reports.at(-1)?.report.number ?? 0;
    const fresh = sent.filter((one) => one.number > last).map(reported);
    this.reports = [...this.reports, ...fresh].slice(-MAX_REPORTS);
    return fresh;
  }

  get last() {
    return this.items.length > 0 ? this.items.at(-1).number : 0;
  }

  // All attempts of a request, or of a message, oldest first.
  attemptsOf(item) {
    return (item.place === undefined ? this.chains.get(item.first) : item.attempts) ?? [item];
  }

  // A batch that failed, and what its messages came again in: of either, without the attempts before the latest.
  relatedTo(item) {
    const root = item.part_of || item.first;
    const parts = this.parts.get(root) ?? [];
    return parts.length === 0 ? [] : [...this.items.filter((one) => one.first === root), ...parts].filter((one) => !one.retried);
  }

  #chain(items) {
    for (const item of items) {
      if (item.part_of) {
        this.parts.set(item.part_of, [...(this.parts.get(item.part_of) ?? []), item].sort(inOrder));
      }
      if (item.first !== item.number) {
        const chain = [...(this.chains.get(item.first) ?? this.items.filter((one) => one.number === item.first)), item];
        this.chains.set(item.first, latest(chain));
      }
      if (item.messages) for (const entry of entriesOf(item)) this.#again(entry);
    }
    if (this.parts.size > 0) for (const item of this.items) item.split = this.parts.has(item.first) && !item.part_of;
  }

  // A message of a batch that was refused comes again in another one, until one is not refused.
  #again(entry) {
    if (entry.id === null) return;
    const all = [...(this.sent.get(entry.id) ?? []), entry].sort(inOrder);
    this.sent.set(entry.id, all);
    let attempts = [];
    for (const one of all.length > 1 ? all : []) {
      attempts.push(one);
      one.attempts = attempts;
      if (one.outcome === "refused") continue;
      latest(attempts);
      attempts = [];
    }
    latest(attempts);
  }

  // Nothing of it is held any more.
  #forget(item) {
    this.chains.delete(item.first);
    this.parts.delete(item.first);
    this.#forgetMessages(item);
  }

  #forgetMessages(item) {
    for (const { id, number } of item.entries ?? []) {
      const rest = (this.sent.get(id) ?? []).filter((one) => one.number !== number);
      if (rest.length > 0) this.sent.set(id, rest);
      else this.sent.delete(id);
    }
  }

  // What is new, oldest first; says what of it was not there yet.
  append(items) {
    const last = this.last;
    const fresh = items.filter((item) => item.number > last);
    this.items.push(...fresh);
    // In steps: each one moves all that stays.
    this.#chain(fresh);
    if (this.items.length > this.keep * 1.05) {
      for (const gone of this.items.splice(0, this.items.length - this.keep)) this.#forget(gone);
    }
    for (const item of fresh) this.messages += item.messages?.length ?? 0;
    if (this.messages > this.keep * 1.05) this.#dropMessages();
    return fresh;
  }

  prepend(items) {
    const first = this.first;
    const older = items.filter((item) => item.number < first);
    this.items = older.concat(this.items);
    for (const item of older) {
      const chain = this.chains.get(item.number);
      // Its repetitions came before it was asked for.
      if (chain && !chain.includes(item)) this.chains.set(item.number, latest([item, ...chain]));
    }
    this.#chain(older);
    for (const item of older) this.messages += item.messages?.length ?? 0;
    if (this.messages > this.keep * 1.05) this.#dropMessages();
  }

  // The newest messages stay, as many as requests do. A batch that lost its own still stands among the requests.
  #dropMessages() {
    this.messages = 0;
    for (let place = this.items.length - 1; place >= 0; place -= 1) {
      const item = this.items[place];
      if (!item.messages) continue;
      const full = this.messages > 0 && this.messages + item.messages.length > this.keep;
      if (full) {
        for (const older of this.items.slice(0, place + 1)) {
          if (!older.messages) continue;
          this.#forgetMessages(older);
          Object.assign(older, { count: countOf(older), messages: [], entries: [] });
        }
        this.firstListed = item.number + 1;
        return;
      }
      this.messages += item.messages.length;
    }
  }
}

const inOrder = (one, other) => one.number - other.number;

// Of several attempts the latest stands for all.
function latest(attempts) {
  attempts.sort(inOrder);
  for (const [place, one] of attempts.entries()) Object.assign(one, { retried: place < attempts.length - 1, tries: place + 1 });
  return attempts;
}

// How many messages of each type a batch has, and what became of them.
export function countOf(item) {
  if (item.count) return item.count;
  const count = { all: item.messages.length, types: {}, duplicate: 0, ignored: 0 };
  for (const { type, outcome } of item.messages) {
    count.types[type ?? "untyped"] = (count.types[type ?? "untyped"] ?? 0) + 1;
    if (outcome in count) count[outcome] += 1;
  }
  return (item.count = count);
}

// A function that says whether an item passes. `view` is "events" or "requests".
export function matcher(view, filter) {
  const tests = [];
  if (view === "events") tests.push((item) => isEvent(item) || item.report !== undefined);
  if (fold(filter.q)) tests.push(searched(filter.q, searchable, (item) => item.values));
  if (filter.event) tests.push(named(filter.event, (item) => [item.name]));
  if (filter.user) tests.push(named(filter.user, (item) => item.users.flatMap((user) => [user.id, user.alias])));
  if (filter.account) tests.push(named(filter.account, (item) => [item.account?.id, item.account?.alias]));
  if (filter.kind) tests.push((item) => kindOf(item) === filter.kind || (filter.kind === "batch" && item.place !== undefined));
  if (filter.failed) tests.push(failed);
  if (filter.trace) tests.push((item) => item.values.trace_id === filter.trace);
  if (filter.from) tests.push(since(filter.from, (moment, limit) => moment >= limit));
  if (filter.to) tests.push(since(filter.to, (moment, limit) => moment < limit));
  const passes = (item) => tests.every((test) => test(item));
  // Among the requests a batch passes with any of its messages.
  return (item) => passes(item) || (item.messages !== undefined && entriesOf(item).some(passes));
}

// An address may have been mistyped: then it limits nothing.
function since(limit, holds) {
  const moment = Date.parse(limit);
  return (item) => Number.isNaN(moment) || holds(Date.parse(item.at), moment);
}

function named(wanted, values) {
  const text = fold(wanted);
  if (text.startsWith("=")) return (item) => values(item).some((value) => value && fold(value) === text.slice(1));
  return (item) => values(item).some((value) => value && fold(value).includes(text));
}

const fold = (text) => (text ?? "").trim().toLowerCase();

// Once for each item: the search runs over it with every letter that is typed.
function searchable(item) {
  item.text ??= [
    item.name, item.type, item.report?.kind, reasonOf(item), item.report?.place, item.outcome, item.method, item.path, item.operation, statusText(item), item.message, identityText(item.account),
    ...item.users.map(identityText), JSON.stringify(item.values),
  ].join("\n").toLowerCase();
  return item.text;
}

export function matchesPerson(person, text) {
  if (!fold(text)) return true;
  person.text ??= `${identityText(person)}\n${JSON.stringify(person.properties)}`.toLowerCase();
  return searched(text, (one) => one.text, (one) => one.properties)(person);
}

export const same = (one, other) =>
  Boolean((one?.id && one.id === other?.id) || (one?.alias && one.alias === other?.alias && !(one.id && other.id)));

// Users and accounts: what changed is asked for, not everything each time.
export class People {
  constructor(kind) {
    this.kind = kind;
    this.clear();
  }

  clear() {
    this.known = [];
    this.after = 0;
    this.run = null;
  }

  async refresh(run, all) {
    const after = all || run !== this.run ? 0 : this.after;
    const response = await fetch(`__inspector/${this.kind}?after=${after}`);
    if (!response.ok) throw new Error(String(response.status));
    const answer = await response.json();
    const whole = after === 0 || answer.run !== run;
    if (whole && after > 0) return this.refresh(answer.run, true);
    const changed = answer[this.kind];
    const ids = new Set(changed.map((one) => one.id).filter(Boolean));
    const aliases = new Set(changed.map((one) => one.alias).filter(Boolean));
    const rest = whole ? [] : this.known.filter((old) => !ids.has(old.id) && (old.id || !aliases.has(old.alias)));
    this.known = [...rest, ...changed].sort((one, other) => one.number - other.number);
    this.after = this.known.at(-1)?.number ?? 0;
    this.run = answer.run;
    return this;
  }

  // By the ID or the alias, as it stands in the address.
  find(name) {
    return this.known.find((one) => one.id === name) ?? this.known.find((one) => one.alias === name);
  }
}
