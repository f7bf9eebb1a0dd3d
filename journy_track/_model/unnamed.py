"""The places that captured items without a user or account. Only an inspector shows them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from journy_track._model.places import captured_at

#: The maximum number of places remembered. Places of items that got a user or account later are never taken out.
MAX_PLACES = 1000


class UnnamedPlaces:
    """File and line of the latest such items, by the time of their capture.

    It takes no lock, since it may be used in a signal handler or a forked child.
    """

    def __init__(self) -> None:
        self._places: dict[float, str] = {}

    def note(self, captured: tuple[Any, ...]) -> None:
        """Remember where this tuple was captured. Never raises."""
        with suppress(Exception):
            if len(self._places) >= MAX_PLACES:
                self._places.clear()
            self._places[captured[1]] = captured_at()

    def take(self, at: float) -> str | None:
        """Remove and return the place of the item captured at *at*, in seconds since the epoch; `None` if unknown."""
        return self._places.pop(at, None)
