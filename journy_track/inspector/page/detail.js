// One request in full: who, what, the raw call and its response, each wrong field at its place.

import { bytes, copyButton, el, icon, milliseconds, number, shown, time, valueText } from "./dom.js";
import { annotated } from "./json.js";
import { outcomeOf } from "./mirror.js";
import { countOf, entriesOf, identityText, isEvent, keyOf } from "./model.js";
import { OUTCOMES, badge, titleOf, typesOf } from "./rows.js";
import { timeline } from "./timeline.js";
import { traceLinks } from "./trace.js";

export function head(title, subtitle, onClose) {
  return el(
    "header",
    { class: "detail-head" },
    el("button", { type: "button", class: "icon close", "aria-label": "Close the details", title: "Close (Esc)", onclick: onClose }, icon("close"), icon("back")),
    el("div", {}, el("h2", { id: "detail-title" }, title), el("p", { class: "quiet" }, ...subtitle)),
  );
}

export const link = (kind, identity) =>
  el("a", { href: `#/${kind}/${encodeURIComponent(identity.id ?? identity.alias)}` }, identityText(identity));

export function fact(name, ...values) {
  return el("div", {}, el("dt", {}, name || el("span", { class: "hidden" }, "Links")), el("dd", {}, ...values));
}

// `reasons`: what is wrong with a value, by its name.
export function table(values, caption, reasons = {}) {
  const rows = Object.entries(values).map(([name, value]) =>
    el("tr", {},
      el("th", { scope: "row" }, name),
      el("td", {}, value === null ? el("i", {}, "deleted") : valueText(value), name in reasons ? el("em", {}, shown(reasons[name])) : null),
    ),
  );
  return el("table", { class: "values" }, el("caption", { class: "hidden" }, caption), el("tbody", {}, ...rows));
}

export const part = (title, ...content) => el("section", {}, el("h3", {}, title), ...content);

const code = (text) => el("code", { class: "id" }, text);

// `held`: the item as the list has it.
export function request(item, full, arrived, held, onClose) {
  const attempts = arrived.attemptsOf(held);
  const related = arrived.relatedTo(held);
  const body = mapping(full.json);
  const answer = mapping(full.answer);
  const metadata = mapping(body.metadata);
  const values = isEvent(item) ? metadata : mapping(body.properties);
  const made = [
    head(titleOf(item), [badge(item), ` ${full.method} ${full.path} at ${time(full.received_at)}`], onClose),
    el("div", { class: "buttons" },
      copyButton(full.curl, "as curl", "curl"),
      copyButton(full.python, "as Python", "Python"),
      full.body ? copyButton(full.body, "the body", "Body") : null,
    ),
    whatWentWrong(item, answer),
    el("dl", { class: "facts" }, ...facts(item, full, body, metadata)),
  ];
  const own = Object.fromEntries(Object.entries(values).filter(([name]) => !(isEvent(item) && IN_FACTS.includes(name) && typeof values[name] === "string")));
  if (Object.keys(own).length > 0) {
    made.push(isEvent(item)
      ? part("Metadata", table(own, "Metadata", within(mapping(mapping(answer.errors).fields), "metadata.")))
      : part("Properties", table(own, "Properties", { ...within(mapping(mapping(answer.errors).fields), "properties."), ...mapping(answer.rejected) })));
  }
  if (attempts.length > 1) made.push(part(`Attempts, ${number(attempts.length)}`, requestsList(attempts, item, "Attempts")));
  if (related.length > 0) {
    made.push(part("Sent again in other batches",
      el("p", { class: "quiet" }, "The first of these failed. The others resend its messages."), requestsList(related, item, "Related batches")));
  }
  if (item.messages) {
    made.push(part("Messages", timeline(entriesOf(item), null, "Messages", "None.")));
    made.push(el("details", {}, el("summary", {}, "Request body"), ...requestBody(full, answer)));
  } else {
    made.push(part("Request body", ...requestBody(full, answer)));
  }
  made.push(part(`Response, ${item.status === 0 ? "none: the connection was dropped" : full.status}`, ...(full.answer === null ? [el("p", { class: "quiet" }, "No JSON in the body.")] : [annotated(full.answer)])));
  const headers = Object.entries(full.headers).map(([name, value]) => `${name}: ${value}`).join("\n");
  made.push(el("details", {}, el("summary", {}, "Request headers"), el("pre", { tabindex: 0 }, headers)));
  return made.filter((child) => child !== null);
}

// One message of a batch in full.
export function message(item, full, place, attempts, onClose) {
  const entry = entriesOf(item)[place];
  if (!entry) return [head(`Message ${place + 1}`, ["There is no such message in this request."], onClose)];
  const { id, problems } = full.messages[place];
  const sent = item.operation === "batch" ? full.json.batch[place] : full.json;
  const values = mapping(sent.properties ?? sent.traits);
  const caption = "properties" in sent ? "Properties" : "Traits";
  const reasons = new Map(Object.entries(problems));
  const ignored = entry.outcome === "ignored";
  const list = [fact("Request", el("a", { href: `#/requests/${item.number}` }, `${full.method} ${full.path}`), `, message ${number(place + 1)} of ${number(item.messages.length)}`)];
  for (const user of entry.users) list.push(fact("User", link("users", user)));
  if (entry.account) list.push(fact("Account", link("accounts", entry.account)));
  if (typeof sent.timestamp === "string") list.push(fact("Happened", sent.timestamp));
  for (const [key, name] of [["trace_id", "Trace ID"], ["span_id", "Span ID"]]) {
    if (typeof values[key] === "string") list.push(fact(name, code(values[key]), copyButton(values[key], name)));
    if (typeof values[key] === "string" && key === "trace_id") list.push(fact("", traceLinks(values[key])));
  }
  if (id !== null) list.push(fact("Message ID", code(id), copyButton(id, "message ID")));
  list.push(fact("Outcome", OUTCOMES[entry.outcome]));
  if (outcomeOf(item)) list.push(forwarded(item));
  const made = [
    head(titleOf(entry), [badge(entry), ` ${entry.type ?? "message"} at ${time(full.received_at)}`], onClose),
    el("div", { class: "buttons" }, copyButton(JSON.stringify(sent, null, 2), "the message", "Message")),
    reasons.size > 0 ? el("p", { class: ignored ? "wrong" : "warned" }, ignored ? "Ignored. The sender is not notified. " : "Left out. The sender is not notified. ", el("b", {}, [...reasons.keys()].slice(0, 6).join(", "))) : null,
    el("dl", { class: "facts" }, ...list),
  ];
  if (Object.keys(values).length > 0) made.push(part(caption, table(values, caption, within(problems, `${caption.toLowerCase()}.`))));
  if (attempts.length > 1) made.push(part(`Attempts, ${number(attempts.length)}`, requestsList(attempts, entry, "Attempts")));
  made.push(part("Message", annotated(sent, ignored ? reasons : new Map(), ignored ? new Map() : reasons)));
  return made.filter((child) => child !== null);
}

function requestsList(list, item, label) {
  return el("ol", { class: "plain-list attempts", "aria-label": label }, ...list.map((one) =>
    el("li", {},
      el("a", { href: `#/requests/${keyOf(one)}`, "aria-current": keyOf(one) === keyOf(item) ? "true" : false }, time(one.at)),
      badge(one), el("span", { class: "quiet" }, one.messages ? typesOf(countOf(one)) : milliseconds(one.ms)))));
}

function forwarded(item) {
  const { status, problem } = outcomeOf(item);
  const text = problem ? `failed${status === null ? "" : `, ${status}`}: ${problem}` : `also sent, ${status}`;
  return fact("journy.io", el("span", { class: problem ? "badge bad" : "" }, text));
}

const IN_FACTS = ["trace_id", "span_id"];

// The reasons below a field, by what follows it.
function within(fields, prefix) {
  const below = Object.entries(fields).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(below.map(([name, reason]) => [name.slice(prefix.length), reason]));
}

function facts(item, full, body, metadata) {
  const list = [];
  for (const user of item.users.slice(0, 5)) list.push(fact("User", link("users", user)));
  if (item.users.length > 5) list.push(fact("Users", `and ${number(item.users.length - 5)} more`));
  if (item.account) list.push(fact("Account", link("accounts", item.account)));
  if (typeof body.triggeredAt === "string") list.push(fact("Happened", body.triggeredAt));
  for (const [key, name] of [["trace_id", "Trace ID"], ["span_id", "Span ID"]]) {
    const value = metadata[key];
    if (typeof value === "string") list.push(fact(name, code(value), copyButton(value, name)));
    if (typeof value === "string" && key === "trace_id") list.push(fact("", traceLinks(value)));
  }
  list.push(fact("Request ID", code(full.request_id), copyButton(full.request_id, "request ID")));
  list.push(fact("Latency", milliseconds(full.duration_ms)));
  if (item.messages) list.push(fact("Messages", `${number(countOf(item).all)}: ${typesOf(countOf(item))}`));
  list.push(fact("Size", full.packed ? `${bytes(item.size)} by gzip, ${bytes(full.unpacked)} unpacked` : bytes(item.size)));
  list.push(fact("Attempt", full.attempt > 1 ? `${number(full.attempt)}: it was sent before, and failed` : "1"));
  if (outcomeOf(item)) list.push(forwarded(item));
  if (full.key) list.push(fact("Key", full.key));
  const query = new URLSearchParams(full.query).toString();
  if (query) list.push(fact("Query", code(query)));
  return list;
}

const CHECK = "Check the app's JOURNY_API_KEY or JOURNY_WRITE_KEY, and what it passes to configure().";
const REMEDIES = { 401: CHECK, 403: CHECK };

function whatWentWrong(item, answer) {
  if (item.status === 0) return el("p", { class: "wrong" }, "The connection was dropped: there was no response.");
  const fields = Object.keys(mapping(mapping(answer.errors).fields));
  if (fields.length > 0) return el("p", { class: "wrong" }, item.message ?? "Some fields are wrong.", " ", el("b", {}, fields.slice(0, 6).join(", ")));
  if (item.message) return el("p", { class: "wrong" }, item.message, REMEDIES[item.status] ? ` ${REMEDIES[item.status]}` : null);
  const { duplicate, ignored } = item.messages ? countOf(item) : { duplicate: 0, ignored: 0 };
  if (duplicate + ignored > 0) {
    const words = [ignored > 0 && `${number(ignored)} ignored as invalid, without notifying the sender`, duplicate > 0 && `${number(duplicate)} already known by message ID`];
    return el("p", { class: "warned" }, `Of ${number(countOf(item).all)} messages: ${words.filter(Boolean).join("; ")}.`);
  }
  const rejected = Object.keys(mapping(answer.rejected)).length;
  return rejected ? el("p", { class: "warned" }, `${rejected} of the properties ${rejected > 1 ? "were" : "was"} not accepted.`) : null;
}

function requestBody(full, answer) {
  if (!full.body) return [el("p", { class: "quiet" }, "None.")];
  const fields = Object.entries(mapping(mapping(answer.errors).fields));
  const rejected = Object.entries(mapping(answer.rejected)).map(([name, reason]) => [`properties.${name}`, reason]);
  if (full.json === null) {
    const notes = fields.map(([name, reason]) => el("p", { class: "wrong" }, `${name}: ${shown(reason)}`));
    return [...notes, el("pre", { tabindex: 0 }, full.body)];
  }
  return [annotated(full.json, new Map(fields), new Map(rejected))];
}

const mapping = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : {});
