"""Outages of journy.io: when requests fail one after the other, everything pauses but a probe."""

from __future__ import annotations

import random
from collections.abc import Callable

#: Different items that have to fail in a row: one that the server always fails on must not hold up the others.
MIN_FAILED = 2
#: Seconds of the first pause, and of the longest; each is twice the one before.
FIRST_PAUSE, MAX_PAUSE = 1.0, 10.0


class Outage:
    """Whether the server responds, for all that use one key of one host in this process. Its owner holds a lock.

    A failure is a 5xx, a response that is not journy.io's, or no response at all. A 429 is not a failure: the pacer
    handles it. Any other response ends the outage, and requests are sent at full speed again.
    """

    def __init__(self, clock: Callable[[], float], uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._clock = clock
        self._uniform = uniform
        self._failed: set[int] = set()
        #: Whether any request failed since one succeeded.
        self.failing = False
        self._pause = 0.0
        self._probe_at = 0.0
        #: Why the last request failed, and since when they all do, by the clock; `None` while requests succeed.
        self.reason: str | None = None
        self.since: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether everything waits but probes."""
        return self.since is not None

    def failed(self, item: int, reason: str) -> None:
        """The request for *item* failed."""
        self._failed.add(item)
        self.failing = True
        if len(self._failed) < MIN_FAILED:
            return
        now = self._clock()
        if self.since is not None and now < self._probe_at:
            return  # it was on its way when the outage began
        if self.since is None:
            self.since = now
        self.reason = reason
        self._pause = min(MAX_PAUSE, max(FIRST_PAUSE, self._pause * 2))
        self._probe_at = now + self._uniform(0.75, 1.0) * self._pause

    def responded(self) -> None:
        """The server responded as journy.io does."""
        self._failed.clear()
        self.failing = False
        self._pause = 0.0
        self.since = self.reason = None

    def wait(self, in_flight: int) -> float:
        """Seconds until an outage lets a request go; 0: there is none; infinity: after the probe's response."""
        if self.since is None:
            return 0.0
        if in_flight:
            return float("inf")
        return max(0.0, self._probe_at - self._clock())
