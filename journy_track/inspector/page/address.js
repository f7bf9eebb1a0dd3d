// The address says which view is open, which entry of it, and what the filter lets through.

import { FILTERS } from "./model.js";

export function filterOf() {
  const search = new URLSearchParams(location.search);
  return Object.fromEntries(FILTERS.map((name) => [name, search.get(name)]).filter(([, value]) => value));
}

export function setFilter(filter) {
  const query = new URLSearchParams(filter).toString();
  history.replaceState(null, "", `${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
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
