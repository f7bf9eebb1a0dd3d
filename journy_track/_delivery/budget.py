"""The budget of a key: one pacer for everything in this process that uses it."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable

from journy_track._delivery.pacing import Pacer
from journy_track._model.clock import monotonic
from journy_track._model.outcomes import Answer
from journy_track._model.secret import Secret

#: How long to wait for somebody's answer before asking again.
_AGAIN = 1.0


class Budget:
    """A pacer, and the lock and the count that all its users share."""

    def __init__(self, pacer: Pacer, clock: Callable[[], float] = monotonic) -> None:
        self._pacer = pacer
        self._clock = clock
        self._lock = threading.RLock()
        self._in_flight = 0

    def claim(self) -> float:
        """Take the place of one request. Answers 0 when it may go now, else seconds until it is worth asking."""
        with self._lock:
            at = self._pacer.ready_at(self._in_flight)
            now = self._clock()  # after the pacer's own look: what it calls now has come
            if at > now:
                return _AGAIN if math.isinf(at) else at - now
            self._pacer.sent()
            self._in_flight += 1
            return 0.0

    def spend(self) -> None:
        """A request goes now, whatever the pace: somebody waits for its answer."""
        with self._lock:
            self._pacer.sent()
            self._in_flight += 1

    def answered(self, answer: Answer | None) -> None:
        """That request has ended. `None`: without an answer."""
        with self._lock:
            self._in_flight -= 1
            self._pacer.answered(
                limit=None if answer is None else answer.calls_limit,
                remaining=None if answer is None else answer.calls_remaining,
                refused=answer is not None and answer.status == 429,
                retry_after=None if answer is None else answer.retry_after,
            )


_budgets: dict[tuple[int, str, Secret, float | None], Budget] = {}


def budget_of(base_url: str, api_key: Secret, share: float | None = None) -> Budget:
    """The budget of that key in this process. A forked child has its own: it sends beside its parent."""
    key = os.getpid(), base_url, api_key, share
    found = _budgets.get(key)
    # setdefault is atomic: who come first together share one.
    return _budgets.setdefault(key, Budget(Pacer(share=share))) if found is None else found


def budgets_of(base_url: str, api_key: Secret) -> list[Budget]:
    """All budgets of that key in this process, whatever share they were given; where there is none, a new one."""
    of_key = (os.getpid(), base_url, api_key)
    found = [budget for key, budget in list(_budgets.items()) if key[:3] == of_key]
    return found or [budget_of(base_url, api_key)]


def forget_budgets() -> None:
    """Start anew, for tests: each has a local journy.io of its own."""
    _budgets.clear()
