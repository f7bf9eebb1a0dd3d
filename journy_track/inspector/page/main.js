// The page: which view is shown, what the filter lets through, the keys.

import { filterOf, goTo, routeOf } from "./address.js";
import { Budget } from "./budget.js";
import { head, message, request } from "./detail.js";
import { Chart } from "./chart.js";
import { byId, number, say } from "./dom.js";
import { fillEmpty } from "./empty.js";
import { Catalogue } from "./catalogue.js";
import { faultsPanel, reset } from "./faults.js";
import { FilterBar } from "./filterbar.js";
import { Funnel } from "./funnel.js";
import { List } from "./list.js";
import { Live } from "./live.js";
import { Arrived, People, entriesOf, isHeld, keyOf, matcher, matchesPerson } from "./model.js";
import { Mirror } from "./mirror.js";
import { person } from "./person.js";
import { report } from "./report.js";
import { ACCOUNTS, EVENTS, REQUESTS, USERS } from "./rows.js";
import { highlight } from "./search.js";
import { readSettings, settings } from "./settings.js";

// Views that are lists, and those that are not, in the order of their keys.
const VIEWS = { events: EVENTS, users: USERS, accounts: ACCOUNTS, requests: REQUESTS };
const arrived = new Arrived();
const people = { users: new People("users"), accounts: new People("accounts") };
const list = new List(byId("list-body"), (entry) => open(entry), (rows) => highlight(rows, filterOf().q));
const budget = new Budget(byId("budget"));
const funnel = new Funnel(byId("funnel"));
const catalogue = new Catalogue(byId("catalogue"), () => list.redraw());
const mirror = new Mirror(onSettled);
const SHEETS = {
  budget: () => budget.refresh().catch(() => {}), // the stream says when the inspector is gone
  funnel: () => funnel.show(forFunnel()),
  catalogue: () => catalogue.refresh().catch(() => {}),
};
const ALL = [...Object.keys(VIEWS), ...Object.keys(SHEETS)];
const detail = byId("detail");
const filterBar = new FilterBar(onFilter, () => arrived.listed("events"));
const chart = new Chart(byId("chart"), (from, to) => narrow({ from, to }), (name) => narrow({ event: `=${name}` }));
const faults = faultsPanel((pending) => showPending(pending));
let run = null;
let counts = { requests: 0 };
let route = { view: null, chosen: null };
let passing = []; // what the filter lets through, oldest first
let matches = () => true;
let held = null; // what came while the list is held back; null: it isn't
let state = "connecting";

// ── What arrives ────────────────────────────────────────────────────────────────────────────────────────

function onNews(answer, kind) {
  if (held !== null && kind === "new" && answer.run === run) {
    held.push(answer);
    showLive();
    return;
  }
  if (answer.run !== run) startAnew(answer.run);
  arrived.keep = answer.keep;
  counts = answer.counts;
  const reports = arrived.report(answer.reports);
  showEmpty(); // first: in a list that is hidden nothing can be brought into sight
  if (kind === "older") {
    arrived.prepend(answer.requests);
    filterAll();
    if (isPeople()) showDetail();
  } else {
    const fresh = arrived.append(answer.requests);
    if (fresh.length > 0 || reports.length > 0) take(fresh, reports);
    const gone = fresh.some((item) => item.operation === "deleteUser" || item.operation === "deleteAccount");
    if (fresh.length > 0 || kind === "newest") refreshPeople(gone);
  }
  showCounts();
  mirror.show(answer.forwarded, answer.keep);
  showPending(answer.faults);
  faults.refresh();
}

function startAnew(newRun) {
  const first = run === null;
  run = newRun;
  if (held !== null) held = [];
  arrived.clear();
  mirror.clear();
  people.users.clear();
  people.accounts.clear();
  passing = [];
  if (isPeople()) list.show([], { keep: false });
  else filterAll();
  if (first) showDetail();
  else close();
}

function take(fresh, reports) {
  const first = route.view === "events" ? Math.max(arrived.first, arrived.firstListed) : arrived.first;
  if (passing.length > 0 && passing[0].number < first) passing = passing.filter((item) => isHeld(item, first));
  const more = arrived.listed(route.view, fresh, reports).filter((item) => isHeld(item, first) && matches(item));
  passing = more.length > 0 ? passing.concat(more) : passing;
  if (fresh.some((item) => item.attempt > 1)) follow(fresh);
  if (!isPeople()) showList();
  if (route.view === "funnel") SHEETS.funnel();
  if (reports.some((item) => item.place === route.chosen)) {
    shownDetail = null;
    showDetail();
  }
}

// What was tried again: its latest attempt takes the place of the ones before, also where those were looked at.
function follow(fresh) {
  passing = passing.filter((item) => !item.retried);
  list.redraw(); // a batch may have been split
  for (const item of arrived.listed(route.view, fresh, [])) {
    const before = arrived.attemptsOf(item).at(-2);
    if (!before) continue;
    if (keyOf(before) === list.active) list.active = keyOf(item);
    if (keyOf(before) === route.chosen) go(route.view, keyOf(item), true);
  }
}

// What became of requests at journy.io.
function onSettled() {
  if (isPeople() || isSheet()) return;
  if (filterOf().q?.includes("forwarded=")) filterAll();
  list.redraw();
  shownDetail = null;
  showDetail();
}

function filterAll({ keep = true } = {}) {
  filtered = location.search;
  matches = matcher(route.view === "events" ? "events" : "requests", filterOf());
  passing = arrived.listed(route.view).filter(matches);
  if (!isPeople()) showList({ keep });
  if (route.view === "funnel") SHEETS.funnel();
}

// What the filter lets through, but for the event's name: a funnel is of several.
function forFunnel() {
  const { event, ...filter } = filterOf();
  return () => arrived.listed("events").filter(matcher("events", filter));
}

function showList(options) {
  if (isSheet()) return;
  // The column is there once something has a trace.
  list.grid.toggleAttribute("data-traced", passing.some((item) => item.values.trace_id !== undefined));
  list.show(passing, options);
  showChart();
  showMatches(passing.length);
}

function showChart() {
  if (route.view !== "events") return;
  const { from, to, ...filter } = filterOf();
  chart.show(from || to ? arrived.listed("events").filter(matcher("events", filter)) : passing, { from, to });
}

function narrow(more) {
  const filter = { ...filterOf(), ...more };
  filterBar.set(Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null)));
}

let refreshing = false;
let again = null;
async function refreshPeople(all = false) {
  if (run === null) return;
  if (!isPeople()) {
    if (all) for (const kind of Object.values(people)) kind.run = null; // asked for as a whole when they are looked at
    return;
  }
  if (refreshing) {
    again = (again ?? false) || all;
    return;
  }
  refreshing = true;
  try {
    await Promise.all([people.users.refresh(run, all), people.accounts.refresh(run, all)]);
    if (isPeople()) {
      showPeople();
      if (route.chosen !== null) showDetail();
    }
  } catch {
    // The stream says that the inspector is gone, and asks again when it is back.
  }
  setTimeout(() => {
    refreshing = false;
    if (again !== null) {
      const asked = again;
      again = null;
      refreshPeople(asked);
    }
  }, 500);
}

function showPeople({ keep = true } = {}) {
  filtered = location.search;
  const text = filterOf().q ?? "";
  const known = people[route.view].known.filter((one) => matchesPerson(one, text));
  list.show(known, { keep });
  list.redraw();
  showMatches(known.length);
}

const isPeople = () => route.view === "users" || route.view === "accounts";
const isSheet = () => route.view in SHEETS;

// ── What is said around the list ────────────────────────────────────────────────────────────────────────

function showCounts() {
  for (const output of document.querySelectorAll("[data-count]")) {
    output.textContent = counts[output.dataset.count] > 0 ? number(counts[output.dataset.count]) : "";
  }
  byId("views").querySelector("[data-view=requests]").title = counts.items < counts.requests ? `${number(counts.items)} in ${number(counts.requests)} requests: the others repeat what failed` : "";
  const unsent = byId("unsent");
  unsent.hidden = arrived.reports.length === 0;
  unsent.textContent = number(arrived.reports.length);
  unsent.title = `The app reports ${number(arrived.reports.length)} ${arrived.reports.length === 1 ? "thing" : "things"}: what it did not send, and why`;
  document.title = counts.requests > 0 ? `(${number(counts.requests)}) journy inspector` : "journy inspector";
}

function showMatches(count) {
  const filter = filterOf();
  const filtering = isPeople() ? filter.q !== undefined : Object.keys(filter).length > 0;
  const full = !isPeople() && arrived.items.length >= arrived.keep ? `the newest ${number(arrived.keep)} requests are kept` : "";
  byId("matches").textContent = filtering ? `${number(count)} ${count === 1 ? "matches" : "match"}` : full;
}

function showPending(pending) {
  const badge = byId("pending");
  badge.hidden = pending === 0;
  badge.textContent = number(pending);
}

function showLive() {
  const button = byId("live");
  const shown = state === "lost" ? "lost" : held !== null ? "held" : state;
  button.dataset.state = shown;
  button.setAttribute("aria-pressed", held !== null);
  const waiting = held?.reduce((all, answer) => all + answer.requests.length, 0) ?? 0;
  const words = { connecting: "Connecting", live: "Live", lost: "Reconnecting", held: waiting > 0 ? `Held, ${number(waiting)} new` : "Held" };
  button.lastElementChild.textContent = words[shown];
  button.title = held !== null ? "Resume the list" : "Pause the list";
}

function showEmpty() {
  const nothing = counts.requests === 0 && arrived.reports.length === 0 && !isSheet();
  byId("empty").hidden = !nothing;
  byId("list").hidden = nothing || isSheet();
  filterBar.form.classList.toggle("off", nothing || (isSheet() && route.view !== "funnel"));
}

// ── Filter and views: both are in the address ───────────────────────────────────────────────────────────

function onFilter() {
  if (isPeople()) showPeople({ keep: false });
  else filterAll({ keep: false });
}

let ticking;
let filtered = null; // the search part of the address that the list stands for
function onRoute() {
  const next = routeOf(ALL);
  const changed = next.view !== route.view;
  route = next;
  if (changed) showView();
  if (changed || filtered !== location.search) {
    filterBar.fill();
    if (isPeople()) showPeople();
    else filterAll();
  }
  if (changed && isPeople()) refreshPeople();
  showDetail();
}

function showView() {
  clearInterval(ticking);
  for (const anchor of byId("views").children) {
    if (anchor.dataset.view === route.view) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  for (const sheet of Object.keys(SHEETS)) byId(sheet).hidden = route.view !== sheet;
  filterBar.form.classList.toggle("people", isPeople());
  if (route.view !== "events") chart.hide();
  showEmpty();
  if (isSheet()) {
    byId("matches").textContent = "";
    SHEETS[route.view]();
    if (route.view !== "funnel") ticking = setInterval(SHEETS[route.view], 1000);
  } else {
    list.describe(VIEWS[route.view]);
  }
}

function go(view, chosen, replace = false) {
  if (goTo(view, chosen, replace)) onRoute();
}

// ── One entry ───────────────────────────────────────────────────────────────────────────────────────────

function open(entry, { replace = route.chosen !== null, focus = true } = {}) {
  if (!entry) return;
  const key = list.key(entry);
  go(route.view, String(key), replace);
  if (focus) detail.focus({ preventScroll: true });
}

function close() {
  if (route.chosen === null) return;
  const within = detail.contains(document.activeElement);
  go(route.view, null);
  if (within || document.activeElement === document.body) list.grid.focus({ preventScroll: true });
}

let shownDetail = null;
async function showDetail() {
  const { view, chosen } = route;
  if (run === null) return;
  if (chosen === null || view in SHEETS) {
    detail.hidden = true;
    list.sought = null;
    document.body.classList.remove("with-detail");
    shownDetail = null;
    return;
  }
  document.body.classList.add("with-detail");
  detail.hidden = false;
  const which = `${run}/${view}/${chosen}`;
  const content = isPeople() ? personDetail(view, chosen, which) : await requestDetail(view, chosen, which);
  if (content === null || which !== `${run}/${route.view}/${route.chosen}`) return; // it is there, or another was chosen
  const scrolled = shownDetail === which ? detail.scrollTop : 0;
  shownDetail = which;
  const focused = detail.contains(document.activeElement) && document.activeElement !== detail;
  detail.replaceChildren(...content);
  detail.scrollTop = scrolled;
  if (focused) detail.focus({ preventScroll: true });
}

let shownPerson = null; // null: who is shown is not known
function personDetail(view, chosen, which) {
  const known = people[view].find(chosen);
  const same = shownDetail === which && shownPerson !== null;
  if (!known) shownPerson = null;
  if (!known) return [head(chosen, ["Nothing is known by this name: it was deleted, or has not been seen yet."], close)];
  // Drawn again only for what concerns it: somebody may be reading.
  const drawn = `${known.number} ${people.accounts.known.length} ${arrived.first}`;
  if (same && drawn === shownPerson) return null;
  shownPerson = drawn;
  if (!same) list.activate(VIEWS[view].key(known));
  return person(view, known, arrived, people.accounts.known, close);
}

async function requestDetail(view, chosen, which) {
  if (shownDetail === which) return null;
  if (chosen.startsWith("r")) {
    const reported = arrived.reports.find((item) => item.place === chosen);
    list.activate(chosen);
    return reported ? report(reported, close) : [head("Not sent", ["This report is no longer kept."], close)];
  }
  const [number_, place] = chosen.split(".").map(Number); // a message stands behind the number of its request
  const row = arrived.items.find((one) => one.number === number_);
  // The latest attempt stands for the others.
  list.activate(view === "requests" ? String(row ? arrived.attemptsOf(row).at(-1).number : number_) : chosen);
  const response = await fetch(`__inspector/requests/${number_}`).catch(() => null);
  if (!response?.ok) return [head(`Request ${chosen}`, ["It is no longer kept."], close)];
  const { item, ...full } = await response.json();
  const held = arrived.items.find((one) => one.number === number_) ?? item;
  if (!(place > 0 && item.messages)) return request(item, full, arrived, held, close);
  return message(item, full, place - 1, arrived.attemptsOf(entriesOf(held)[place - 1] ?? held), close);
}

// ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "Escape") return onEscape(event, typing);
  if (typing) {
    if (event.key === "Enter" && typing.name === "q") focusMain();
    return;
  }
  const onList = event.target === list.grid || event.target === document.body || event.target === detail || event.target.id === "content";
  if (event.key === "/") {
    event.preventDefault();
    filterBar.search.select();
    filterBar.search.focus();
  } else if (event.key === "?") byId("keys").showModal();
  else if (event.key === "h") byId("live").click();
  else if (ALL[event.key - 1]) go(ALL[event.key - 1], null);
  else if (event.key === "j" || (event.key === "ArrowDown" && event.target === list.grid)) step(1, event);
  else if (event.key === "k" || (event.key === "ArrowUp" && event.target === list.grid)) step(-1, event);
  else if (event.target === list.grid && event.key === "PageDown") step(list.visible, event);
  else if (event.target === list.grid && event.key === "PageUp") step(-list.visible, event);
  else if (event.target === list.grid && event.key === "Home") step(-Infinity, event);
  else if (event.target === list.grid && event.key === "End") step(Infinity, event);
  else if (event.key === "Enter" && onList) open(list.activeEntry());
}

const focusMain = () => (byId("list").hidden ? byId("content") : list.grid).focus();

function step(steps, event) {
  if (isSheet()) return;
  event.preventDefault();
  const entry = list.move(steps);
  if (!entry) return;
  if (route.chosen !== null) open(entry, { replace: true, focus: false });
  else if (document.activeElement !== list.grid) list.grid.focus({ preventScroll: true });
}

function onEscape(event, typing) {
  if (typing) {
    if (typing.name === "q" && typing.value !== "") {
      const { q, ...rest } = filterOf();
      filterBar.set(rest);
    } else focusMain();
    event.preventDefault();
  } else close();
}

// ── Start ───────────────────────────────────────────────────────────────────────────────────────────────

byId("live").addEventListener("click", () => {
  if (held === null) held = [];
  else {
    const waiting = held;
    held = null;
    for (const answer of waiting) onNews(answer, "new");
  }
  showLive();
});
byId("open-faults").addEventListener("click", () => faults.open());
byId("open-reset").addEventListener("click", () => byId("reset").showModal());
byId("reset").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  await reset();
  byId("reset").close();
  say("Forgotten");
});
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
}
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  focusMain();
});
document.addEventListener("keydown", onKey);
// Links within the page that set a filter keep the page: it would be loaded anew.
document.addEventListener("click", (event) => {
  const anchor = event.target.closest('a[href^="?"], a[href^="#/"]');
  if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const target = new URL(anchor.href);
  const search = anchor.getAttribute("href").startsWith("?") ? target.search : location.search;
  history.pushState(null, "", `${location.pathname}${search}${target.hash}`);
  onRoute();
  if (!detail.hidden && anchor.closest("main")) detail.focus({ preventScroll: true });
});
window.addEventListener("popstate", onRoute);

fillEmpty();
await readSettings().catch(() => {}); // the line to the inspector says that it is gone
if (settings.catalogue) {
  byId("views").querySelector("[data-view=catalogue]").hidden = false;
  catalogue.refresh().catch(() => {});
}
onRoute();
new Live(onNews, (next) => {
  state = next;
  showLive();
}).open();
