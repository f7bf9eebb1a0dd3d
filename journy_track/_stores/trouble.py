"""What a store's trouble means, in one place: it is logged, and the store is tried again after a while."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from journy_track._stores.store import StoreError


class Trouble:
    """Whether the store works. *log* gets a cause and an error; *pause* is seconds until the store is tried again."""

    def __init__(
        self, log: Callable[[Hashable, StoreError], object], clock: Callable[[], float], *, pause: float
    ) -> None:
        self._log = log
        self._clock = clock
        self._pause = pause
        self._until = 0.0
        #: What went wrong last; `None` since it works.
        self.reason: str | None = None

    @property
    def is_on(self) -> bool:
        """Whether the store is left alone for now."""
        return self._clock() < self._until

    def note(self, error: StoreError) -> None:
        """Log *error*, and leave the store alone for the pause."""
        self._until = 0.0 if error.at_once else self._clock() + self._pause
        self.reason = str(error)
        # By its name, not its text: that has the name of a file, which is another one at each try.
        self._log((type(error), error.name or str(error)), error)

    def over(self) -> None:
        """It works: try it at once."""
        self._until = 0.0
        self.reason = None
