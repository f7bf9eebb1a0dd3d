"""How long an end may take: as long as deliveries go on, within a limit."""

from __future__ import annotations

import math
from collections.abc import Callable

from journy_track._model.clock import monotonic

#: Seconds that an end takes at most, unless `shutdown_limit` is set: most servers are killed after 30.
SERVER_LIMIT = 25.0
#: The same where a script ends by itself: nobody kills it, and it goes on only while something is delivered.
SCRIPT_LIMIT = 600.0
#: Seconds between two looks at whether an end may go on.
LOOK = 0.25


class Ending:
    """The time of one end, which several trackers may share. It begins when this is made.

    *quiet*: seconds that it waits while nothing is delivered. *limit*: seconds in all; `None` is *quiet*: a fixed
    time, whatever is delivered.
    """

    def __init__(self, quiet: float, limit: float | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.began: float = clock()
        self._quiet = quiet
        self._limit = self.began + max(quiet, quiet if limit is None else limit)
        self._clock = clock

    def cut_short(self) -> None:
        """End now. When it began stays known: that is how long was waited."""
        self._limit = self._clock()

    def deadline(self, delivered_at: float | None, held_until: float) -> float:
        """The clock's time at which to give up.

        *delivered_at*: when something was last delivered; `None`: never. *held_until*: until when the key's budget
        holds everything back. Who waits for that is not ignored by the server, unless it lasts beyond the limit.
        """
        alive_at = self.began if delivered_at is None else max(self.began, delivered_at)
        if held_until < self._limit:
            alive_at = max(alive_at, held_until)
        return min(self._limit, alive_at + self._quiet)


#: What holds back nothing.
NOT_HELD = -math.inf
