"""README, the pages, other notes and public docstrings use plain words, as defined in `words.toml`."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import journy_track

from .reading import PAGES, README, ROOT, documented, name_of

AVOIDED = [
    (re.compile(rule["words"], re.IGNORECASE), rule["write"])
    for rule in tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))["avoid"]
]
PACKAGE = ROOT / "journy_track"
#: Files whose docstrings are in the reference, or are the help text of a command.
SOURCES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if ".".join(path.relative_to(PACKAGE).with_suffix("").parts) in journy_track._HOMES
    or (path.parent.name in ("journy_track", "integrations", "django", "cli") and path.name[0] != "_")
]
TEXTS = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *PAGES]


def prose(text: str) -> str:
    """Return *text* without code, comments and addresses; line numbers do not change."""
    for pattern in (r"^```.*?^```", r"<!--.*?-->", r"`[^`]*`", r"\]\([^)]*\)"):
        text = re.sub(pattern, lambda found: "\n" * found[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    return text


def found_in(text: str) -> Iterator[str]:
    """Yield what to change, with its line. A phrase may continue on the next line."""
    lines = prose(text)
    for pattern, instead in AVOIDED:
        for hit in re.finditer(pattern, lines.replace("\n", " ")):
            yield f"line {lines.count(chr(10), 0, hit.start()) + 1}: not {hit[0]!r}, but: {instead}"


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_a_text_keeps_to_plain_words(path: Path):
    found = list(found_in(path.read_text(encoding="utf-8")))
    assert not found, "\n".join([path.name, *found])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_keeps_to_plain_words(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {name: ast.get_docstring(node) or "" for name, node in documented(tree, path.stem)}
    found = [f"{name}, {hit}" for name, text in texts.items() for hit in found_in(text)]
    assert not found, "\n".join([path.name, *found])


@pytest.mark.parametrize(
    "sentence",
    [
        "It is dropped, counted and said.",
        "Every row arrives once or twice, never not at all.",
        "This is no failure.",
        "The header\ntravels with the job.",
        "None is answered.",
    ],
)
def test_what_nobody_would_say_is_found(sentence: str):
    assert list(found_in(sentence))


@pytest.mark.parametrize(
    "sentence", ["There is no lock.", "It is no longer sent.", "Call `answer_next()`.", "See [it](is-no-page.md)."]
)
def test_plain_words_and_code_are_left_alone(sentence: str):
    assert not list(found_in(sentence))
