"""The dispatcher decides which jobs are sent when, and applies each outcome to its jobs."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from journy_track._delivery.budget import Unlimited
from journy_track._delivery.circuit import CircuitState
from journy_track._delivery.deciding import Decider
from journy_track._delivery.kept import KeptUnchanged
from journy_track._delivery.ledger import Ledger, Settle
from journy_track._delivery.outbox import Outbox
from journy_track._delivery.reports import OutageLog, Reports
from journy_track._delivery.senders import Senders
from journy_track._delivery.throttle import Unchanged
from journy_track._delivery.way import Way
from journy_track._model.config import Config
from journy_track._model.ending import NOT_HELD
from journy_track._model.items import DeleteAccount, DeleteUser, Item
from journy_track._model.outcomes import (
    Deferred,
    Delivered,
    JobOutcome,
    Outcome,
    Published,
    Response,
    Unauthorized,
    Unsendable,
)
from journy_track._model.purging import Delete
from journy_track._model.retry import backoff
from journy_track._stores.store import Job

#: Seconds after the start of the last request before another sender joins in. If responses arrive sooner than this,
#: one thread can do all the work, and more would only compete for the interpreter (1.5 times the CPU for two thirds
#: of the rate).
NEXT_SENDER_DELAY = 0.004
#: The same delay for a sender that continues with its next request while others are busy.
BUSY_SENDER_DELAY = 0.001
#: Seconds until the worker looks again when nothing is due earlier.
_LATER = 60.0
#: The same while more jobs are being read from the store.
_FILLING = 0.01
#: Responses faster than this many seconds do not count as slow, even when all connections are in use.
_SLOW = 0.05


class Task(NamedTuple):
    """Work for one sender: send *jobs* over *way* or, with no jobs, check whether its key is accepted again."""

    way: Way
    jobs: list[Job]


class Dispatcher:
    """Sends jobs at the allowed pace and in order, with as many concurrent requests as the *ways* permit.

    Each job uses the first way that supports it. One lock guards the outbox and the ways; requests are made and
    hooks are called outside it. *settle* ends one job, *settle_delivered* ends several. *wake* makes the worker look
    again. *unchanged* knows which items need not be sent; if it is `None`, every item is sent. With *inline*, the
    caller's thread sends, one request at a time.
    """

    def __init__(
        self,
        config: Config,
        ways: Sequence[Way],
        ledger: Ledger,
        reports: Reports,
        settle: Settle,
        settle_delivered: Callable[[Sequence[Job], Response], None],
        *,
        clock: Callable[[], float],
        wake: Callable[[], None],
        mark_internal: Callable[[], object],
        wait_before: Callable[[int], float] = backoff,
        inline: bool = False,
        unchanged: Unchanged | KeptUnchanged | None = None,
    ) -> None:
        self._max_age = config.max_age
        self._yields = config.priority == "bulk"
        self.ways = ways
        #: Whether a job's way has to be chosen. A single way to the REST API or to a broker supports every item.
        self._chooses = len(ways) > 1 or not (ways[0].transport.merges or ways[0].transport.in_turn)
        self._ledger = ledger
        self._reports = reports
        self._settle = settle
        self._clock = clock
        self._wake = wake
        self._lock = threading.RLock()
        self._in_turn = ways[0].transport.in_turn
        self._outbox = Outbox(merges=[way.transport.merges for way in ways], in_turn=self._in_turn)
        for number, way in enumerate(ways):
            way.number = number
            way.outages = OutageLog(reports, lambda: ledger.delivered, clock)
        self._decider = Decider(
            config,
            self._outbox,
            self._lock,
            reports,
            settle,
            settle_delivered,
            clock=clock,
            wait_before=wait_before,
            try_key=self._try_key_now,
            is_over=self._is_over,
            unchanged=unchanged,
        )
        self._senders: Senders[Task] = Senders(sum(way.connections for way in ways), self._perform, mark_internal)
        #: When the worker next looks without being woken.
        self._looks_at = math.inf
        #: Whether more jobs, which could fill a request, are being read at the moment.
        self._filling = False
        #: The time until which a key's budget is known to hold back jobs that could otherwise be sent.
        self.held_until = NOT_HELD
        self._stopped = False
        #: Whether the caller's own thread sends.
        self.inline = inline
        #: Returns the clock time by which every request must end. If `None`, the configured timeout applies.
        self.until: Callable[[], float] | None = None
        #: Called with the duration of each request in seconds and its outcome. Must not raise.
        self.on_request: Callable[[float, JobOutcome | None], object] | None = None

    # ── The worker's side ──

    def put(self, job: Job) -> None:
        """Accept *job*: queue it, merge it into a waiting job, or settle it if it need not be sent."""
        unchanged, item = self._decider.unchanged, job.item
        target: Job | None = job
        gone: list[Job] = []
        sendable = not self._chooses or self._choose(job)
        with self._lock:
            if isinstance(item, (DeleteUser, DeleteAccount)):
                if unchanged is not None:
                    unchanged.forget(item)
                gone = self._outbox.purge(item)
            if sendable and (unchanged is None or not unchanged.is_unchanged(item, job.number, self._clock())):
                target = self._outbox.put(job)
                if target is not None and unchanged is not None:
                    unchanged.sends(target.item, target.number)
        for purged in gone:
            self._settle(purged, "dropped", "deleted")
        if not sendable:
            self.ways[0].transport.log_lack(item)
            self._settle(job, "dropped", "no_counterpart")
        elif target is not None:
            self._settle(job, "coalesced", into=target)
            job.item = None  # a store keeps it until *target* is settled, and it may be large

    def _choose(self, job: Job) -> bool:
        """Choose the way for *job*. Returns false if no way supports it."""
        for way in self.ways:
            if not way.transport.lacks(job.item):
                job.way = way.number
                return True
        return False

    def purge(self, delete: Delete) -> None:
        """Drop the waiting jobs that concern the user or account in *delete*."""
        with self._lock:
            gone = self._outbox.purge(delete)
        for job in gone:
            self._settle(job, "dropped", "deleted")

    def withdraw(self, job: Job, reason: str) -> bool:
        """Drop a waiting job. Returns false if it is already in flight or settled."""
        with self._lock:
            waited = self._outbox.withdraw(job)
        if waited:
            self._settle(job, "dropped", reason)
        return waited

    def amend(self, job: Job, item: Item) -> None:
        """Send *item* instead of the waiting job's own item. The job keeps the names that it claims."""
        with self._lock:
            job.item = item

    @property
    def waiting(self) -> int:
        """The number of jobs that wait here."""
        return len(self._outbox)

    @property
    def waiting_last(self) -> int:
        """The number of jobs that wait for the last way."""
        return self._outbox.count(len(self.ways) - 1)

    def dispatch(self, *, filling: bool = False) -> float | None:
        """Start everything that may be sent now. Returns the seconds until the next look, `None` if nothing waits.

        *filling* means that more jobs are about to be read, which may be sent in the same request.
        """
        self._filling = filling
        while True:
            task, wait = self._next(NEXT_SENDER_DELAY)
            if task is None:
                self._looks_at = math.inf if wait is None else self._clock() + wait
                return wait
            # If no thread is available, the caller's thread sends; a later task may find one.
            while task is not None and (self.inline or not self._senders.hand(task)):
                task = self._perform(task)

    def make_ready(self, waiting: int) -> None:
        """Start the threads that *waiting* jobs may need, because no thread can be started later."""
        self._senders.make_ready(waiting)

    def stop(self) -> None:
        """Start no more requests. Those in flight continue."""
        self._stopped = True
        self._senders.stop()

    def join(self, timeout: float) -> None:
        """Wait up to *timeout* seconds in total for the senders to end."""
        self._senders.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether a sender is still running."""
        return self._senders.alive

    @property
    def circuit(self) -> CircuitState:
        """The state of the circuit: open while any key is refused."""
        return CircuitState.CLOSED if self.refused_key is None else CircuitState.OPEN

    @property
    def refused_key(self) -> str | None:
        """The name of the key that is refused, or `None`."""
        refused = (way for way in self.ways if way.circuit.state is CircuitState.OPEN)
        return next((way.transport.key.name for way in refused), None)

    def remember(self, note_key: Callable[[float | None], object], quiet: tuple[float, float] | None) -> None:
        """Call *note_key* with the pause in seconds when the key is refused, and with `None` when it is accepted.

        *quiet* is given if an earlier process was refused: the seconds that remain of its pause, and the length of
        that pause in seconds.
        """
        with self._lock:
            self.ways[0].circuit.note_key = note_key
            if quiet is not None:
                self.ways[0].circuit.stay_open(*quiet)

    @property
    def suspended(self) -> list[str]:
        """The operations for which a key lacks the permission."""
        with self._lock:
            return [operation for way in self.ways for operation in way.circuit.suspended]

    def waits_for(self) -> str:
        """What the waiting jobs wait for: `"key"`, `"outage"`, `"connections"`, `"budget"` or `"batch"`."""
        with self._lock:
            waiting = [way for way in self.ways if self._outbox.count(way.number)] or self.ways[:1]
            reasons = [self._waits_for(way) for way in waiting]
        return min(reasons, key=_REASONS.index)

    def _waits_for(self, way: Way) -> str:
        if way.circuit.try_at is not None:
            return "key"
        if way.budget.outage is not None:
            return "outage"
        if (way.in_flight and way.budget.awaits_response) or way.in_flight >= way.connections:
            return "connections"
        return "batch" if way.linger and not way.budget.pauses else "budget"

    def explain(self, seconds: float) -> None:
        """Log why the oldest item has been waiting for *seconds*, unless that reason is logged elsewhere."""
        for way in self.ways:
            if isinstance(way.budget, Unlimited) or not self._outbox.count(way.number):
                continue
            with self._lock:
                why = self._waits_for(way)
                # The latest request has been waiting at least this long.
                latency = max(way.latency or 0.0, self._clock() - way.began_at)
                busy = way.in_flight
            if why == "connections" and latency >= _SLOW:
                self._reports.slow(seconds, busy, latency)
            elif why in ("budget", "connections") and not self._yields:
                # With responses this fast, the pace is the limit, even if all connections are busy at this moment.
                # Bulk work waits on purpose.
                own, used = way.budget.used
                self._reports.held_back(seconds, own, used)

    def _next(self, delay: float) -> tuple[Task | None, float | None]:
        """Return the next task, or else the seconds until there may be one; `(None, None)` if nothing waits.

        No task starts while a request that began less than *delay* seconds ago is in flight.
        """
        while True:
            with self._lock:
                now = self._clock()
                if self._stopped or (self._in_turn and self._is_over(now)):
                    return None, None
                found = self._look(now, delay)
            if isinstance(found, Expired):
                self._decider.give_up(found.job, found.reason, None)
            elif isinstance(found, Task):
                return found, 0.0
            else:
                return None, found

    def _look(self, now: float, delay: float) -> Task | Expired | float | None:
        """Return the next task or expired job, else the seconds until there may be one; `None` if nothing waits."""
        soonest = math.inf
        for way in self.ways:
            job = self._outbox.first(now, way.number)
            if job is None:
                continue
            if job.renewed_at + self._max_age < now:
                return Expired(self._outbox.take(now, way=way.number)[0], "max_age")
            if way.circuit.suspends and job.item.operation in way.circuit.suspended:
                return Expired(self._outbox.take(now, way=way.number)[0], "missing permission")
            if wait := self._wait(way, job, now, delay):
                soonest = min(soonest, wait)
            else:
                return self._begin(way, now)
        if soonest < math.inf and len(self.ways) == 1:
            return soonest
        due = self._outbox.next_due()
        if due is None and soonest == math.inf:
            return _LATER if len(self._outbox) or any(way.in_flight for way in self.ways) else None
        return min(soonest, math.inf if due is None else max(0.0, due - now))

    def _begin(self, way: Way, now: float) -> Task:
        way.in_flight += 1
        way.began_at = now
        limit = way.transport.max_jobs
        if way.circuit.try_at is not None:
            way.circuit.on_trial = True
            if way.transport.try_key is not None:
                return Task(way, [])
            limit = 1
        return Task(way, self._outbox.take(now, limit, way=way.number, since=now - self._max_age))

    def _is_over(self, now: float) -> bool:
        """Whether it is too late to start a request."""
        until = self.until  # read once, as another thread may reset it
        return until is not None and now >= until()

    def _wait(self, way: Way, job: Job, now: float, delay: float) -> float:
        """Seconds until a request with *job* may be sent. 0 means now, and the budget has counted it."""
        if way.in_flight:
            if way.in_flight >= (1 if self.inline else way.connections):
                return _LATER  # the sender whose request ends first looks again
            since = now - way.began_at
            if since < delay:
                return delay - since
        if way.linger and (wait := self._lingers(way, job, now)) > 0:
            return wait
        if way.circuit.try_at is not None and (trial := way.circuit.wait(now)) != 0.0:
            return _LATER if trial is None else trial
        wait = way.budget.claim()
        if wait and way.takes_items and not way.in_flight:  # otherwise the server keeps us waiting, not the budget
            self.held_until = now + wait
        return wait

    def _lingers(self, way: Way, job: Job, now: float) -> float:
        """Seconds that *job* still waits for others to join its request."""
        if self._outbox.count(way.number) >= way.transport.max_jobs:
            return 0.0
        if self._filling:
            return _FILLING
        if self.until is not None or self._ledger.is_awaited or self._ledger.is_pressed:
            return 0.0
        return job.taken_at + way.linger - now

    # ── The senders' side ──

    def _perform(self, task: Task) -> Task | None:
        """Make the request, settle its jobs, and return the sender's next task."""
        way, jobs = task
        if jobs:
            self._deliver(way, jobs)
        else:
            self._try_key(way)
        if self.inline:
            return None
        following, wait = self._next(BUSY_SENDER_DELAY)
        if len(jobs) > 1 or self._worker_is_late(following, wait):  # a batch leaves room to read more
            self._wake()
        return following

    def _worker_is_late(self, following: Task | None, wait: float | None) -> bool:
        """Whether the worker would otherwise look too late. Waking it costs more than most of the work here."""
        if following is None and wait is None:
            return False
        with self._lock:
            now = self._clock()
            if following is not None:  # the settled jobs may have blocked several others
                wait = None
                for way in self.ways:
                    if way.in_flight < way.connections and self._outbox.first(now, way.number) is not None:
                        wait = NEXT_SENDER_DELAY
            return wait is not None and now + wait < self._looks_at

    def _deliver(self, way: Way, jobs: list[Job]) -> None:
        if len(jobs) > 1 and (fits := way.transport.fits(jobs)) < len(jobs):
            with self._lock:
                for job in jobs[fits:]:
                    self._outbox.put_back(job)
            jobs = jobs[:fits]
        outcomes: Sequence[JobOutcome] = ()
        self._ledger.started(jobs)
        try:
            outcomes = self._sent(way, jobs)
        finally:  # a Ctrl-C propagates, and the jobs wait for the next sender
            if len(outcomes) < len(jobs):
                interrupted = Deferred("the request was interrupted", ambiguous=not way.transport.is_idempotent)
                outcomes = [*outcomes, *[interrupted] * (len(jobs) - len(outcomes))]
                for job in jobs:
                    job.message = None
            of_all = outcomes[0] if len(jobs) == 1 else _of_all(outcomes)
            self._ledger.responded(jobs, of_all.response)
            self._decider.decide(way, jobs, outcomes)
            if way.outages.is_recovering and not (self._outbox.count(way.number) or way.in_flight):
                way.outages.note_recovery()

    def _sent(self, way: Way, jobs: list[Job]) -> Sequence[JobOutcome]:
        """Make one request, for which the budget was claimed, and return its outcomes. Releases the claim."""
        outcomes: Sequence[JobOutcome] = ()
        began = self._clock()
        try:
            outcomes = way.transport.send(jobs, self._timeout())
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or self._in_turn:
                raise
            reason = f"the HTTP client raised {type(error).__name__}"
            outcomes = [Deferred(reason, ambiguous=not way.transport.is_idempotent)] * len(jobs)
        finally:
            of_all = None if not outcomes else outcomes[0] if len(jobs) == 1 else _of_all(outcomes)
            self._responded(way, began, of_all, jobs[0].number)
        return outcomes

    def _timeout(self) -> float | None:
        until = self.until  # read once, as another thread may reset it
        return None if until is None else max(0.001, until() - self._clock())

    def _responded(self, way: Way, began: float, outcome: JobOutcome | None, number: int) -> None:
        verdict: Outcome | None = None
        took = self._clock() - began
        with self._lock:
            way.ended(took, outcome)
            if number and way.transport.try_key is None:
                verdict = way.judge(outcome)
        response = None if outcome is None else outcome.response
        way.budget.responded(response, None if isinstance(outcome, (Published, Unsendable)) else outcome, number)
        if way.budget.outage is not None or way.outages.is_on:
            way.outages.note(way.budget.outage)
        if verdict is not None:
            self._report_key(way, verdict)
        if self.on_request is not None:
            self.on_request(took, outcome)

    def _report_key(self, way: Way, verdict: Outcome | None) -> None:
        if isinstance(verdict, Delivered):
            self._reports.key_accepted(way.transport.key)
        elif isinstance(verdict, Unauthorized):
            self._reports.key_refused(way.transport.key, verdict.response)

    def _try_key_now(self, way: Way) -> bool:
        """Try the key at once, whatever the budget allows, because a refused job waits for the result."""
        with self._lock:
            way.in_flight += 1
        way.budget.spend()
        return self._try_key(way)

    def _try_key(self, way: Way) -> bool:
        """Try the key. Returns whether it is accepted."""
        assert way.transport.try_key is not None, "else a job tries the key"
        outcome: Outcome | None = None
        began = self._clock()
        try:
            outcome = way.transport.try_key(self._timeout())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - as in `_sent`
            outcome = Deferred(f"the HTTP client raised {type(error).__name__}", ambiguous=True)
        finally:
            self._responded(way, began, outcome, 0)
            with self._lock:
                news = way.circuit.end_trial(outcome)
        self._report_key(way, outcome if news else None)
        return isinstance(outcome, Delivered)


class Expired(NamedTuple):
    """A job that will not be sent, and the reason."""

    job: Job
    reason: str


#: What jobs can wait for, worst first.
_REASONS = ("key", "outage", "connections", "budget", "batch")


def _of_all(outcomes: Sequence[JobOutcome]) -> JobOutcome:
    """The outcome of the request itself: that of the first job that could be part of it, if there is one."""
    if len(outcomes) == 1:
        return outcomes[0]
    return next((outcome for outcome in outcomes if not isinstance(outcome, Unsendable)), outcomes[0])
