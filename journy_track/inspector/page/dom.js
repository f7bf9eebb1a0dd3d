// Small words for making elements. Everything that came over the wire becomes text here, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

// Attributes by name; "on…" listens; children that are no elements become text.
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export function icon(name) {
  return svg("svg", { "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

let silence;
export function say(sentence) {
  const said = byId("said");
  said.textContent = sentence;
  said.classList.add("shown");
  clearTimeout(silence);
  silence = setTimeout(() => said.classList.remove("shown"), 1800);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https and off this machine there is no clipboard: the old way asks nobody.
    const area = el("textarea", { class: "hidden", readonly: true });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`Copied ${what}`);
}

export function copyButton(text, what, label) {
  const button = el(
    "button",
    { type: "button", class: label ? "secondary" : "icon", title: `Copy ${what}`, "aria-label": `Copy ${what}` },
    icon("copy"),
    label,
  );
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    copy(text, what);
  });
  return button;
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

export const time = (moment) => clock.format(new Date(moment));

export function dayAndTime(moment) {
  const date = new Date(moment);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date).slice(0, 8) : `${day.format(date)}, ${clock.format(date).slice(0, 5)}`;
}

const dayInFull = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export const dateOf = (moment) => dayInFull.format(new Date(moment));

// How long ago, in the largest unit that fits: "3 days ago".
export function ago(moment, now = Date.now()) {
  const seconds = (new Date(moment) - now) / 1000;
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / length), unit);
}

export const number = (value) => value.toLocaleString("en");

export function bytes(size) {
  if (size < 1000) return `${size} B`;
  return size < 1e6 ? `${(size / 1000).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

export function milliseconds(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

// A value of metadata, so that an empty text and a list can be told from nothing and from a text.
export const valueText = (value) => (value === "" || Array.isArray(value) ? JSON.stringify(value) : shown(value));

export function shown(value) {
  if (typeof value === "string") return value;
  return Array.isArray(value) ? value.join(", ") : JSON.stringify(value);
}
