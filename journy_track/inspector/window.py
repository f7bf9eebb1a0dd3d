"""A sliding window, which limits the requests of a key."""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    """Allows at most `limit` requests in any span of `seconds`, in amortised O(1) per request.

    It changes with every request and is not thread-safe: the inspector's state guards it.
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
        """Count one request at `now` (seconds of a monotonic clock). Returns False if it exceeds the limit.

        A refused request is not counted: otherwise a client that retries too soon would be refused for ever.
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
