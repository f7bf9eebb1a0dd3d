"""Shows the progress of a block: a live line on a terminal, or else a log message every minute."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from journy_track._bulk.report import Report
from journy_track._model.forks import importing
from journy_track._model.logs import log

#: Seconds until a block shows its progress. A shorter one shows none.
PATIENCE = 1.0
#: Seconds between two log messages.
EVERY = 60.0


class Showing(Protocol):
    """Shows the progress of a block."""

    def look(self, seconds: float) -> None:
        """Update the display. The block has been open for *seconds*. Called often during a wait."""

    def close(self) -> None:
        """End the display."""


class Nothing:
    """Shows nothing, because an outer block does or nothing has to be shown."""

    def look(self, seconds: float) -> None: ...
    def close(self) -> None: ...


class Lines:
    """Logs the progress every minute."""

    def __init__(self, report: Callable[[], Report]) -> None:
        self._report = report
        self._due = EVERY

    def look(self, seconds: float) -> None:
        if seconds >= self._due:
            self._due = seconds + EVERY
            log(logging.INFO, "bulk: %s so far", self._report())

    def close(self) -> None: ...


class Terminal:
    """Shows a live line at the bottom of a terminal with rich. *live* and *text* are rich's `Live` and `Text`."""

    def __init__(self, report: Callable[[], Report], live: Any, text: Any, console: Any) -> None:
        self._report = report
        self._text = text
        # Output is not redirected, because a child forked meanwhile would print through the parent's lock.
        self._live = live(
            get_renderable=self._line,
            console=console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._shown = False

    def _line(self) -> Any:
        report = self._report()
        done = report.captured - report.waiting
        left = report.seconds / done * report.waiting if done > 0 else 0.0
        about = f", about {left / 60:.0f} min for what waits" if left >= 60 else ""
        # On a narrow terminal, the end is cut off.
        line = f"journy_track (Ctrl-C stops it): {report}{about}"
        return self._text(line, no_wrap=True, overflow="ellipsis")

    def look(self, seconds: float) -> None:
        if not self._shown and seconds >= PATIENCE:
            self._shown = True
            with suppress(Exception):  # another live display is active on the terminal
                self._live.start()

    def close(self) -> None:
        with suppress(Exception):  # the terminal may be gone
            self._live.stop()


def showing_of(report: Callable[[], Report]) -> Showing:
    """Return the display that suits where standard error goes."""
    if sys.stderr is None or not sys.stderr.isatty():
        return Lines(report)
    try:
        with importing:
            from rich.console import Console
            from rich.live import Live
            from rich.text import Text
    except ModuleNotFoundError:  # rich comes with the extra `cli`
        return Lines(report)
    return Terminal(report, Live, Text, Console(stderr=True, markup=False, highlight=False, emoji=False))
