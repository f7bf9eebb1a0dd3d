// What is typed into the search: words, all of which have to be there, and key=value. And the hits, marked.

import { wordOf } from "./mirror.js";

// "two words" and plan="very large" stay together.
const TERM = /(?:([^\s"=]+)=)?(?:"([^"]*)"?|(\S+))/g;

export function termsOf(text) {
  return [...(text ?? "").toLowerCase().matchAll(TERM)]
    .map(([all, key, quoted, plain]) => ({ key, value: quoted ?? plain ?? "", text: all.replaceAll('"', "") }))
    .filter((term) => term.text !== "");
}

// What a key means that is not one of metadata.
const OWN = {
  event: (item) => [item.name], name: (item) => [item.name], status: (item) => [item.status],
  user: (item) => item.users?.flatMap((user) => [user.id, user.alias]) ?? [],
  account: (item) => [item.account?.id, item.account?.alias],
  trace: (item) => [item.values?.trace_id], place: (item) => [item.report?.place],
  forwarded: (item) => [wordOf(item)],
};

// `text(item)`: all that is searched of an item, in lower case; `values(item)`: its metadata or properties.
export function searched(query, text, values) {
  const terms = termsOf(query);
  return (item) => terms.every((term) => {
    if (text(item).includes(term.text)) return true;
    return term.key !== undefined && valuesOf(item, term.key, values).some((value) => value === term.value);
  });
}

function valuesOf(item, key, values) {
  const found = Object.entries(values(item)).filter(([name]) => name.toLowerCase() === key).map(([, value]) => value);
  const own = Object.hasOwn(OWN, key) ? OWN[key](item) : [];
  return [...found, ...own].filter((value) => value !== null && value !== undefined).flat().map((value) => String(value).toLowerCase());
}

// Marks the words in sight without touching the document: no element, no markup.
export function highlight(container, query) {
  if (!globalThis.CSS?.highlights) return;
  const words = termsOf(query).map((term) => (term.key === undefined ? term.text : term.value)).filter((word) => word !== "");
  const ranges = [];
  if (words.length > 0) {
    const walker = document.createTreeWalker(container, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.data.toLowerCase();
      if (text.length !== node.data.length) continue; // a letter that grows: places would be off
      for (const word of words) {
        for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + word.length);
          ranges.push(range);
        }
      }
    }
  }
  CSS.highlights.set("hits", new Highlight(...ranges));
}
