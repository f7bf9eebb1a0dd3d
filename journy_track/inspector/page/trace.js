// A trace: the events that share it, and a link to where the reader keeps traces.

import { address } from "./address.js";
import { el } from "./dom.js";
import { settings } from "./settings.js";

const STORED = "trace-link";
const PLACE = "{trace_id}";

// Only what is an address, and nothing that a browser would run.
function linkOf(template, trace) {
  if (!template.includes(PLACE) || !/^https?:\/\/[^\s]+$/.test(template)) return null;
  return template.replaceAll(PLACE, encodeURIComponent(trace));
}

export function traceLinks(trace) {
  const backend = el("a", { rel: "noreferrer", target: "_blank" }, "Open the trace");
  const input = el("input", { "aria-label": "Address of a trace", placeholder: `address with ${PLACE} in it`, spellcheck: "false", value: stored() || (settings.trace_url ?? "") });
  function update() {
    const link = linkOf(input.value.trim(), trace);
    backend.hidden = link === null;
    if (link === null) backend.removeAttribute("href");
    else backend.href = link;
    store(link === null || input.value.trim() === settings.trace_url ? "" : input.value.trim());
  }
  input.addEventListener("input", update);
  update();
  return el("div", { class: "trace-links" },
    el("a", { href: address({ trace }, "events") }, "Events of this trace"), backend,
    el("details", {}, el("summary", {}, "Link to your tracing"), input));
}

// A browser may forbid storage: then the link lasts as long as the page.
let unstored = "";
function stored() {
  try {
    return localStorage.getItem(STORED) ?? unstored;
  } catch {
    return unstored;
  }
}

function store(template) {
  unstored = template;
  try {
    if (template === "") localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, template);
  } catch {
    // as above
  }
}
