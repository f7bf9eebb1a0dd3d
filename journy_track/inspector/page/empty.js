// What a page without anything to show says: how to point an app here.

import { byId, copyButton, el } from "./dom.js";

export function fillEmpty() {
  const remote = !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const lines = [`export JOURNY_BASE_URL=${location.origin}`, "export JOURNY_API_KEY=development", "python your_app.py"];
  if (remote && location.protocol === "http:") lines.splice(1, 0, "export JOURNY_ALLOW_HTTP=true");
  byId("empty").replaceChildren(
    el("div", { class: "pulse", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
    el("h2", {}, "Nothing has arrived yet"),
    el("p", { class: "quiet" }, "A development tool: a local stand-in for the journy.io API, in memory only. Point an app here, and what it sends appears at once."),
    el("div", { class: "lines" }, el("pre", { "data-testid": "hint", tabindex: 0 }, lines.join("\n")), copyButton(lines.join("\n"), "the lines")),
    el("p", { class: "quiet" }, "or let the inspector start it:"),
    el("code", { class: "command" }, "journy-track inspect -- python your_app.py"),
  );
}
