"""The pace for servers that send no rate headers: a fixed maximum rate, and a pause after each refusal."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from journy_track._delivery.pacing import MAX_PAUSE, PAUSE, WINDOW

#: The maximum number of requests per second. Segment asks for this limit; journy.io's limit for batches is not known.
MAX_RATE = 50.0


class PausingPacer:
    """Computes when the next request may be sent. Like `Pacer`, it must be called under one lock."""

    #: Unknown, since no response reports it.
    limit: int | None = None
    remaining: int | None = None
    rate = MAX_RATE

    def __init__(self, clock: Callable[[], float], uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._clock = clock
        self._uniform = uniform
        self._sent: deque[float] = deque()
        self._next_at = self._pause_until = clock()
        self._refusals = 0

    @property
    def own(self) -> int:
        """The number of requests by this process within the last minute."""
        since = self._clock() - WINDOW
        while self._sent and self._sent[0] <= since:
            self._sent.popleft()
        return len(self._sent)

    def ready_at(self, in_flight: int) -> float:
        """Return the clock time at which the next request may be sent."""
        return self._next_at

    def sent(self) -> None:
        """Record that a request is being sent."""
        now = self._clock()
        self._sent.append(now)
        self._next_at = max(self._next_at, now + 1 / MAX_RATE)
        if len(self._sent) > WINDOW * MAX_RATE:
            self._sent.popleft()

    def answered(
        self, *, limit: int | None, remaining: int | None, refused: bool = False, retry_after: float | None = None
    ) -> None:
        """Record that a request has ended. *refused*: it was a 429, perhaps with a `Retry-After` in seconds."""
        if not refused:
            self._refusals = 0
            return
        now = self._clock()
        pause = min(retry_after or 0.0, MAX_PAUSE)
        if now >= self._pause_until:  # otherwise it was in flight when the first refusal came
            pause = max(pause, self._uniform(0.75, 1.0) * min(MAX_PAUSE, PAUSE * 2.0 ** min(self._refusals, 20)))
            self._refusals += 1
        self._pause_until = max(self._pause_until, now + pause)
        self._next_at = max(self._next_at, self._pause_until)
