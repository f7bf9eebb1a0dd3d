"""Wrong values: raised where they are passed while `strict`, otherwise logged with the place in the user's code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from journy_track._model.clock import monotonic
from journy_track._model.errors import InvalidArgument, without_values
from journy_track._model.logs import log
from journy_track._model.once import also_forget
from journy_track._model.places import caller

if TYPE_CHECKING:
    from journy_track._model.config import Config

#: Seconds for which a repeated mistake, by the same verb at the same place, is only counted.
EVERY = 60.0
#: The maximum number of lines in that time, for all verbs and places.
MAX_LINES = 20
_MAX_CAUSES = 1000


def tests_run() -> bool:
    """Whether a test suite is running in this process, with this library's pytest plugin."""
    plugin = sys.modules.get("pytest_journy_track")
    return plugin is not None and bool(plugin.active())


def is_strict(config: Config) -> bool:
    """Whether wrong values raise with these settings."""
    return config.debug or tests_run() if config.strict is None else config.strict


#: Whether wrong values raise in functions that do not belong to a tracker, such as blocks and `set_user()`. Replaced
#: by a lookup in the installed tracker when `_runtime` is imported.
strict: Callable[[], bool] = tests_run


def log_mistake(what: str, mistake: Exception, became: str) -> None:
    """Log that *what* got a wrong value, at most once a minute per place and `MAX_LINES` in total. Never raises."""
    with suppress(Exception):
        place = caller()
        kept = _limiter.kept((what, place))
        if kept is None:
            return
        why = str(mistake) if isinstance(mistake, InvalidArgument) else f"checking it raised {type(mistake).__name__}"
        log(
            logging.WARNING,
            "wrong value in %s at %s: %s; %s (%d more wrong values were not logged.)"
            if kept
            else "wrong value in %s at %s: %s; %s",
            *(what, place, without_values(why), became, kept)[: 5 if kept else 4],
        )


class _Limiter:
    """Decides which lines are logged. Takes no lock, for signal handlers and forked children: counts may be off."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}
        self._since = monotonic()
        self._lines = 0
        self._kept = 0

    def kept(self, cause: tuple[str, str]) -> int | None:
        """The number of lines suppressed since the last one; `None` if this line is not logged either."""
        now = monotonic()
        if now - self._since >= EVERY:
            self._since, self._lines = now, 0
        last = self._last.get(cause)
        if (last is not None and now - last < EVERY) or self._lines >= MAX_LINES:
            self._kept += 1
            return None
        if len(self._last) >= _MAX_CAUSES:
            self._last.clear()
        self._last[cause] = now
        self._lines += 1
        kept, self._kept = self._kept, 0
        return kept

    def forget(self) -> None:
        """Reset, as if nothing had been logged."""
        self.__init__()  # type: ignore[misc]


_limiter = _Limiter()
also_forget(_limiter.forget)
