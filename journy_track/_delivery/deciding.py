"""Decides from the outcome of a request whether its job is settled, retried or given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from journy_track._delivery.circuit import CircuitState
from journy_track._delivery.kept import KeptUnchanged
from journy_track._delivery.ledger import Settle
from journy_track._delivery.outbox import PATIENCE, Outbox
from journy_track._delivery.reports import Reports
from journy_track._delivery.throttle import Unchanged
from journy_track._delivery.way import Way
from journy_track._model.config import Config
from journy_track._model.identity import UserIdentified
from journy_track._model.outcomes import (
    Deferred,
    Delivered,
    JobOutcome,
    Published,
    Rejected,
    Response,
    Split,
    Unauthorized,
    Unsendable,
)
from journy_track._stores.store import Job

#: Seconds for which an item that failed during an outage lets other items probe.
_BEHIND_OTHERS = 0.5
#: Seconds for which a job waits while its key is being tried or after it was refused.
_BEHIND_TRIAL = 1.0
#: Failures after which a request with several jobs is halved, because the server may be failing on one of them.
_HALVED_AFTER = 2


class Decider:
    """Decides under *lock*, which guards *outbox* and the ways, and calls hooks outside it.

    *try_key* tries a way's key and returns whether it is accepted. *is_over* returns whether it is too late to start
    a request.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        lock: threading.RLock,
        reports: Reports,
        settle: Settle,
        settle_delivered: Callable[[Sequence[Job], Response], None],
        *,
        clock: Callable[[], float],
        wait_before: Callable[[int], float],
        try_key: Callable[[Way], bool],
        is_over: Callable[[float], bool],
        unchanged: Unchanged | KeptUnchanged | None,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._lock = lock
        self._reports = reports
        self._settle = settle
        self._settle_delivered = settle_delivered
        self._clock = clock
        self._wait_before = wait_before
        self._try_key = try_key
        self._is_over = is_over
        #: Knows what journy.io last confirmed for each identity. If `None`, every item is sent.
        self.unchanged = unchanged

    def decide(self, way: Way, jobs: Sequence[Job], outcomes: Sequence[JobOutcome]) -> None:
        """Apply *outcomes* to *jobs*, which were sent in one request."""
        if len(jobs) > 1 and self._are_delivered(jobs, outcomes):
            return
        if self.unchanged is not None:
            self._confirm(self.unchanged, jobs, outcomes)
        until: float | None = None
        interrupted: BaseException | None = None
        for job, outcome in zip(jobs, outcomes, strict=True):
            try:
                if self._reports.debug:
                    self._reports.outcome(job, outcome)
                if job.refused is not None and isinstance(outcome, (Delivered, Rejected, Unsendable)):
                    self._next_user(way, job, outcome)
                elif isinstance(outcome, Delivered):
                    self._delivered(job, outcome.response)
                elif isinstance(outcome, Deferred):
                    until = self._defer(way, job, outcome, until, len(jobs))
                else:
                    self._decide(way, job, outcome)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not hold back the others for ever
                self._reports.our_mistake(error)
                self._end(job)
                self._settle(job, "dropped", "internal_error")
            except BaseException as error:  # noqa: BLE001 - a Ctrl-C, which goes on once all are decided on
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def _are_delivered(self, jobs: Sequence[Job], outcomes: Sequence[JobOutcome]) -> bool:
        """Settle *jobs* together if all were delivered. Returns false if each has to be decided separately."""
        outcome = outcomes[0]
        if not isinstance(outcome, Delivered) or self._reports.debug or self.unchanged is not None:
            return False
        if any(other is not outcome for other in outcomes):
            return False
        try:
            with self._lock:
                for job in jobs:
                    self._outbox.settle(job)
            self._settle_delivered(jobs, outcome.response)
        except Exception as error:  # noqa: BLE001 - as below
            self._reports.our_mistake(error)
            return False
        return True

    def _confirm(
        self, unchanged: Unchanged | KeptUnchanged, jobs: Sequence[Job], outcomes: Sequence[JobOutcome]
    ) -> None:
        """Record what journy.io confirmed, before any job is settled, so that whatever waits for a job finds it."""
        try:
            with self._lock:
                for job, outcome in zip(jobs, outcomes, strict=True):
                    if not isinstance(outcome, Delivered):
                        continue
                    # After too many deferrals a job lost its place, so it may not be the last upsert.
                    if outcome.response.rejected or job.deferrals >= PATIENCE:
                        unchanged.forget(job.item)
                    else:
                        unchanged.confirmed(job.item, job.number, self._clock())
                unchanged.save()
        except Exception as error:  # noqa: BLE001 - they are delivered all the same
            self._reports.our_mistake(error)

    def _decide(self, way: Way, job: Job, outcome: JobOutcome) -> None:
        match outcome:
            case Published():
                self._end(job)
                self._settle(job, "published")
            case Unsendable(reason, why):
                self._reports.unsendable(job, reason, why)
                self._end(job)
                self._settle(job, "dropped", reason)
            case Rejected(response, reason):
                self.give_up(job, reason, response)
            case Split(together=together):
                with self._lock:
                    job.together = max(1, together)
                    if not together:
                        job.refused = {}
                    self._outbox.put_back(job)
            case Unauthorized(response):
                self._refused(way, job, response)

    def _next_user(self, way: Way, job: Job, outcome: Delivered | Rejected | Unsendable) -> None:
        """Continue a membership with its next user, or end it after the last one.

        If journy.io rejected any user, the job ends as rejected, and its item keeps only the users that were refused.
        """
        refused: dict[UserIdentified, Rejected | Unsendable] = {} if job.refused is None else job.refused
        if not isinstance(outcome, Delivered):
            refused[job.sole] = outcome
        with self._lock:
            # Removed by name rather than by position, because a delete may have removed other users meanwhile.
            left = tuple(user for user in job.item.users if user != job.sole)
            if left or refused:
                job.item = replace(job.item, users=left or tuple(refused))
            if left:
                self._outbox.put_back(job)
                return
        if refused:
            outcome = next((one for one in refused.values() if isinstance(one, Rejected)), outcome)
        if isinstance(outcome, Delivered):
            self._delivered(job, outcome.response)
        else:
            self._decide(way, job, outcome)

    def _end(self, job: Job) -> None:
        with self._lock:
            self._outbox.settle(job)

    def _delivered(self, job: Job, response: Response) -> None:
        if response.rejected:
            self._reports.rejected_properties(job, response)
        with self._lock:
            self._outbox.settle(job)
        self._settle(job, "delivered", response=response)

    def give_up(self, job: Job, reason: str, response: Response | None) -> None:
        """Give up *job*: report it and settle it without another attempt."""
        with self._lock:
            self._outbox.settle(job)
            if self.unchanged is not None:
                self.unchanged.forget(job.item)
        try:
            self._reports.given_up(job, reason, response)
        finally:
            self._settle(job, "given_up", reason, response)  # last, because callers that wait for it then continue

    def _defer(self, way: Way, job: Job, outcome: Deferred, until: float | None, count: int) -> float | None:
        """Retry *job* at *until*, or at a time to be determined if that is `None`. Returns the time.

        The *count* jobs of one request are retried at the same time, so that they are sent together.
        """
        if outcome.ambiguous and self._config.on_ambiguous == "drop" and not job.item.repeatable:
            self.give_up(job, f"ambiguous: {outcome.reason}", outcome.response)
            return until
        in_turn = way.transport.in_turn
        too_many = outcome.response is not None and outcome.response.status == 429
        out = not too_many and outcome.retry_after is None and way.budget.outage is not None
        now = self._clock()
        is_first, until = until is None, until or now
        if is_first:
            until += self._pause(job, outcome, too_many=too_many, out=out, in_turn=in_turn)
        if until > job.renewed_at + self._config.max_age:
            self.give_up(job, f"max_age: {outcome.reason}", outcome.response)
            return until
        if is_first and in_turn:
            self._reports.not_published(outcome.reason)
        elif is_first and not self._is_over(now):  # otherwise shutdown cut the request off and counts the loss
            self._reports.deferred(outcome.reason)
        fails_at_it = outcome.response is not None and outcome.response.status >= 500 and not out
        if count > 1 and fails_at_it and not in_turn and job.deferrals >= _HALVED_AFTER:
            job.together = count // 2
        self._retry_at(job, until, counts=not (too_many or out or in_turn))
        return until

    def _pause(self, job: Job, outcome: Deferred, *, too_many: bool, out: bool, in_turn: bool) -> float:
        """Return the seconds before the next attempt."""
        if too_many:  # the pacer makes all items wait, so this one needs no pause of its own
            return 0.0
        # Items that are sent in turn wait for the transport, which knows for how long.
        wait = max(outcome.retry_after or 0.0, 0.0 if in_turn else self._wait_before(job.deferrals + 1))
        # In an outage all items wait for the server, and the next probe is another item.
        return min(wait, _BEHIND_OTHERS) if out else wait

    def _retry_at(self, job: Job, until: float, *, counts: bool) -> None:
        with self._lock:
            stays = self._outbox.defer(job, until, counts=counts)
        if not stays:
            self._settle(job, "dropped", "deleted")

    def _refused(self, way: Way, job: Job, response: Response) -> None:
        """Handle a 401 or 403: a trial shows whether the key is invalid or only lacks this operation's permission."""
        circuit = way.circuit
        with self._lock:
            tries = way.transport.try_key is not None and circuit.begin_trial()
        if not tries:
            self._retry_at(job, self._clock() + _BEHIND_TRIAL, counts=False)
            return
        try:
            accepted = self._try_key(way)
        except KeyboardInterrupt:
            self._retry_at(job, self._clock(), counts=False)
            raise
        if accepted:
            with self._lock:
                circuit.suspend(job.item.operation)
            self._reports.missing_permission(job.item.operation, response)
            self.give_up(job, "missing permission", response)
        elif circuit.state is CircuitState.OPEN:
            self._retry_at(job, self._clock() + _BEHIND_TRIAL, counts=False)
        else:  # without a verdict, both the job and the key are tried again
            self._retry_at(job, self._clock() + self._wait_before(job.deferrals + 1), counts=True)
