// The address says which view is open, which entry of it, and what the filter lets through.

import { FILTERS } from "./model.js";

export function filterOf() {
  const search = new URLSearchParams(location.search);
  return Object.fromEntries(FILTERS.map((name) => [name, search.get(name)]).filter(([, value]) => value));
}

export function setFilter(filter) {
  history.replaceState(null, "", `${location.pathname}${searchOf(filter, stepsOf())}${location.hash}`);
}

// The funnel's steps: names of events, in order. Back undoes a change.
export const stepsOf = () => new URLSearchParams(location.search).getAll("step");

export function setSteps(steps) {
  history.pushState(null, "", `${location.pathname}${searchOf(filterOf(), steps)}${location.hash}`);
}

// A link to a view with this filter, that keeps the funnel's steps.
export const address = (filter, view) => `${searchOf(filter, stepsOf()) || "?"}#/${view}`;

function searchOf(filter, steps) {
  const query = new URLSearchParams([...Object.entries(filter), ...steps.map((name) => ["step", name])]).toString();
  return query ? `?${query}` : "";
}

// The first of `views` for an address that names none of them.
export function routeOf(views) {
  const [, view, ...rest] = location.hash.replace(/^#/, "").split("/");
  const chosen = rest.join("/");
  return { view: views.includes(view) ? view : views[0], chosen: chosen === "" ? null : decoded(chosen) };
}

// Says whether that was somewhere else.
export function goTo(view, chosen, replace) {
  const hash = `#/${view}${chosen === null ? "" : `/${encodeURIComponent(chosen)}`}`;
  if (hash === location.hash) return false;
  history[replace ? "replaceState" : "pushState"](null, "", `${location.pathname}${location.search}${hash}`);
  return true;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody typed a lone %
  }
}
