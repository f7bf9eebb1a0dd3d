// Faults for the next requests: ordered here, or by a script with the same call.

import { byId, copy, el, number, say } from "./dom.js";

const CONTROL = { "X-Inspector-Control": "page" };
const PRESETS = [
  ["Too many requests", { status: 429, count: 5 }],
  ["Server error", { status: 500, count: 3 }],
  ["Maintenance", { status: 503, count: 20 }],
  ["Key refused", { status: 401, count: 5 }],
  ["Slow response", { delay: 3, count: 3 }],
  ["Lost response", { drop: true, count: 1 }],
];

export async function reset() {
  await control("POST", "reset");
}

export function faultsPanel(onChange) {
  const dialog = byId("faults");
  const form = dialog.querySelector("form");
  const { status, count, delay, drop, containing } = form.elements;
  const wrong = byId("faults-wrong");

  const presets = PRESETS.map(([name, fault]) => el("button", { type: "button", class: "secondary", "aria-pressed": "false", onclick: () => {
    status.value = fault.status ?? "";
    count.value = fault.count;
    delay.value = fault.delay ?? 0;
    drop.checked = fault.drop ?? false;
    containing.value = "";
    script();
  } }, name));
  byId("presets").append(...presets);

  // Whichever of them the fields say, chosen or typed.
  function mark() {
    const told = JSON.stringify(order());
    PRESETS.forEach(([, fault], place) => {
      const same = JSON.stringify({ status: null, delay: 0, drop: false, ...fault });
      presets[place].setAttribute("aria-pressed", sorted(same) === sorted(told));
    });
  }

  function order() {
    const fault = { status: status.value === "" ? null : Number(status.value), count: Number(count.value), delay: Number(delay.value), drop: drop.checked };
    return containing.value === "" ? fault : { ...fault, containing: containing.value };
  }

  function script() {
    mark();
    byId("faults-script").textContent = `curl -X POST ${location.origin}/__inspector/faults \\\n  -H 'X-Inspector-Control: 1' \\\n  -d '${JSON.stringify(order())}'`;
  }

  function show(faults) {
    const list = faults.map((fault) => el("li", {}, el("b", {}, `${number(fault.count)} ×`), " ", words(fault)));
    byId("ordered").replaceChildren(...(list.length === 0
      ? [el("p", { class: "quiet" }, "No fault is set: every request gets its real response.")]
      : [el("h3", {}, "Still to come"), el("ol", { class: "plain-list" }, ...list), el("button", { type: "button", class: "secondary", onclick: forget }, "Clear faults")]));
    onChange(faults.reduce((all, fault) => all + fault.count, 0));
  }

  async function forget() {
    show((await control("DELETE", "faults")).faults);
  }

  async function refresh() {
    const response = await fetch("__inspector/faults");
    show((await response.json()).faults);
  }

  byId("copy-script").addEventListener("click", () => copy(byId("faults-script").textContent, "the command"));
  form.addEventListener("input", script);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await control("POST", "faults", order());
    const fields = answer.errors?.fields;
    wrong.hidden = !fields;
    wrong.textContent = fields ? Object.entries(fields).map(([name, reason]) => `${name}: ${reason}`).join(" ") : "";
    if (!fields) {
      show(answer.faults);
      say("Faults set");
    }
  });

  return {
    refresh: () => (dialog.open ? refresh() : undefined),
    async open() {
      wrong.hidden = true;
      script();
      dialog.showModal();
      await refresh();
    },
  };
}

const sorted = (text) => JSON.stringify(Object.entries(JSON.parse(text)).sort());

function words({ status, delay, drop, containing }) {
  const parts = [status === null ? (drop ? "processed" : "the real response") : `status ${status}`];
  if (delay > 0) parts.push(`after ${delay} s`);
  if (drop) parts.push("the connection dropped");
  if (containing) parts.push(`with ${containing} in the body`);
  return parts.join(", ");
}

async function control(method, what, body) {
  const response = await fetch(`__inspector/${what}`, {
    method,
    headers: { ...CONTROL, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return response.json();
}
