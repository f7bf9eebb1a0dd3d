// JSON, line by line, with what is wrong said below the field that it is about.

import { el, shown } from "./dom.js";

const MOST = 3000; // lines

// `errors` and `warnings`: reasons by dotted path, as the API returns them.
export function annotated(value, errors = new Map(), warnings = new Map()) {
  const lines = [];
  const told = new Set();

  function tell(path, depth) {
    for (const [reasons, kind] of [[errors, "bad"], [warnings, "warn"]]) {
      if (!reasons.has(path) || told.has(path)) continue;
      told.add(path);
      lines.push(el("span", { class: `line note ${kind}`, "data-depth": Math.min(depth, 9), "data-field": path }, `${"  ".repeat(depth)}▲ ${shown(reasons.get(path))}`));
    }
  }

  function line(depth, ...parts) {
    lines.push(el("span", { class: "line" }, "  ".repeat(depth), ...parts, "\n"));
  }

  // What is missing has no line: it is told at the end of what should hold it.
  function missing(path, depth) {
    for (const reasons of [errors, warnings]) {
      for (const wanted of reasons.keys()) {
        const holder = wanted.includes(".") ? wanted.slice(0, wanted.lastIndexOf(".")) : "";
        if (holder === path && !told.has(wanted)) {
          lines.push(el("span", { class: "line missing", "data-field": wanted }, `${"  ".repeat(depth)}${wanted.slice(holder.length).replace(/^\./, "")}: ?\n`));
          tell(wanted, depth);
        }
      }
    }
  }

  function write(prefix, value, path, depth, comma) {
    if (lines.length > MOST) return;
    const isList = Array.isArray(value);
    if (value !== null && typeof value === "object") {
      const entries = Object.entries(value);
      const [open, close] = isList ? ["[", "]"] : ["{", "}"];
      if (entries.length === 0 && !holds(path)) {
        line(depth, ...prefix, open + close + comma);
        return tell(path, depth);
      }
      line(depth, ...prefix, open);
      if (path !== "") tell(path, depth);
      entries.forEach(([name, item], place) => {
        const inner = path === "" ? name : `${path}.${name}`;
        const key = isList ? [] : [el("i", {}, JSON.stringify(name)), ": "];
        write(key, item, inner, depth + 1, place < entries.length - 1 ? "," : "");
      });
      missing(path, depth + 1);
      line(depth, close + comma);
    } else {
      const kind = typeof value === "string" ? "text" : "number";
      line(depth, ...prefix, el("span", { class: kind }, JSON.stringify(value)), comma);
      tell(path, depth);
    }
  }

  const holds = (path) => [...errors.keys(), ...warnings.keys()].some((wanted) => wanted.startsWith(path === "" ? "" : `${path}.`));

  write([], value, "", 0, "");
  if (lines.length > MOST) lines.push(el("span", { class: "line quiet" }, "… and more: copy the body to see all of it"));
  for (const [reasons, kind] of [[errors, "bad"], [warnings, "warn"]]) {
    for (const [path, reason] of reasons) {
      if (!told.has(path)) lines.push(el("span", { class: `line note ${kind}`, "data-field": path }, `${path}: ${shown(reason)}`));
    }
  }
  return el("pre", { class: "json", tabindex: 0 }, ...lines);
}
