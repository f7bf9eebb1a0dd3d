"""The troubleshooting tables list every warning and error that the library can log, and nothing else."""

from __future__ import annotations

import re

import pytest

import journy_track

from . import messages
from .messages import Message, Module, Unreadable
from .reading import code_spans, page, section

TROUBLESHOOTING = section(page("reference/troubleshooting"), "Troubleshooting")
#: What the tables explain: the code spans in their first columns.
SHOWN = [span for row in TROUBLESHOOTING.rows for span in code_spans(row[0])]
SOURCES = messages.modules()
SAID = [*messages.logged(SOURCES), *messages.printed(SOURCES)]
REASONS = [reason for kind in messages.REASONS for reason in messages.reasons(SOURCES, kind)]
COUNTED = messages.counted(SOURCES)


def shows(span: str, text: str) -> bool:
    """Return whether a code span of the table matches that text: it is the text, or enough of it to search for."""
    core = messages.plain(span).strip("…: ").rstrip(".")
    return core in text and (" " in core or core == text.strip("…: "))


def test_the_source_was_read():
    assert len({message.text for message in SAID}) > 40
    assert len({message.text for message in REASONS}) > 40
    assert {"queue_full", "before_send"} <= COUNTED


@pytest.mark.parametrize("message", SAID, ids=lambda message: f"{message.place} {message.text[:40]}")
def test_what_is_logged_is_explained(message: Message):
    assert any(shows(span, message.text) for span in SHOWN), f"not in reference/troubleshooting.md: {message.text}"


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{reason.place} {reason.text[:40]}")
def test_the_reasons_in_log_lines_are_explained(reason: Message):
    assert any(shows(span, reason.text) for span in SHOWN), f"not in reference/troubleshooting.md: {reason.text}"


def test_each_word_of_the_dropped_items_is_explained():
    assert set(SHOWN) >= COUNTED


@pytest.mark.parametrize("span", SHOWN)
def test_nothing_is_explained_that_is_never_said(span: str):
    assert span in COUNTED or any(shows(span, message.text) for message in [*SAID, *REASONS])


def test_every_kind_of_error_that_callers_get_is_named():
    """An error explains itself when it is raised: the page only lists the types."""
    library = [m for m in SOURCES if not {"cli", "inspector"} & set(m.path.parts)]
    ours = {name for name in journy_track.__all__ if isinstance(getattr(journy_track, name), type)}
    private = _classes(library) - ours
    named = set(code_spans("\n".join(TROUBLESHOOTING.lines)))
    raised = {name for name in messages.raised(library) if name[0].isupper() and name not in private}
    # Converted to a setting's or value's own message before a caller sees it, or raised by any module for a typo;
    # raised within the transport, or by HTTP clients.
    of_requests = {"NotSent", "MaybeSent", "ConnectionRefusedError", "IncompleteRead", "PermissionError"}
    assert raised - of_requests - {"ValueError", "TimeoutError", "AttributeError"} <= named
    assert {"ConfigurationError", "InvalidArgument", "JournyError"} <= named


def _classes(sources: list[Module]) -> set[str]:
    import ast

    return {node.name for module in sources for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)}


# ── The reader of the source itself ──


def read(tmp_path, source: str) -> list[Module]:
    (tmp_path / "made.py").write_text(source)
    return messages.modules(tmp_path)


def test_a_message_is_found_however_it_is_handed_on(tmp_path):
    sources = read(
        tmp_path,
        """
import logging, sys, warnings
_log = logging.getLogger("x")
ONE = 1
TABLE = {"a": "the sixth: %d", "b": "the seventh"}
FIFTH = "the fifth"
WHERE = "here"

def say(level, message, *arguments):
    _log.log(level, message, *arguments)

def once(cause, message):
    say(logging.WARNING, message + " (once)")

class Thing:
    def _tell(self, error, message):
        self.notices.log(error, message, error)

    def work(self):
        _log.warning("the first: %s", 1)
        warnings.warn("the second")
        say(logging.ERROR, f"the third {ONE} {WHERE}")
        once("c", "the fourth")
        once("c", FIFTH)
        once("c", TABLE[ONE])
        self._tell(None, "the eighth" if ONE else "the ninth")
        say(logging.INFO, "not a warning")
        print("the tenth", file=sys.stderr)
""",
    )
    assert [message.text for message in messages.logged(sources)] == [
        "the first: …",
        "the second",
        "the third … here",
        "the fourth",
        "the fifth",
        "the sixth: …",
        "the seventh",
        "the eighth",
        "the ninth",
    ]
    assert [message.text for message in messages.printed(sources)] == ["the tenth"]


def test_a_message_that_cannot_be_read_is_not_passed_over(tmp_path):
    sources = read(tmp_path, "def f(log, g):\n    log.warning(g())\n")
    with pytest.raises(Unreadable, match=re.escape("made.py:2: g()")):
        messages.logged(sources)
