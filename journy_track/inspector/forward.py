"""The mirror: what the inspector accepted is also sent to journy.io, behind the app's back and never in its way."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

#: Requests that wait, and bytes of their bodies. What comes beyond that is not sent on, and counted as failed.
MAX_WAITING, MAX_WAITING_BYTES = 1000, 4 * 1024 * 1024
#: Seconds that the requests which wait get when the inspector stops.
GRACE = 5.0
#: Its requests carry this header, so that inspectors which forward to each other do not do so for ever.
HEADER = "x-inspector-forwarded"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that was accepted. Without a key: whoever sends it on has one."""

    number: int
    method: str
    path: str
    operation: str
    is_batch: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request that was sent on. *status* is `None` when there was no response."""

    status: int | None
    problem: str = ""  # why it failed; empty when it did not


class Target(Protocol):
    """Where accepted requests are also sent. `journy-track inspect --forward` has one for journy.io."""

    @property
    def name(self) -> str:
        """The host, as the page names it."""

    @property
    def key(self) -> str:
        """Enough of the key to tell it from another."""

    def send(self, request: Accepted, /) -> Reply:
        """Send it once. Called by one thread; may take as long as its timeout. Does not raise."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What became of request *number*. *sequence* counts what is settled, from 1."""

    sequence: int
    number: int
    reply: Reply


class Forwarder:
    """One queue and one worker. *changed* is the state's condition, and guards it; *tell* is called under it."""

    def __init__(self, target: Target, keep: int, changed: threading.Condition, tell: Callable[[], None]) -> None:
        self.target = target
        self._keep, self._changed, self._tell = keep, changed, tell
        self._waiting: deque[tuple[int, Accepted]] = deque()  # each with the run that its number is of
        self._bytes = 0
        self._sending = 0
        self._thread: threading.Thread | None = None
        self._run = 0
        self.reset()

    def reset(self) -> None:
        """Forget what became of everything. What waits is sent all the same: it was accepted."""
        with self._changed:
            self._run += 1  # the numbers begin anew
            self.sequence: int = 0
            self.sent: int = 0
            self.failed: int = 0
            self._settled: OrderedDict[int, Forwarded] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Those that wait, with the one that is being sent."""
        return len(self._waiting) + self._sending

    def newer(self, sequence: int) -> list[Forwarded]:
        """What was settled behind *sequence*, oldest first; of the newest `keep`."""
        return [one for one in self._settled.values() if one.sequence > sequence]

    def offer(self, request: Accepted) -> None:
        """Send it on, later. Returns at once."""
        with self._changed:
            if len(self._waiting) >= MAX_WAITING or self._bytes + len(request.body) > MAX_WAITING_BYTES:
                problem = f"not sent: {len(self._waiting):,} requests wait already"
                self._settle(self._run, request, Reply(None, problem))
                return
            self._waiting.append((self._run, request))
            self._bytes += len(request.body)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="journy-inspector forward", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, grace: float = GRACE) -> None:
        """Send what waits, for at most *grace* seconds; the rest is counted as failed."""
        with self._changed:
            self._changed.wait_for(lambda: self.waiting == 0, grace)
            while self._waiting:
                self._settle(*self._take(), Reply(None, "not sent: the inspector ended"))
            self._thread = None  # it ends by itself, after the request that it is sending
            self._changed.notify_all()

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._thread is not me)
                if self._thread is not me:
                    return
                run, request = self._take()
                self._sending += 1
            reply = self.target.send(request)
            with self._changed:
                self._sending -= 1
                self._settle(run, request, reply)

    def _take(self) -> tuple[int, Accepted]:
        run, request = self._waiting.popleft()
        self._bytes -= len(request.body)
        return run, request

    def _settle(self, run: int, request: Accepted, reply: Reply) -> None:
        if run == self._run:
            self.sequence += 1
            self.sent += not reply.problem
            self.failed += bool(reply.problem)
            self._settled[request.number] = Forwarded(self.sequence, request.number, reply)
            if len(self._settled) > self._keep:
                self._settled.popitem(last=False)
        self._tell()
