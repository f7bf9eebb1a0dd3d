"""The budget of a key: one pacer and one outage state for everything in this process that uses the key."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import Protocol

from journy_track._delivery.outage import Outage
from journy_track._delivery.pacing import Pacer
from journy_track._delivery.pausing import PausingPacer
from journy_track._model.clock import monotonic
from journy_track._model.outcomes import Deferred, JobOutcome, Response
from journy_track._model.secret import Secret

#: Seconds after which `claim` should be called again when only a response can change its result.
_AGAIN = 1.0
#: A longer wait between two requests, in seconds, counts as a pause.
_SPACED = 0.1


class Pace(Protocol):
    """Computes when the next request may be sent. `Pacer` and `PausingPacer` implement it."""

    @property
    def limit(self) -> int | None: ...
    @property
    def remaining(self) -> int | None: ...
    @property
    def rate(self) -> float: ...
    @property
    def own(self) -> int: ...
    def ready_at(self, in_flight: int, /) -> float: ...
    def sent(self) -> None: ...
    def answered(
        self, *, limit: int | None, remaining: int | None, refused: bool = False, retry_after: float | None = None
    ) -> None: ...


class Budget:
    """A pacer and the outage state, with the lock and the number of requests in flight that all their users share."""

    def __init__(self, pacer: Pace, clock: Callable[[], float] = monotonic) -> None:
        self._pacer = pacer
        self._clock = clock
        self._lock = threading.RLock()
        self._in_flight = 0
        self._outage = Outage(clock)
        #: Why requests fail, while everything except probes waits; `None` without an outage.
        self.outage: str | None = None
        #: Whether no request may be sent before the one in flight gets its response.
        self.awaits_response = False

    @property
    def used(self) -> tuple[int, int | None]:
        """Requests within the last minute: by this process, and by all (`None` before the first rate headers)."""
        with self._lock:
            limit, remaining = self._pacer.limit, self._pacer.remaining
            return self._pacer.own, None if limit is None or remaining is None else limit - remaining

    @property
    def rate(self) -> float | None:
        """Requests per second that this process may send; `None` before the first rate headers."""
        with self._lock:
            return None if self._pacer.limit is None else self._pacer.rate

    @property
    def pauses(self) -> bool:
        """Whether the next request has to wait longer than normal spacing requires."""
        with self._lock:
            return self._pacer.ready_at(self._in_flight) > self._clock() + _SPACED

    def claim(self) -> float:
        """Claim one request. Returns 0 if it may be sent now, else the seconds until it is worth calling again."""
        with self._lock:
            if self.outage is not None and (wait := self._outage.wait(self._in_flight)) > 0:
                return _AGAIN if math.isinf(wait) else wait
            at = self._pacer.ready_at(self._in_flight)
            self.awaits_response = math.isinf(at)
            now = self._clock()  # read after the pacer read it, so that the pacer's "now" has passed
            if at > now:
                return _AGAIN if math.isinf(at) else at - now
            self._pacer.sent()
            self._in_flight += 1
            return 0.0

    def spend(self) -> None:
        """Count a request that is sent now regardless of the pace, because a caller waits for its response."""
        with self._lock:
            self._pacer.sent()
            self._in_flight += 1

    def responded(self, response: Response | None, outcome: JobOutcome | None = None, item: int = 0) -> None:
        """Record that a claimed request has ended. *response* is `None` if there was none.

        *outcome*, for the item with the number *item*, may begin or end an outage; `None` does neither.
        """
        refused = response is not None and response.status == 429
        with self._lock:
            self._in_flight -= 1
            if outcome is not None:
                if isinstance(outcome, Deferred) and not refused:
                    self._outage.failed(item, outcome.reason)
                elif self._outage.failing:
                    self._outage.responded()
                self.outage = self._outage.reason
            if response is None:
                self._pacer.answered(limit=None, remaining=None)
            else:
                self._pacer.answered(
                    limit=response.calls_limit,
                    remaining=response.calls_remaining,
                    refused=refused,
                    retry_after=response.retry_after,
                )


class Unlimited:
    """Used instead of `Budget` where requests are not counted, for example with a broker."""

    outage: str | None = None
    awaits_response = False
    pauses = False
    rate: float | None = None
    used: tuple[int, int | None] = (0, None)

    def claim(self) -> float:
        return 0.0

    def spend(self) -> None: ...
    def responded(self, response: Response | None, outcome: JobOutcome | None = None, item: int = 0) -> None: ...


_budgets: dict[tuple[int, str, Secret, float | None, bool], Budget] = {}
_batch_budgets: dict[tuple[int, str, Secret], Budget] = {}


def budget_of(base_url: str, api_key: Secret, share: float | None = None, *, bulk: bool = False) -> Budget:
    """Return the budget of that key in this process. A forked child has its own, since it also sends.

    With *bulk*, the budget uses only what live events leave.
    """
    key = os.getpid(), base_url, api_key, share, bulk
    found = _budgets.get(key)
    # setdefault is atomic, so threads that create a budget at the same time share one.
    return _budgets.setdefault(key, Budget(Pacer(share=share, bulk=bulk))) if found is None else found


def batch_budget_of(url: str, write_key: Secret) -> Budget:
    """Return the budget of that write key in this process."""
    key = os.getpid(), url, write_key
    found = _batch_budgets.get(key)
    return _batch_budgets.setdefault(key, Budget(PausingPacer(monotonic))) if found is None else found


def budgets_of(base_url: str, api_key: Secret) -> list[Budget]:
    """Return all budgets of that key in this process, whatever their share, or a new one if there is none."""
    of_key = (os.getpid(), base_url, api_key)
    found = [budget for key, budget in list(_budgets.items()) if key[:3] == of_key]
    return found or [budget_of(base_url, api_key)]


def forget_budgets() -> None:
    """Forget all budgets. For tests, each of which has its own local journy.io."""
    _budgets.clear()
    _batch_budgets.clear()
