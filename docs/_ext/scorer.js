/* Pages that explain come before those that only mention a word: many have the same score. */
const WEIGHTS = [
  [/^reference\/troubleshooting$/, 4],
  [/^changelog$/, -4],
  [/^guides\/(index|coming-from|many-machines)$|^reference\/index$/, -2],
  [/^(start|guides)\//, 3],
  [/^explanations\/(how-it-works|guarantees)$/, 3],
  [/^reference\/api\//, -1],
];

var Scorer = {
  score: ([page, , , , score]) => score + (WEIGHTS.find(([pages]) => pages.test(page)) ?? [, 0])[1],

  // As Sphinx has them.
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
