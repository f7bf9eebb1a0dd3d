"""A key, its server and the processes that share it, in simulated time: no threads, no sleeping, no network."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

WINDOW = 60.0
LIMIT = 1800
CONNECTIONS = 8


class Simulation:
    """Runs planned actions in order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def clock(self) -> float:
        """The simulated time in seconds."""
        return self.now

    def plan(self, at: float, action: Callable[[], None]) -> None:
        """Plan *action* for the time *at*."""
        self._count += 1
        heapq.heappush(self._planned, (at, self._count, action))

    def run(self, until: float) -> None:
        """Let time pass until *until*."""
        while self._planned and self._planned[0][0] <= until:
            self.now, _, action = heapq.heappop(self._planned)
            action()
        self.now = max(self.now, until)  # an action may have advanced the time itself


# ── Servers ──


class Server(Protocol):
    """Accepts or refuses a request, and returns what remains of the limit."""

    limit: int

    def ask(self, now: float) -> tuple[bool, int]: ...


class SlidingLog:
    """Counts the accepted requests of the last minute exactly."""

    def __init__(self, limit: int = LIMIT, window: float = WINDOW) -> None:
        self.limit, self._window = limit, window
        self._accepted: deque[float] = deque()

    def ask(self, now: float) -> tuple[bool, int]:
        if len(self.accepted(now)) >= self.limit:
            return False, 0
        self._accepted.append(now)
        return True, self.limit - len(self._accepted)

    def accepted(self, now: float) -> deque[float]:
        """Return when each request of the last window was accepted."""
        while self._accepted and self._accepted[0] <= now - self._window:
            self._accepted.popleft()
        return self._accepted


class SlidingCounter:
    """Two counters, for this minute and the previous one, whose weight falls as this minute passes."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._minute, self._before, self._count = 0, 0, 0

    def ask(self, now: float) -> tuple[bool, int]:
        minute, passed = divmod(now, WINDOW)
        if minute != self._minute:
            self._before = self._count if minute == self._minute + 1 else 0
            self._minute, self._count = int(minute), 0
        used = self._before * (1 - passed / WINDOW) + self._count
        if used + 1 > self.limit:
            return False, 0
        self._count += 1
        return True, int(self.limit - used - 1)


class FixedWindow:
    """Counts from zero each minute."""

    def __init__(self, limit: int = LIMIT, offset: float = 0.0) -> None:
        self.limit = limit
        self._offset, self._minute, self._count = offset, 0, 0

    def ask(self, now: float) -> tuple[bool, int]:
        minute = int((now + self._offset) // WINDOW)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        if self._count >= self.limit:
            return False, 0
        self._count += 1
        return True, self.limit - self._count


# ── Processes ──


class Pace(Protocol):
    """What a process consults before it sends: the pacer, or the naive client."""

    def ready_at(self, in_flight: int) -> float: ...
    def sent(self) -> None: ...
    def answered(
        self, *, limit: int | None, remaining: int | None, refused: bool = False, retry_after: float | None = None
    ) -> None: ...


class Naive:
    """Sends whenever a connection is free, and backs off exponentially with full jitter when refused."""

    def __init__(self, clock: Callable[[], float], uniform: Callable[[float, float], float]) -> None:
        self._clock, self._uniform = clock, uniform
        self._refusals, self._pause_until = 0, 0.0

    def ready_at(self, in_flight: int) -> float:
        return self._pause_until

    def sent(self) -> None: ...

    def answered(
        self, *, limit: int | None, remaining: int | None, refused: bool = False, retry_after: float | None = None
    ) -> None:
        if not refused:
            self._refusals = 0
            return
        self._refusals += 1
        pause = self._uniform(0.0, min(60.0, 0.5 * 2.0 ** min(self._refusals, 10)))
        self._pause_until = max(self._pause_until, self._clock() + pause)


@dataclass
class Record:
    """Each request's time and whether it was refused, as seen from outside, and waits in seconds."""

    requests: list[tuple[float, bool]] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)


Headers = Callable[[float, int, int], tuple[int | None, int | None]]


def as_they_are(now: float, limit: int, remaining: int) -> tuple[int | None, int | None]:
    """Return the rate headers of an accurate server."""
    return limit, remaining


def latency(dice: random.Random) -> float:
    """Return the seconds of a round trip: 50-300 ms, and up to three seconds more for one in 500."""
    usual = dice.uniform(0.05, 0.3)
    return usual + dice.uniform(0.5, 3.0) if dice.random() < 0.002 else usual


class Process:
    """One process: a queue, some connections, and a pace. A refused event is retried."""

    def __init__(
        self,
        simulation: Simulation,
        server: Server,
        pace: Pace,
        dice: random.Random,
        record: Record,
        *,
        headers: Headers = as_they_are,
        latency: Callable[[random.Random], float] = latency,
        retry_after: float | None = None,
    ) -> None:
        self._simulation, self._server, self._pace = simulation, server, pace
        self._dice, self._record, self._headers = dice, record, headers
        self._latency, self._retry_after = latency, retry_after
        self._in_flight, self._wake = 0, math.inf
        self.sent: list[float] = []
        #: When each accepted event was captured and accepted, and when the server refused an event.
        self.accepted: list[tuple[float, float]] = []
        self.refused: list[float] = []
        self.arrivals: list[float] = []
        self.waiting: deque[float] = deque()
        self._refused: deque[float] = deque()
        self._endless = False

    def arrive(self, count: int = 1) -> None:
        """Capture *count* events now."""
        self.waiting.extend([self._simulation.now] * count)
        self.pump()

    def never_rest(self) -> None:
        """From now on, always have an event to send."""
        self._endless = True
        self.pump()

    def pump(self) -> None:
        """Send what may be sent now, as the dispatcher does."""
        while (self.waiting or self._refused or self._endless) and self._in_flight < CONNECTIONS:
            ready = self._pace.ready_at(self._in_flight)
            if ready > self._simulation.now:
                if ready < self._wake:
                    self._wake = ready
                    self._simulation.plan(ready, self._woken)
                return
            if self._refused:
                self._send(self._refused.popleft())
                continue
            arrived = self.waiting.popleft() if self.waiting else self._simulation.now
            self._record.waits.append((arrived, self._simulation.now - arrived))
            self._send(arrived)

    def _woken(self) -> None:
        if self._simulation.now >= self._wake:
            self._wake = math.inf
            self.pump()

    def _send(self, arrived: float) -> None:
        self._in_flight += 1
        self._pace.sent()
        now = self._simulation.now
        self.sent.append(now)
        takes = self._latency(self._dice)
        there = takes * self._dice.random()
        self._simulation.plan(now + there, lambda: self._reach(arrived, now + takes))

    def _reach(self, arrived: float, back_at: float) -> None:
        now = self._simulation.now
        accepted, left = self._server.ask(now)
        self._record.requests.append((now, not accepted))
        if accepted:
            self.accepted.append((arrived, now))
        else:
            self.refused.append(now)
        self.arrivals.append(now)
        limit, remaining = self._headers(now, self._server.limit, left)
        self._simulation.plan(back_at, lambda: self._answer(arrived, accepted, limit, remaining))

    def _answer(self, arrived: float, accepted: bool, limit: int | None, remaining: int | None) -> None:
        self._in_flight -= 1
        retry_after = None if accepted else self._retry_after
        self._pace.answered(limit=limit, remaining=remaining, refused=not accepted, retry_after=retry_after)
        if not accepted:
            self._refused.appendleft(arrived)
        self.pump()


class Neighbour:
    """Another client of the key that does not pace: it sends evenly, whatever the responses are."""

    def __init__(self, simulation: Simulation, server: Server) -> None:
        self._simulation, self._server = simulation, server
        self.accepted: list[float] = []
        self.refused: list[float] = []
        #: Current requests per second.
        self.rate = 0.0

    def send(self, rate: float, begin: float, end: float) -> None:
        """Send *rate* requests per second from *begin* to *end*."""

        def go() -> None:
            now = self._simulation.now
            (self.accepted if self._server.ask(now)[0] else self.refused).append(now)
            self.rate = rate
            if now + 1 / rate < end:
                self._simulation.plan(now + 1 / rate, go)
            else:
                self.rate = 0.0

        self._simulation.plan(begin, go)
