"""Handles errors of a store: they are logged, and the store is retried after a pause."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from journy_track._stores.store import StoreError


class Trouble:
    """Tracks whether a store works. *log* is called with a cause and an error; *pause*: seconds until a retry."""

    def __init__(
        self, log: Callable[[Hashable, StoreError], object], clock: Callable[[], float], *, pause: float
    ) -> None:
        self._log = log
        self._clock = clock
        self._pause = pause
        self._until = 0.0
        #: The last error; `None` while the store works.
        self.reason: str | None = None

    @property
    def is_on(self) -> bool:
        """Whether the store is paused."""
        return self._clock() < self._until

    def note(self, error: StoreError) -> None:
        """Log *error* and pause the store, unless it can be retried at once."""
        self._until = 0.0 if error.at_once else self._clock() + self._pause
        self.reason = str(error)
        # Identified by its name, not its text, which contains a file name that differs at each attempt.
        self._log((type(error), error.name or str(error)), error)

    def over(self) -> None:
        """End the pause: the store works or can be tried now."""
        self._until = 0.0
        self.reason = None
