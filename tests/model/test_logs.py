"""The format of log lines, including when the app has not configured logging."""

from __future__ import annotations

import gc
import logging
import sys

import pytest

from journy_track._model import logs

PROGRAM = """
import logging, sys
import journy_track
{logging}
journy_track.track("signed_in", user="u1")
journy_track.configure(base_url="http://127.0.0.1:9", before_send=lambda item: 1 / 0)
journy_track.track("100%_done", user="u1")
journy_track.flush(5)
"""


def test_without_logging_each_line_begins_with_who_speaks(run_program):
    done = run_program(PROGRAM.format(logging=""))
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("journy_track: ") for line in lines), lines


@pytest.mark.parametrize(
    "logging",
    ["logging.basicConfig(format='%(name)s|%(message)s')", "logging.getLogger('journy_track').addHandler(H())"],
)
def test_with_logging_the_loggers_name_is_not_repeated(run_program, logging):
    handler = """class H(logging.StreamHandler):
    def format(self, record):
        return f"journy_track|{record.getMessage()}"
"""
    done = run_program(PROGRAM.format(logging=handler + logging))
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("journy_track|") and "journy_track: " not in line for line in lines), lines


class Hears:
    """A listener that remembers what was logged."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def logged(self, level, message, arguments):
        self.heard.append(message % arguments)


@pytest.fixture(autouse=True)
def _listeners(monkeypatch):
    monkeypatch.setattr(logs, "_listeners", [])


def test_a_listener_that_is_added_at_any_line_of_logging_is_no_error(caplog):
    first, later = Hears(), []

    def trace(frame, event, _):
        if event == "line" and len(later) < 100:
            later.append(Hears())
            sys.settrace(None)  # not for what this runs
            logs.listen(later[-1])
            sys.settrace(trace)
        return trace

    logs.listen(first)
    before = sys.gettrace()  # such as the trace function of coverage
    sys.settrace(trace)
    try:
        logs.log(logging.WARNING, "the %s", "line")
    finally:
        sys.settrace(before)
    assert later
    assert first.heard == ["the line"]


def test_a_listener_hears_until_it_is_gone_or_wants_no_more(caplog):
    kept, gone, bored = Hears(), Hears(), Hears()
    for listener in (kept, gone, bored):
        logs.listen(listener)
    logs.unlisten(bored)
    logs.unlisten(bored)
    del gone
    gc.collect()
    logs.log(logging.WARNING, "the line")
    assert (kept.heard, bored.heard, len(logs._listeners)) == (["the line"], [], 1)
