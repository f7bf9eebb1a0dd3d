"""A transport that sends only while a relay leads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from journy_track._delivery.transport import Transport
from journy_track._model.items import Item
from journy_track._model.outcomes import Deferred, JobOutcome, Outcome
from journy_track._model.secret import KeyName
from journy_track._stores.store import Job
from journy_track._transport.deadline import only_while

_NOT_LEADING = Deferred("this relay no longer leads", ambiguous=False)


class Leased:
    """Starts a request only while the lease is certain to hold.

    It waits for the response even if the lease ends meanwhile: journy.io has the request, and another relay sends its
    item again, whether we listen or not. Usually the lease is renewed in time, and the response is as good as any.
    """

    def __init__(self, transport: Transport, holds: Callable[[], bool]) -> None:
        self._transport = transport
        self._holds = holds
        self.key: KeyName = transport.key
        self.in_turn: bool = transport.in_turn
        self.merges: bool = transport.merges
        self.is_idempotent: bool = transport.is_idempotent
        self.try_key = None if transport.try_key is None else self._try_key

    @property
    def max_jobs(self) -> int:
        return self._transport.max_jobs

    def lacks(self, item: Item, /) -> bool:
        return self._transport.lacks(item)

    def log_lack(self, item: Item, /) -> None:
        self._transport.log_lack(item)

    def fits(self, jobs: Sequence[Job], /) -> int:
        return self._transport.fits(jobs)

    def send(self, jobs: Sequence[Job], /, timeout: float | None = None) -> Sequence[JobOutcome]:
        if not self._holds():
            return [_NOT_LEADING] * len(jobs)
        with only_while(self._holds):
            outcomes = self._transport.send(jobs, timeout)
        return [self._seen(outcome) for outcome in outcomes]

    def _try_key(self, timeout: float | None) -> Outcome:
        assert self._transport.try_key is not None, "else nobody is given this"
        if not self._holds():
            return _NOT_LEADING
        with only_while(self._holds):
            outcome = self._transport.try_key(timeout)
        return _NOT_LEADING if self._seen(outcome) is _NOT_LEADING else outcome

    def _seen(self, outcome: JobOutcome) -> JobOutcome:
        """Return *outcome*, or a deferral if the lease ended before anything was sent."""
        unsent = isinstance(outcome, Deferred) and not outcome.ambiguous and outcome.response is None
        return _NOT_LEADING if unsent and not self._holds() else outcome

    def close(self) -> None:
        self._transport.close()
