"""The dispatcher: which jobs go when, and what each outcome means for them."""

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

#: Seconds after the last request began before another sender joins in: if responses come sooner, one thread does
#: it all, and several would only compete for the interpreter (1.5 times the CPU, two thirds of the rate).
NEXT_SENDER_DELAY = 0.004
#: The same before a sender goes on while others are at work.
BUSY_SENDER_DELAY = 0.001
#: Seconds to the worker's next look where nothing earlier is due.
_LATER = 60.0
#: The same where more is just being read.
_FILLING = 0.01
#: Seconds below which no response is slow, even where all connections are in use just now.
_SLOW = 0.05


class Task(NamedTuple):
    """What a sender does: send these jobs that way or, without any, try whether its key is accepted again."""

    way: Way
    jobs: list[Job]


class Dispatcher:
    """Sends what may go: paced, in order, as many requests at once as the *ways* permit.

    Each job takes the first of them that has a counterpart for it. One lock guards outbox and ways; requests are
    made, and hooks called, outside of it. *settle* ends a job, *settle_delivered* several. *wake* makes the worker
    look again. *unchanged* knows what need not be sent; `None`: everything is. With *inline* the caller's thread
    sends, one request after the other.
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
        #: Where there is one way, and it is the API's own or a broker's, it has a counterpart for everything.
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
        #: When the worker looks again by itself.
        self._looks_at = math.inf
        #: Whether more is just being read that could fill a request.
        self._filling = False
        #: Until when a key's budget holds back what could be sent, as far as is known.
        self.held_until = NOT_HELD
        self._stopped = False
        #: Whether the caller's own thread sends.
        self.inline = inline
        #: Returns the clock's time by which every request must end; `None`: as configured.
        self.until: Callable[[], float] | None = None
        #: Called with the seconds that a request took, and what became of it. Must not raise.
        self.on_request: Callable[[float, JobOutcome | None], object] | None = None

    # ── The worker's side ──

    def put(self, job: Job) -> None:
        """Take *job* in: it waits, joins one that waits, or turns out to be needless."""
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
        """Choose the way of *job*; false when there is none."""
        for way in self.ways:
            if not way.transport.lacks(job.item):
                job.way = way.number
                return True
        return False

    def purge(self, delete: Delete) -> None:
        """Drop what waits and is about the user or account of *delete*."""
        with self._lock:
            gone = self._outbox.purge(delete)
        for job in gone:
            self._settle(job, "dropped", "deleted")

    def withdraw(self, job: Job, reason: str) -> bool:
        """Drop a job that waits; false when it does not, because it is in flight or settled."""
        with self._lock:
            waited = self._outbox.withdraw(job)
        if waited:
            self._settle(job, "dropped", reason)
        return waited

    def amend(self, job: Job, item: Item) -> None:
        """Send *item* in the place of one that waits; the names it claims stay."""
        with self._lock:
            job.item = item

    @property
    def waiting(self) -> int:
        """How many jobs wait here."""
        return len(self._outbox)

    @property
    def waiting_last(self) -> int:
        """How many of them wait for the last of the ways."""
        return self._outbox.count(len(self.ways) - 1)

    def dispatch(self, *, filling: bool = False) -> float | None:
        """Start everything that may be sent now. Returns seconds until the next look; `None` when nothing waits.

        *filling*: more is read at once, which may go in the same request.
        """
        self._filling = filling
        while True:
            task, wait = self._next(NEXT_SENDER_DELAY)
            if task is None:
                self._looks_at = math.inf if wait is None else self._clock() + wait
                return wait
            # Without a thread for it the caller's own sends, and what follows may find one.
            while task is not None and (self.inline or not self._senders.hand(task)):
                task = self._perform(task)

    def make_ready(self, waiting: int) -> None:
        """Start the threads that this many jobs may need, for when none can be started later."""
        self._senders.make_ready(waiting)

    def stop(self) -> None:
        """Begin no more requests; those in flight go on."""
        self._stopped = True
        self._senders.stop()

    def join(self, timeout: float) -> None:
        """Wait for the senders to end, at most *timeout* seconds for all of them."""
        self._senders.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether a sender still runs."""
        return self._senders.alive

    @property
    def circuit(self) -> CircuitState:
        """Whether requests flow: open while any key is refused."""
        return CircuitState.CLOSED if self.refused_key is None else CircuitState.OPEN

    @property
    def refused_key(self) -> str | None:
        """What the key is called that is refused; `None`: none is."""
        refused = (way for way in self.ways if way.circuit.state is CircuitState.OPEN)
        return next((way.transport.key.name for way in refused), None)

    def remember(self, note_key: Callable[[float | None], object], quiet: tuple[float, float] | None) -> None:
        """Call *note_key* when the key is refused, with the pause in seconds, and when it is accepted, with `None`.

        *quiet*: an earlier process was refused; seconds that are left of its pause, and the seconds of that pause.
        """
        with self._lock:
            self.ways[0].circuit.note_key = note_key
            if quiet is not None:
                self.ways[0].circuit.stay_open(*quiet)

    @property
    def suspended(self) -> list[str]:
        """The operations that a key has no permission for."""
        with self._lock:
            return [operation for way in self.ways for operation in way.circuit.suspended]

    def waits_for(self) -> str:
        """What the waiting jobs wait for: `"key"`, `"outage"`, `"connections"`, the `"budget"`, or `"batch"`."""
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
        """Log why the oldest item has been waiting for *seconds*, unless something else does."""
        for way in self.ways:
            if isinstance(way.budget, Unlimited) or not self._outbox.count(way.number):
                continue
            with self._lock:
                why = self._waits_for(way)
                # The youngest request has waited at least as long as that.
                latency = max(way.latency or 0.0, self._clock() - way.began_at)
                busy = way.in_flight
            if why == "connections" and latency >= _SLOW:
                self._reports.slow(seconds, busy, latency)
            elif why in ("budget", "connections") and not self._yields:
                # With responses as fast as that it is the pace, just not now. Bulk work waits on purpose.
                own, used = way.budget.used
                self._reports.held_back(seconds, own, used)

    def _next(self, delay: float) -> tuple[Task | None, float | None]:
        """What goes now, or how long until something may; nothing waits: `(None, None)`.

        Not while another request is on its way that began less than *delay* seconds ago.
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
        """What goes now, or is not sent any more; else seconds until something may; `None`: nothing waits."""
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
        """Whether it is too late to begin a request."""
        return self.until is not None and now >= self.until()

    def _wait(self, way: Way, job: Job, now: float, delay: float) -> float:
        """Seconds until a request with *job* may go; 0: now, and the budget counts it."""
        if way.in_flight:
            if way.in_flight >= (1 if self.inline else way.connections):
                return _LATER  # whoever comes back looks again
            since = now - way.began_at
            if since < delay:
                return delay - since
        if way.linger and (wait := self._lingers(way, job, now)) > 0:
            return wait
        if way.circuit.try_at is not None and (trial := way.circuit.wait(now)) != 0.0:
            return _LATER if trial is None else trial
        wait = way.budget.claim()
        if wait and way.takes_items and not way.in_flight:  # else it is the server that keeps us waiting
            self.held_until = now + wait
        return wait

    def _lingers(self, way: Way, job: Job, now: float) -> float:
        """Seconds for which *job* waits for others to go with."""
        if self._outbox.count(way.number) >= way.transport.max_jobs:
            return 0.0
        if self._filling:
            return _FILLING
        if self.until is not None or self._ledger.is_awaited or self._ledger.is_pressed:
            return 0.0
        return job.taken_at + way.linger - now

    # ── The senders' side ──

    def _perform(self, task: Task) -> Task | None:
        """Make the request, settle what it was for, and return what the same sender does next."""
        way, jobs = task
        if jobs:
            self._deliver(way, jobs)
        else:
            self._try_key(way)
        if self.inline:
            return None
        following, wait = self._next(BUSY_SENDER_DELAY)
        if len(jobs) > 1 or self._worker_is_late(following, wait):  # after many, there is room to read more
            self._wake()
        return following

    def _worker_is_late(self, following: Task | None, wait: float | None) -> bool:
        """Whether the worker would look too late by itself. To wake it costs more than most of what is done here."""
        if following is None and wait is None:
            return False
        with self._lock:
            now = self._clock()
            if following is not None:  # what was settled may have held several jobs back
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
        finally:  # a Ctrl-C goes on, and the jobs wait for whoever sends next
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
        """The outcomes of one request, whose place the budget gave. Gives it back."""
        outcomes: Sequence[JobOutcome] = ()
        began = self._clock()
        try:
            outcomes = way.transport.send(jobs, None if self.until is None else self._timeout())
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
        return None if self.until is None else max(0.001, self.until() - self._clock())

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
        """A trial of the key outside the budget: a refused job waits for it."""
        with self._lock:
            way.in_flight += 1
        way.budget.spend()
        return self._try_key(way)

    def _try_key(self, way: Way) -> bool:
        """Whether the key is accepted."""
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
    """A job that is not sent any more, and why."""

    job: Job
    reason: str


#: What jobs wait for, the worst first.
_REASONS = ("key", "outage", "connections", "budget", "batch")


def _of_all(outcomes: Sequence[JobOutcome]) -> JobOutcome:
    """What became of the request itself: of a job that was in it, if any was."""
    if len(outcomes) == 1:
        return outcomes[0]
    return next((outcome for outcome in outcomes if not isinstance(outcome, Unsendable)), outcomes[0])
