"""How many requests a key may still make: a sliding window."""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    """At most `limit` requests within any `seconds`; each request costs O(1), amortised.

    It changes with every request and has no lock of its own: the inspector's state guards it.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        if limit < 1 or seconds <= 0:
            raise ValueError(
                f"A window needs a limit of at least 1 and a length above 0 s, not {limit} in {seconds} s."
            )
        self._limit = limit
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def take(self, now: float) -> bool:
        """Count one request at `now` (seconds of a monotonic clock). False when it is over the limit.

        A refused request isn't counted: it would keep a client that waits too little out for ever.
        """
        if self.remaining(now) == 0:
            return False
        self._taken.append(now)
        return True

    def remaining(self, now: float) -> int:
        """How many more requests fit at `now`."""
        while self._taken and now - self._taken[0] >= self._seconds:
            self._taken.popleft()
        return self._limit - len(self._taken)

    def wait(self, now: float) -> float:
        """Seconds until one more request fits."""
        return 0.0 if self.remaining(now) else self._seconds - (now - self._taken[0])
