// Faults for the next requests: ordered here, or by a script with the same call.

import { byId, el, say } from "./dom.js";

const CONTROL = { "X-Inspector-Control": "page" };
const PRESETS = [
  ["Too many requests", { status: 429, count: 5 }],
  ["Server error", { status: 500, count: 3 }],
  ["Maintenance", { status: 503, count: 20 }],
  ["Key refused", { status: 401, count: 5 }],
  ["Slow answer", { delay: 3, count: 3 }],
  ["Lost answer", { drop: true, count: 1 }],
];

export async function reset() {
  await control("POST", "reset");
}

export function faultsPanel(onChange) {
  const dialog = byId("faults");
  const form = dialog.querySelector("form");
  const { status, count, delay, drop } = form.elements;
  const wrong = byId("faults-wrong");

  byId("presets").append(...PRESETS.map(([name, fault]) => el("button", { type: "button", class: "secondary", onclick: () => {
    status.value = fault.status ?? "";
    count.value = fault.count;
    delay.value = fault.delay ?? 0;
    drop.checked = fault.drop ?? false;
    script();
  } }, name)));

  function order() {
    return { status: status.value === "" ? null : Number(status.value), count: Number(count.value), delay: Number(delay.value), drop: drop.checked };
  }

  function script() {
    byId("faults-script").textContent = `curl -X POST ${location.origin}/__inspector/faults \\\n  -H 'X-Inspector-Control: 1' \\\n  -d '${JSON.stringify(order())}'`;
  }

  function show(faults) {
    const list = faults.map((fault) => el("li", {}, el("b", {}, `${fault.count} ×`), " ", words(fault)));
    byId("ordered").replaceChildren(...(list.length === 0
      ? [el("p", { class: "quiet" }, "Nothing is ordered: every request gets the real answer.")]
      : [el("h3", {}, "Still to come"), el("ol", { class: "plain-list" }, ...list), el("button", { type: "button", class: "secondary", onclick: forget }, "Forget them")]));
    onChange(faults.reduce((all, fault) => all + fault.count, 0));
  }

  async function forget() {
    show((await control("DELETE", "faults")).faults);
  }

  async function refresh() {
    const response = await fetch("__inspector/faults");
    show((await response.json()).faults);
  }

  form.addEventListener("input", script);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await control("POST", "faults", order());
    const fields = answer.errors?.fields;
    wrong.hidden = !fields;
    wrong.textContent = fields ? Object.entries(fields).map(([name, reason]) => `${name}: ${reason}`).join(" ") : "";
    if (!fields) {
      show(answer.faults);
      say("Ordered");
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

function words({ status, delay, drop }) {
  const parts = [status === null ? (drop ? "processed" : "the real answer") : `answer ${status}`];
  if (delay > 0) parts.push(`after ${delay} s`);
  if (drop) parts.push("the connection dropped");
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
