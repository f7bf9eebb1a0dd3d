"""The progress that a `bulk()` block shows while it is open."""

from __future__ import annotations

import io
from unittest.mock import Mock

import pytest

from journy_track import Report
from journy_track._bulk.report import report_of
from journy_track._bulk.showing import Lines, Terminal, showing_of
from journy_track._model.numbers import Stats


def test_elsewhere_than_on_a_terminal_the_log_has_a_line_a_minute(caplog):
    shown = Lines(lambda: Report(captured=1200, delivered=200, waiting=1000, seconds=60))
    for seconds in (1, 59, 60, 61, 119, 121):
        shown.look(seconds)
    shown.close()
    assert [record.getMessage() for record in caplog.records] == [
        "bulk: 1,200 captured, 200 delivered, 1,000 waiting, in 60.0 s so far"
    ] * 2


def test_a_terminal_has_one_line_that_is_gone_at_the_end():
    rich = pytest.importorskip("rich.live")
    from rich.console import Console
    from rich.text import Text

    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=120)
    report = Report(captured=1200, delivered=200, waiting=1000, seconds=60)
    shown = Terminal(lambda: report, rich.Live, Text, console)
    shown.look(0.5)
    assert not written.getvalue()
    shown.look(2)
    shown.close()
    assert "1,200 captured, 200 delivered, 1,000 waiting, in 60.0 s, about 5 min for what waits" in written.getvalue()


def test_where_there_is_no_terminal_nothing_is_drawn():
    assert isinstance(showing_of(Report), Lines)


def test_a_report_is_the_difference_of_two_looks():
    before = Stats(captured=10, delivered=5, coalesced=3, unchanged=1, dropped={"invalid": 2})
    now = Stats(
        captured=30, delivered=15, coalesced=9, unchanged=5, dropped={"invalid": 2, "suppressed": 1}, queued=4
    )
    report = report_of(before, now, 2.0, None)
    assert (report.captured, report.delivered, report.merged, report.unchanged) == (20, 10, 2, 4)
    assert report.dropped == {"suppressed": 1}
    assert not report.ok
    assert str(report) == (
        "20 captured, 10 delivered, 2 merged into others, 4 unchanged, 4 waiting, 1 dropped (suppressed), in 2.0 s"
    )


def test_what_the_app_asked_to_drop_is_not_lost():
    assert Report(captured=1, dropped={"suppressed": 1}).ok
    assert not Report(captured=1, dropped={"queue_full": 1}).ok


def test_on_a_terminal_of_80_columns_the_numbers_and_how_to_stop_it_fit():
    live, text = Mock(), Mock()
    report = Report(captured=12_000, delivered=7_000, waiting=5_000, seconds=400.0)
    Terminal(lambda: report, live, text, None)
    live.call_args.kwargs["get_renderable"]()
    (line,), _ = text.call_args
    assert "Ctrl-C stops it" in line[:79]
    assert "12,000 captured, 7,000 delivered, 5,000 waiting" in line[:79]
