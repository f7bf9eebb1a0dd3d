"""The dispatcher: which item goes when, and what each outcome means for it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Final, Protocol

from journy_track._delivery.budget import Budget
from journy_track._delivery.circuit import Circuit, Memory, State
from journy_track._delivery.ledger import Ledger
from journy_track._delivery.notices import Notices
from journy_track._delivery.outbox import PATIENCE, MemoryOutbox
from journy_track._delivery.reports import Reports
from journy_track._delivery.retry import backoff
from journy_track._delivery.senders import Senders
from journy_track._delivery.taken import Taken
from journy_track._delivery.throttle import Unchanged
from journy_track._model.call import Call
from journy_track._model.config import Config
from journy_track._model.items import DeleteAccount, DeleteUser, Item
from journy_track._model.outcomes import (
    Answer,
    Deferred,
    Delivered,
    Outcome,
    Rejected,
    Unauthorized,
)
from journy_track._model.reads import GetApiKeyDetails


class Transport(Protocol):
    """Carries one call and says what became of it. Does not raise."""

    def send(self, call: Call, /, timeout: float | None = None) -> Outcome: ...
    def close(self) -> None: ...


class _Probe:
    """Ask whether the key is accepted again."""


PROBE: Final = _Probe()

#: Seconds after the last request began before another sender joins in: where answers come sooner, one thread does all
#: of it, and several would only fight over the interpreter (1.5 times the CPU, two thirds of the rate).
APART = 0.004
#: The same before a sender goes on while others are at work.
TOGETHER = 0.001
Task = Taken | _Probe


class Dispatcher:
    """Sends what may go: paced, in order per lane, up to `max_connections` at once.

    One lock guards outbox, pacer and circuit; requests are made, and hooks called, outside of it. *ring* tells
    the worker that it should look again. With *inline* the caller's thread sends, one item after the other.
    """

    def __init__(
        self,
        config: Config,
        transport: Transport,
        ledger: Ledger,
        notices: Notices,
        budget: Budget,
        *,
        clock: Callable[[], float],
        ring: Callable[[], None],
        inside: Callable[[], object],
        wait_before: Callable[[int], float] = backoff,
        inline: bool = False,
    ) -> None:
        self._config = config
        self._transport = transport
        self._ledger = ledger
        self._reports = Reports(config, notices)
        self._budget = budget
        self._clock = clock
        self._ring = ring
        self._wait_before = wait_before
        self._lock = threading.RLock()
        self._outbox = MemoryOutbox()
        self._circuit = Circuit(clock)
        self._unchanged = Unchanged(config.skip_unchanged)
        self._senders: Senders[Task] = Senders(config.max_connections, self._perform, inside)
        self._in_flight = 0
        #: When the last request began, and when the worker looks again by itself.
        self._began_at = -math.inf
        self._looks_at = math.inf
        self._asking = False
        self._stopped = False
        #: Whether the caller's own thread sends.
        self.inline = inline
        #: No request may last beyond this, by the clock; `None`: as configured.
        self.deadline: float | None = None

    # ── The worker's side ──

    def put(self, taken: Taken) -> None:
        """Take an item in: it waits, joins one that waits, or turns out to be needless."""
        item = taken.item
        with self._lock:
            gone: list[Taken] = []
            target: Taken | None = taken
            if not self._unchanged.is_unchanged(item, taken.number, self._clock()):
                if isinstance(item, (DeleteUser, DeleteAccount)):
                    gone = self._outbox.purge(item)
                target = self._outbox.put(taken)
                if target is not None:
                    self._unchanged.sends(target.item, target.number)
        for purged in gone:
            self._ledger.dropped(purged, "deleted")
        if target is not None:
            self._ledger.coalesced(taken, target)
            taken.item = None  # the spool remembers it until *target* is settled, and it may be large

    def purge(self, delete: DeleteUser | DeleteAccount) -> None:
        """Remove what waits and is about the user or account of *delete*."""
        with self._lock:
            gone = self._outbox.purge(delete)
        for purged in gone:
            self._ledger.dropped(purged, "deleted")

    def withdraw(self, taken: Taken, reason: str) -> None:
        """Drop one that waits. What is in flight or settled stays as it is."""
        with self._lock:
            waited = self._outbox.withdraw(taken)
        if waited:
            self._ledger.dropped(taken, reason)

    def amend(self, taken: Taken, item: Item) -> None:
        """Send *item* in the place of one that waits; the names it holds stay."""
        with self._lock:
            taken.item = item

    def remember(self, memory: Memory, quiet: tuple[float, float] | None) -> None:
        """Tell *memory* of a refused key. *quiet*: it was refused before; for so many seconds of that pause."""
        with self._lock:
            self._circuit.memory = memory
            if quiet is not None:
                self._circuit.stay_open(*quiet)

    @property
    def waiting(self) -> int:
        """How many items wait here."""
        return len(self._outbox)

    def dispatch(self) -> float | None:
        """Start all that may go now. Answers seconds until the next look; `None` when nothing waits."""
        while True:
            task, wait = self._next(worker=True)
            if task is None:
                return wait
            # Without a thread for it the caller's own sends, and what follows may find one.
            while task is not None and (self.inline or not self._senders.hand(task)):
                task = self._perform(task)

    def stop(self) -> None:
        """No more requests, but those on their way."""
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
    def circuit(self) -> State:
        """Whether requests flow."""
        return self._circuit.state

    @property
    def suspended(self) -> list[str]:
        """The operations that the key has no permission for."""
        with self._lock:
            return self._circuit.suspended

    def _next(self, *, worker: bool) -> tuple[Task | None, float | None]:
        """What goes now, or how long until something may; nothing waits: `(None, None)`."""
        while True:
            with self._lock:
                now = self._clock()
                if self._stopped:
                    return self._idle(now, None, worker)
                taken = self._outbox.first(now)
                if taken is None:
                    due = self._outbox.next_due()
                    idle = not len(self._outbox) and not self._in_flight
                    return self._idle(now, None if idle else _until(due, now), worker)
                if taken.renewed_at + self._config.max_age < now:
                    expired, reason = self._outbox.take_first(), "max_age"
                elif self._circuit.is_suspended(taken.item.operation):
                    expired, reason = self._outbox.take_first(), "missing permission"
                elif wait := self._wait_for_pace(now, APART if worker else TOGETHER):
                    return self._idle(now, wait, worker)
                else:
                    return self._begun(now), 0.0
            self._give_up(expired, reason, None)

    def _idle(self, now: float, wait: float | None, worker: bool) -> tuple[None, float | None]:
        if worker:
            self._looks_at = math.inf if wait is None else now + wait
        return None, wait

    def _wait_for_pace(self, now: float, apart: float) -> float:
        """Seconds until another request may go; 0: now, and the budget counts it.

        Not while another is on its way that began less than *apart* seconds ago.
        """
        if self._in_flight >= (1 if self.inline else self._config.max_connections):
            return _LATER  # whoever comes back looks again
        since = now - self._began_at
        if self._in_flight and since < apart:
            return apart - since
        probe_at = self._circuit.probe_at
        if probe_at is not None and (self._asking or now < probe_at):
            return _LATER if self._asking else probe_at - now
        return self._budget.claim()

    def _begun(self, now: float) -> Task:
        self._in_flight += 1
        self._began_at = now
        probe_at = self._circuit.probe_at
        if probe_at is not None:
            self._asking = True
            return PROBE
        return self._outbox.take_first()

    # ── The senders' side ──

    def _perform(self, task: Task) -> Task | None:
        """Make the request, settle what it was for, and answer what the same sender does next."""
        if isinstance(task, _Probe):
            self._ask_for_the_key()
        else:
            self._deliver(task)
        if self.inline:
            return None
        following, wait = self._next(worker=False)
        if self._is_due(following, wait) or (following is None and self._ledger.keeper is not None):
            self._ring()
        return following

    def _is_due(self, following: Task | None, wait: float | None) -> bool:
        """Whether the worker would look too late by itself. To wake it costs more than most of what is done here."""
        with self._lock:
            now = self._clock()
            if following is not None:  # what was settled may have held several items back
                free = self._in_flight < self._config.max_connections
                wait = APART if free and self._outbox.first(now) is not None else None
            return wait is not None and now + wait < self._looks_at

    def _deliver(self, taken: Taken) -> None:
        outcome: Outcome = _INTERRUPTED
        self._ledger.started(taken)
        try:
            outcome = self._sent(taken.item)
        finally:  # a Ctrl-C goes on, and the item waits for whoever sends next
            self._ledger.answered(taken, outcome.answer)
            self._reports.outcome(taken, outcome)
            try:
                self._decide(taken, outcome)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not hold the lane for ever
                self._reports.our_mistake(error)
                with self._lock:
                    self._outbox.settle(taken)
                self._ledger.dropped(taken, "internal_error")

    def _sent(self, call: Call) -> Outcome:
        """The outcome of one request, whose place the pacer has given. Gives the place back."""
        timeout = None
        if self.deadline is not None:
            timeout = max(0.001, self.deadline - self._clock())
        outcome: Outcome = _INTERRUPTED
        try:
            outcome = self._transport.send(call, timeout)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - not even a SystemExit of the HTTP client ends a sender
            outcome = Deferred(f"the HTTP client raised {type(error).__name__}", ambiguous=True)
        finally:
            answer = outcome.answer
            with self._lock:
                self._in_flight -= 1
            self._budget.answered(answer)
        return outcome

    def _decide(self, taken: Taken, outcome: Outcome) -> None:
        match outcome:
            case Delivered(answer):
                self._reports.rejected_properties(taken, answer)
                with self._lock:
                    self._outbox.settle(taken)
                    if answer.rejected or taken.deferrals >= PATIENCE:  # without a lane: who was last?
                        self._unchanged.forget(taken.item)
                    else:
                        self._unchanged.confirmed(taken.item, taken.number, self._clock())
                self._ledger.delivered(taken, answer)
            case Rejected(answer, reason):
                self._give_up(taken, reason, answer)
            case Unauthorized(answer):
                self._refused(taken, answer)
            case Deferred():
                self._defer(taken, outcome)

    def _defer(self, taken: Taken, outcome: Deferred) -> None:
        if outcome.ambiguous and self._config.on_ambiguous == "drop" and not taken.item.repeatable:
            self._give_up(taken, f"ambiguous: {outcome.reason}", outcome.answer)
            return
        too_many = outcome.answer is not None and outcome.answer.status == 429
        # After a 429 the pacer makes everyone wait; the item itself has nothing to wait for.
        wait = 0.0 if too_many else max(outcome.retry_after or 0.0, self._wait_before(taken.deferrals + 1))
        now = self._clock()
        if now + wait > taken.renewed_at + self._config.max_age:
            self._give_up(taken, f"max_age: {outcome.reason}", outcome.answer)
            return
        self._reports.deferred(outcome.reason)
        self._put_back(taken, now + wait, counts=not too_many)

    def _put_back(self, taken: Taken, until: float, *, counts: bool) -> None:
        with self._lock:
            stays = self._outbox.defer(taken, until, counts=counts)
        if not stays:
            self._ledger.dropped(taken, "deleted")

    # ── The key ──

    def _refused(self, taken: Taken, answer: Answer) -> None:
        """A 401 or 403: either the key is bad, or it lacks the permission for this operation. `/validate` tells."""
        with self._lock:
            ask = not self._asking and self._circuit.state is State.CLOSED
            if ask:
                self._asking = True
                self._in_flight += 1
                self._budget.spend()
        if not ask:
            self._put_back(taken, self._clock() + 1.0, counts=False)
            return
        try:
            accepted = self._ask_for_the_key()
        except KeyboardInterrupt:
            self._put_back(taken, self._clock(), counts=False)
            raise
        if accepted:
            with self._lock:
                self._circuit.suspend(taken.item.operation)
            self._reports.missing_permission(taken.item.operation, answer)
            self._give_up(taken, "missing permission", answer)
        elif self._circuit.state is State.OPEN:
            self._put_back(taken, self._clock() + 1.0, counts=False)
        else:  # no verdict: both are asked again
            self._put_back(taken, self._clock() + self._wait_before(taken.deferrals + 1), counts=True)

    def _ask_for_the_key(self) -> bool:
        """Whether the key is accepted. The circuit follows the answer; no answer leaves it as it is."""
        was = self._circuit.state
        outcome: Outcome = _INTERRUPTED
        try:
            outcome = self._sent(GetApiKeyDetails())
        finally:
            with self._lock:
                self._asking = False
                if isinstance(outcome, Delivered):
                    self._circuit.closed()
                elif isinstance(outcome, Unauthorized) or was is State.OPEN:
                    self._circuit.opened()
        if isinstance(outcome, Delivered) and was is State.OPEN:
            self._reports.key_accepted()
        elif isinstance(outcome, Unauthorized):
            self._reports.key_refused(outcome.answer)
        return isinstance(outcome, Delivered)

    def _give_up(self, taken: Taken, reason: str, answer: Answer | None) -> None:
        with self._lock:
            self._outbox.settle(taken)
            self._unchanged.forget(taken.item)
        try:
            self._reports.given_up(taken, reason, answer)
        finally:
            self._ledger.given_up(taken, reason, answer)  # last: who waits for it has been told


#: Seconds after which the worker looks again where nothing else says when.
_LATER = 60.0
#: What came of a request during which whoever waited for it was called away, by Ctrl-C.
_INTERRUPTED: Final = Deferred("the request was interrupted", ambiguous=True)


def _until(due: float | None, now: float) -> float:
    return _LATER if due is None else max(0.0, due - now)
