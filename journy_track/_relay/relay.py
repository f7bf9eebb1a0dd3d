"""Lead, deliver, acknowledge: at most one relay does, under a lease; the others stand by."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import time

from journy_track._delivery.circuit import State
from journy_track._delivery.dispatcher import Transport
from journy_track._model.broker import BrokerError
from journy_track._model.clock import monotonic
from journy_track._model.config import Config
from journy_track._model.frozendict import FrozenDict
from journy_track._model.logs import say
from journy_track._model.numbers import Stats
from journy_track._relay.stream import RelayQueue, Settled
from journy_track._relay.term import Leased, Term

#: Seconds for which a relay leads without renewing. It renews three times as often, and stops sending earlier.
LEASE = 10.0
#: Part of the lease after which nothing more is sent: a request takes its time, and clocks differ.
_SURE = 0.7
#: Seconds before a broker that failed is asked again.
AGAIN = 0.5


@dataclass(frozen=True, slots=True)
class Status:
    """What a relay is doing. *broker* is what it said last: waiting, age of the oldest in seconds, dead letters."""

    role: str
    stats: Stats
    terms: int
    broker_waiting: int | None = None
    broker_oldest: float | None = None
    dead_letters: int | None = None
    trouble: str | None = None


class Relay:
    """Runs until it is told to stop, through lost leases and brokers that come and go.

    *inside* is called once in each of its threads. Everything that it promises to the broker it does in the thread
    that calls `run`.
    """

    def __init__(
        self,
        queue: RelayQueue,
        config: Config,
        transport: Transport,
        *,
        inside: Callable[[], object],
        lease: float = LEASE,
        wall: Callable[[], float] = time,
    ) -> None:
        self._queue = queue
        self._config = config
        self._transport = Leased(transport, self._holds, lambda: self._until - monotonic())
        self._inside = inside
        self._lease = lease
        self._wall = wall
        self._bell = threading.Event()
        self._stopping = False
        #: The end of the lease; until when it surely holds; when it is renewed. By the monotonic clock.
        self._until = 0.0
        self._sure_until = 0.0
        self._renew_at = 0.0
        # Not a term's: what was delivered in one that ended is still true in the next, and not sent again.
        self._settled: deque[Settled] = deque()
        self._term: Term | None = None
        self._past = Stats()
        self._terms = 0
        self._trouble: str | None = None
        self._looked: tuple[int, float | None, int] | None = None
        self._look_at = 0.0

    def stop(self) -> None:
        """Finish what is on its way, give the rest back, and return from `run`: within a second."""
        # No bell: this may be a signal handler, in the middle of the thread's own wait for it.
        self._stopping = True

    def run(self, turned: Callable[[], object] = lambda: None) -> None:
        """Lead, or stand by, until `stop()`. *turned* is called after each turn, several times a second."""
        self._inside()
        while not self._stopping:
            wait = AGAIN
            try:
                wait = self._turn()
                self._look()
                self._trouble = None
            except BrokerError as error:
                if str(error) != self._trouble:
                    say(logging.ERROR, "the broker cannot be used: %s. The relay tries again.", error)
                self._trouble = str(error)
            if self._term is not None and not self._holds():
                self._lose()
            turned()
            self._bell.wait(wait)
            self._bell.clear()
        self._end()
        turned()

    def _turn(self) -> float:
        if self._term is None:
            if not self._lead():
                return self._lease / 10
            self._term = Term(
                self._config,
                self._transport,
                self._queue,
                self._settled,
                self._bell.set,
                self._inside,
                self._wall,
            )
            self._terms += 1
            say(logging.WARNING, "this relay leads (%d messages wait in the broker).", self._queue.depth()[0])
        elif monotonic() >= self._renew_at and not self._lead(again=True):
            self._sure_until = 0.0
        if not self._settle():
            self._sure_until = 0.0
        return self._term.turn() if self._holds() else 0.0

    def _settle(self) -> bool:
        """Tell the broker what is settled; false when another relay leads."""
        while self._settled:
            some = [self._settled.popleft() for _ in range(min(500, len(self._settled)))]
            told = False
            try:
                told = self._queue.settle(some)
            finally:
                if not told:
                    self._settled.extendleft(reversed(some))  # never skipped: it would be sent again
            if not told:
                return False
        return True

    def _lead(self, *, again: bool = False) -> bool:
        asked = monotonic()
        if not (self._queue.renew() if again else self._queue.acquire()):
            return False
        self._until = asked + self._lease
        self._sure_until = asked + self._lease * _SURE
        self._renew_at = asked + self._lease / 3
        return True

    def _holds(self) -> bool:
        return monotonic() < self._sure_until

    def _lose(self) -> None:
        """Somebody else may lead: nothing more is sent. What was on its way may be sent twice."""
        say(logging.ERROR, "this relay does not lead any more: its lease could not be renewed in time.")
        term, self._term = self._term, None
        assert term is not None
        term.dispatcher.stop()
        term.dispatcher.join(self._config.timeout)
        self._past = _sum(self._past, _ended(term.ledger.stats()))

    def _end(self) -> None:
        term, self._term = self._term, None
        if term is not None:
            term.dispatcher.stop()
            term.dispatcher.join(self._config.timeout)
            try:
                self._settle()
                self._queue.release()
            except BrokerError as error:
                say(logging.ERROR, "the broker was not told of what was delivered last: %s. It is sent again.", error)
            self._past = _sum(self._past, _ended(term.ledger.stats()))
        self._transport.close()
        self._queue.close()

    def _look(self) -> None:
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + 1.0
            self._looked = self._queue.depth()

    def status(self) -> Status:
        """What it is doing, and did since it began."""
        stats = self._past if self._term is None else _sum(self._past, self._term.ledger.stats())
        waiting, oldest, dead = self._looked or (None, None, None)
        age = None if oldest is None else max(0.0, self._wall() - oldest)
        role = "stopped" if self._stopping else "standby" if self._term is None else "active"
        trouble = self._trouble
        if trouble is None and self._term is not None and self._term.dispatcher.circuit is State.OPEN:
            trouble = "the API key is refused"
        return Status(role, stats, self._terms, waiting, age, dead, trouble)


def _ended(stats: Stats) -> Stats:
    """What a term leaves: what it did not settle waits in the broker, and is adopted by whoever leads next."""
    return replace(stats, adopted=stats.adopted - stats.spooled - stats.in_flight, spooled=0, in_flight=0)


def _sum(past: Stats, now: Stats) -> Stats:
    """What was done in past terms and in this one; what waits is this one's alone."""
    dropped = {
        reason: past.dropped.get(reason, 0) + now.dropped.get(reason, 0) for reason in {*past.dropped, *now.dropped}
    }
    return Stats(
        adopted=past.adopted + now.adopted,
        delivered=past.delivered + now.delivered,
        coalesced=past.coalesced + now.coalesced,
        given_up=past.given_up + now.given_up,
        dropped=FrozenDict(dropped),
        spooled=now.spooled,
        in_flight=now.in_flight,
        retried=past.retried + now.retried,
        calls_remaining=now.calls_remaining,
        calls_limit=now.calls_limit,
    )
