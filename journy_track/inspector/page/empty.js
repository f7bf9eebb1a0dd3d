// What a page without anything to show says: how to point an app here.

import { byId, copyButton, el } from "./dom.js";

export function fillEmpty() {
  const remote = !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const lines = [`export JOURNY_BASE_URL=${location.origin}`, "python your_app.py"];
  // On this machine no key is needed.
  if (remote) lines.splice(1, 0, ...(location.protocol === "http:" ? ["export JOURNY_ALLOW_HTTP=true"] : []), "export JOURNY_API_KEY=development");
  const batch = ["export JOURNY_WRITE_KEY=development", `export JOURNY_BATCH_URL=${location.origin}/backend/v1/batch`];
  byId("empty").replaceChildren(
    el("div", { class: "pulse", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
    el("h2", {}, "Nothing has arrived yet"),
    el("p", { class: "quiet" }, "A development tool: a local stand-in for the journy.io API, in memory only. Point an app here, and what it sends appears at once."),
    el("div", { class: "lines" }, el("pre", { "data-testid": "hint", tabindex: 0 }, lines.join("\n")), copyButton(lines.join("\n"), "the lines")),
    el("p", { class: "quiet" }, `With a write key instead (a Segment SDK takes ${location.origin} as its host):`),
    el("div", { class: "lines" }, el("pre", { tabindex: 0 }, batch.join("\n")), copyButton(batch.join("\n"), "the settings for batches")),
    el("p", { class: "quiet" }, "or let the inspector start it:"),
    el("code", { class: "command" }, "journy-track inspect -- python your_app.py"),
  );
}
