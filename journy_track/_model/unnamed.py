"""Where items were captured that name nobody: an inspector shows it, and nothing else needs it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from journy_track._model.places import captured_at

#: Places that are remembered: of those that found their user or account later, nobody asks again.
MAX_PLACES = 1000


class UnnamedPlaces:
    """File and line of the latest such items, by the time of their capture.

    Without a lock: it may be a signal handler, or a forked child.
    """

    def __init__(self) -> None:
        self._places: dict[float, str] = {}

    def note(self, captured: tuple[Any, ...]) -> None:
        """Remember where this tuple is captured. Never raises."""
        with suppress(Exception):
            if len(self._places) >= MAX_PLACES:
                self._places.clear()
            self._places[captured[1]] = captured_at()

    def take(self, at: float) -> str | None:
        """The place of what was captured at *at*, seconds since the epoch; `None`: it was not noted."""
        return self._places.pop(at, None)
