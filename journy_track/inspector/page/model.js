// What arrived, as far as the page holds it, and what of it the filter lets through. Oldest first.

const KINDS = {
  trackEvent: "event", trackJourneyEvent: "event", upsertUser: "user", upsertAccount: "account",
  addUserToAccount: "membership", removeUserFromAccount: "membership", link: "link",
  deleteUser: "delete", deleteAccount: "delete",
};
export const FILTERS = ["q", "event", "user", "account", "kind", "failed"];

export const kindOf = (item) => KINDS[item.operation] ?? (item.operation ? "read" : "other");
export const isEvent = (item) => kindOf(item) === "event";
export const failed = (item) => item.status === 0 || item.status >= 400;
export const statusText = (item) => (item.status === 0 ? "dropped" : String(item.status));
export const identityText = (who) => [who?.id, who?.alias].filter(Boolean).join(" · ");

export class Arrived {
  constructor() {
    this.clear();
    this.keep = 10000;
  }

  clear() {
    this.items = [];
  }

  get first() {
    return this.items.length > 0 ? this.items[0].number : 0;
  }

  get last() {
    return this.items.length > 0 ? this.items.at(-1).number : 0;
  }

  // What is new, oldest first; says what of it was not there yet.
  append(items) {
    const last = this.last;
    const fresh = items.filter((item) => item.number > last);
    this.items.push(...fresh);
    // In steps: each one moves all that stays.
    if (this.items.length > this.keep * 1.05) this.items.splice(0, this.items.length - this.keep);
    return fresh;
  }

  prepend(items) {
    const first = this.first;
    this.items = items.filter((item) => item.number < first).concat(this.items);
  }
}

// A function that says whether an item passes. `view` is "events" or "requests".
export function matcher(view, filter) {
  const tests = [];
  if (view === "events") tests.push(isEvent);
  const text = fold(filter.q);
  if (text) tests.push((item) => searchable(item).includes(text));
  if (filter.event) tests.push(named(filter.event, (item) => [item.name]));
  if (filter.user) tests.push(named(filter.user, (item) => item.users.flatMap((user) => [user.id, user.alias])));
  if (filter.account) tests.push(named(filter.account, (item) => [item.account?.id, item.account?.alias]));
  if (filter.kind) tests.push((item) => kindOf(item) === filter.kind);
  if (filter.failed) tests.push(failed);
  return (item) => tests.every((test) => test(item));
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
    item.name, item.method, item.path, item.operation, statusText(item), item.message, identityText(item.account),
    ...item.users.map(identityText), JSON.stringify(item.values),
  ].join("\n").toLowerCase();
  return item.text;
}

export function matchesPerson(person, text) {
  if (!fold(text)) return true;
  person.text ??= `${identityText(person)}\n${JSON.stringify(person.properties)}`.toLowerCase();
  return person.text.includes(fold(text));
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
