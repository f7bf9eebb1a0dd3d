"""The mirror: also sends accepted requests to journy.io, in a background thread that does not delay the app."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

#: Limits on queued requests, and on the bytes of their bodies. Requests beyond them are counted as failed, not sent.
MAX_WAITING, MAX_WAITING_BYTES = 1000, 4 * 1024 * 1024
#: Seconds to send the queued requests when the inspector stops.
GRACE = 5.0
#: Forwarded requests have this header, so that inspectors that forward to each other do not loop.
HEADER = "x-inspector-forwarded"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted request. It has no key: the `Target` uses its own."""

    number: int
    method: str
    path: str
    operation: str
    is_batch: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of forwarding a request. *status* is `None` if there was no response."""

    status: int | None
    problem: str = ""  # why it failed; empty if it succeeded


class Target(Protocol):
    """A destination for accepted requests. `journy-track inspect --forward` implements one for journy.io."""

    @property
    def name(self) -> str:
        """The host name, as shown on the page."""

    @property
    def key(self) -> str:
        """Enough of the key to tell it apart from another."""

    def send(self, request: Accepted, /) -> Reply:
        """Send *request* once. Called from one thread; may block until its timeout. Must not raise."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The result of forwarding request *number*. *sequence* numbers the results, from 1."""

    sequence: int
    number: int
    reply: Reply


class Forwarder:
    """A queue and its worker thread. *changed*, the state's condition, guards it, and is held to call *tell*."""

    def __init__(self, target: Target, keep: int, changed: threading.Condition, tell: Callable[[], None]) -> None:
        self.target = target
        self._keep, self._changed, self._tell = keep, changed, tell
        self._waiting: deque[tuple[int, Accepted]] = deque()  # each with the run that its number belongs to
        self._bytes = 0
        self._sending = 0
        self._thread: threading.Thread | None = None
        self._run = 0
        self.reset()

    def reset(self) -> None:
        """Forget all results. Queued requests are still sent, because they were accepted."""
        with self._changed:
            self._run += 1  # the numbers start again
            self.sequence: int = 0
            self.sent: int = 0
            self.failed: int = 0
            self._settled: OrderedDict[int, Forwarded] = OrderedDict()

    @property
    def waiting(self) -> int:
        """The number of queued requests, including the one that is being sent."""
        return len(self._waiting) + self._sending

    def newer(self, sequence: int) -> list[Forwarded]:
        """The results after *sequence*, oldest first, out of the newest `keep`."""
        return [one for one in self._settled.values() if one.sequence > sequence]

    def offer(self, request: Accepted) -> None:
        """Queue *request* for forwarding. Returns immediately."""
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
        """Send the queued requests, for at most *grace* seconds; the rest are counted as failed."""
        with self._changed:
            self._changed.wait_for(lambda: self.waiting == 0, grace)
            while self._waiting:
                self._settle(*self._take(), Reply(None, "not sent: the inspector ended"))
            self._thread = None  # the thread ends by itself, after the request that it is sending
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
