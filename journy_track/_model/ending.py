"""How long ending may take: as long as deliveries continue, within a limit."""

from __future__ import annotations

import math
from collections.abc import Callable

from journy_track._model.clock import monotonic

#: The seconds that ending may take, unless `shutdown_limit` is set: most servers are killed after 30.
SERVER_LIMIT = 25.0
#: The same for a script that ends by itself: it is not killed, and it continues only while items are delivered.
SCRIPT_LIMIT = 600.0
#: The seconds between two checks of whether ending may continue.
LOOK = 0.25


class Ending:
    """The time budget of one ending, which several trackers may share. It starts when this object is created.

    *quiet*: seconds to wait while nothing is delivered. *limit*: seconds in total; `None` means *quiet*, a fixed time
    whatever is delivered.
    """

    def __init__(self, quiet: float, limit: float | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.began: float = clock()
        self._quiet = quiet
        self._limit = self.began + max(quiet, quiet if limit is None else limit)
        self._clock = clock

    def cut_short(self) -> None:
        """End now. `began` stays as it is, to tell how long the wait was."""
        self._limit = self._clock()

    def deadline(self, delivered_at: float | None, held_until: float) -> float:
        """The clock's time at which to give up.

        *delivered_at*: when an item was last delivered; `None`: never. *held_until*: until when the key's budget
        holds everything back. Waiting for the budget does not count as quiet, unless it lasts beyond the limit.
        """
        alive_at = self.began if delivered_at is None else max(self.began, delivered_at)
        if held_until < self._limit:
            alive_at = max(alive_at, held_until)
        return min(self._limit, alive_at + self._quiet)


#: The *held_until* of a budget that holds nothing back.
NOT_HELD = -math.inf
