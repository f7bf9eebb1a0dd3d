"""Outages of journy.io: when requests fail in a row, everything pauses except one probe at a time."""

from __future__ import annotations

import random
from collections.abc import Callable

#: How many different items have to fail in a row. One item that the server always fails on must not block the others.
MIN_FAILED = 2
#: The first and the longest pause in seconds. Each pause is twice as long as the one before.
FIRST_PAUSE, MAX_PAUSE = 1.0, 10.0


class Outage:
    """Tracks whether the server responds, for everything in this process that uses one key at one host.

    Not thread-safe: its owner holds a lock. A failure is a 5xx, a response that is not from journy.io, or no response
    at all. A 429 is not a failure; the pacer handles it. Any other response ends the outage, and requests are sent at
    full speed again.
    """

    def __init__(self, clock: Callable[[], float], uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._clock = clock
        self._uniform = uniform
        self._failed: set[int] = set()
        #: Whether any request has failed since the last success.
        self.failing = False
        self._pause = 0.0
        self._probe_at = 0.0
        #: Why the last request failed, and the clock time since which all have failed; `None` without an outage.
        self.reason: str | None = None
        self.since: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether everything except probes has to wait."""
        return self.since is not None

    def failed(self, item: int, reason: str) -> None:
        """Record that the request for *item* failed."""
        self._failed.add(item)
        self.failing = True
        if len(self._failed) < MIN_FAILED:
            return
        now = self._clock()
        if self.since is not None and now < self._probe_at:
            return  # the request was in flight when the outage began
        if self.since is None:
            self.since = now
        self.reason = reason
        self._pause = min(MAX_PAUSE, max(FIRST_PAUSE, self._pause * 2))
        self._probe_at = now + self._uniform(0.75, 1.0) * self._pause

    def responded(self) -> None:
        """Record that journy.io responded."""
        self._failed.clear()
        self.failing = False
        self._pause = 0.0
        self.since = self.reason = None

    def wait(self, in_flight: int) -> float:
        """Return the seconds until a request may be sent: 0 without an outage, infinity during a probe."""
        if self.since is None:
            return 0.0
        if in_flight:
            return float("inf")
        return max(0.0, self._probe_at - self._clock())
