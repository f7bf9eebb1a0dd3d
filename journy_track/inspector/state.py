"""What the inspector keeps, and how a request gets its answer: everything behind one lock."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from journy_track.inspector import answers, rules
from journy_track.inspector.attempts import Attempts
from journy_track.inspector.known import Known
from journy_track.inspector.meter import Meter
from journy_track.inspector.operations import OPERATIONS, Operation, Outcome, methods
from journy_track.inspector.values import Answer, Call, Counts, Fault, Received
from journy_track.inspector.window import SlidingWindow

MAX_BODY = 1024 * 1024  # bytes
MAX_KEPT = 64 * 1024 * 1024  # bytes of all bodies: 10 000 of the largest would fill the machine
SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})


class State:
    """Requests, users, accounts, counts and windows of one inspector.

    It changes with every request, which the server's thread brings, and is read from others: whoever
    touches it holds `changed`, a condition that is notified whenever a request has been answered.
    """

    def __init__(self, *, limit: int, window: float, keep: int, clock: Callable[[], float]) -> None:
        SlidingWindow(limit, window)  # raises where the mistake is made, not with the first request
        self.changed: threading.Condition = threading.Condition()
        self.keep = keep
        self._limit, self._window, self._clock = limit, window, clock
        self._listeners: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        """As if nothing had ever arrived: scripted faults and rate windows are gone, too."""
        with self.changed:
            self.run: str = uuid.uuid4().hex  # tells the page that the numbers begin anew
            self.known: Known = Known(self.keep)
            self.requests: deque[Received] = deque()
            self.faults: deque[Fault] = deque()
            self._bytes = 0
            self._number = 0
            self._by_status: Counter[int] = Counter()
            self._by_operation: Counter[str] = Counter()
            self._windows: dict[bytes, SlidingWindow] = {}
            self._meter = Meter(self._window)
            self._attempts = Attempts()
            self._tell()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this whenever something has changed, in the thread that changed it. It must not wait."""
        with self.changed:
            self._listeners.append(listener)

    def unlisten(self, listener: Callable[[], None]) -> None:
        with self.changed:
            self._listeners.remove(listener)

    def counts(self) -> Counts:
        with self.changed:
            return Counts(
                requests=self._number,
                accepted=self.known.accepted_events,
                refused=self._by_status[429],
                by_status=dict(self._by_status),
                by_operation=dict(self._by_operation),
            )

    def newest(self, after: int, before: int, most: int) -> list[Received]:
        """The newest `most` requests behind number `after` and ahead of `before` (0: the end), oldest first."""
        with self.changed:
            return self._between(after, before)[-most:] if most else []

    def oldest(self, after: int, most: int) -> list[Received]:
        """The oldest `most` requests behind number `after` that are kept."""
        with self.changed:
            after = max(after, self.requests[0].number - 1) if self.requests else after
            return self._between(after, after + most + 1)

    def find(self, number: int) -> Received | None:
        """The request of this number; None when it is not kept."""
        with self.changed:
            return next(iter(self._between(number - 1, number + 1)), None)

    def budget(self) -> dict[str, Any]:
        """How each key spent what it may make, for the plot."""
        with self.changed:
            return {"limit": self._limit, "window": self._window, "now": time.time(), "keys": self._meter.spending()}

    def order(self, fault: Fault, count: int) -> None:
        """Answer the next `count` requests so."""
        with self.changed:
            self.faults.extend([fault] * count)
            self._tell()

    def forget_faults(self) -> None:
        with self.changed:
            self.faults.clear()
            self._tell()

    def next_fault(self) -> Fault | None:
        with self.changed:
            return self.faults.popleft() if self.faults else None

    def answer(self, call: Call, fault: Fault | None, elapsed: Callable[[], float]) -> Answer:
        """Decide, do and record in one step, so that no reader sees an event without its request."""
        with self.changed:
            self._number += 1
            self.known.during(self._number, call.received_at)
            operation = OPERATIONS.get((call.method, call.path))
            # Parsed once for the record and once for what is known: a reader may change what it was given.
            parsed = answers.parsed_or_none(call.body[:MAX_BODY])
            request_id = str(uuid.uuid4())
            if fault is None or fault.status is None:
                answer = self._real_answer(call, operation, request_id)
            else:
                answer = answers.scripted(fault, fault.status, request_id)
            if fault is not None and fault.drop:
                answer = Answer(0, request_id, taken=answer.taken)
            self._record(call, operation, parsed, answer, elapsed())
            return answer

    def _between(self, after: int, before: int) -> list[Received]:
        # The numbers have no gaps, so a number is a place. From the nearer end: a deque is a chain.
        first = self.requests[0].number if self.requests else 1
        start, end = max(0, after + 1 - first), len(self.requests)
        if before:
            end = min(end, before - first)
        if start >= end:
            return []
        if start > len(self.requests) // 2:
            backwards = itertools.islice(
                reversed(self.requests), len(self.requests) - end, len(self.requests) - start
            )
            return list(backwards)[::-1]
        return list(itertools.islice(self.requests, start, end))

    def _real_answer(self, call: Call, operation: Operation | None, request_id: str) -> Answer:
        now = self._clock()
        window = self._window_of(_digest(call.key))
        outcome, taken = _key_refused(call.key), False
        if outcome is None:
            taken = window.take(now)
            outcome = (
                self._performed(call, operation)
                if taken
                else _failure(429, f"Too many requests: at most {self._limit} in {self._window:g} seconds.")
            )
        headers = {"X-RateLimit-Limit": str(self._limit), "X-RateLimit-Remaining": str(window.remaining(now))}
        if outcome.status == 405:
            headers["Allow"] = ", ".join(methods(call.path))
        return replace(answers.real(outcome, request_id, headers), taken=taken)

    def _performed(self, call: Call, operation: Operation | None) -> Outcome:
        if operation is None:
            if allowed := methods(call.path):
                return _failure(405, f"{call.path} answers {' and '.join(allowed)}, not {call.method}.")
            return _failure(404, f"There is no {call.path} in this API.")
        if operation.rule is None:
            return operation.do(self.known, call.query)
        if len(call.body) > MAX_BODY:
            return _failure(413, f"The body is larger than {MAX_BODY} bytes.")
        try:
            body = rules.parse(call.body)
        except ValueError as error:
            return _bad_fields({"body": f"Expected JSON: {error}"})
        if errors := operation.rule(body):
            return _bad_fields(errors)
        return operation.do(self.known, body)

    def _window_of(self, digest: bytes) -> SlidingWindow:
        # Requests without a key share a window that stays full.
        if digest not in self._windows:
            self._windows[digest] = SlidingWindow(self._limit, self._window)
        return self._windows[digest]

    def _record(self, call: Call, operation: Operation | None, parsed: Any, answer: Answer, duration: float) -> None:
        self._by_status[answer.status] += 1
        if operation is not None:
            self._by_operation[operation.id] += 1
        key = masked(call.key) if call.key else None
        self.requests.append(
            Received(
                number=self._number,
                received_at=call.received_at,
                method=call.method,
                path=call.path,
                query=dict(call.query),
                headers=_without_secrets(call.headers),
                body=call.body,
                json=parsed,
                operation=operation.id if operation else None,
                status=answer.status,
                answer=answer.json,
                request_id=answer.request_id,
                duration_ms=duration * 1000,
                key=key,
                attempt=self._attempts.number(call, answer),
            )
        )
        self._bytes += len(call.body)
        while len(self.requests) > self.keep or (self._bytes > MAX_KEPT and len(self.requests) > 1):
            self._bytes -= len(self.requests.popleft().body)
        second, refused = int(call.received_at.timestamp()), answer.status == 429
        self._meter.count(_digest(call.key), key or "no key", second, refused=refused, taken=answer.taken)
        self._tell()

    def _tell(self) -> None:
        self.changed.notify_all()
        for listener in self._listeners:
            listener()


def _digest(key: str | None) -> bytes:
    # So that no key stays in memory.
    return hashlib.sha256((key or "").encode("utf-8", "surrogateescape")).digest()


def masked(key: str) -> str:
    """Enough of a key to tell it from another: nothing of a short one."""
    return "…" + key[-4:] if len(key) >= 8 else "…"


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: "…" if name in SECRETS else value for name, value in headers.items()}
    if "x-api-key" in kept:
        kept["x-api-key"] = masked(kept["x-api-key"])
    return kept


def _key_refused(key: str | None) -> Outcome | None:
    if not key:
        return _failure(401, "The header X-Api-Key is missing.")
    if key == "invalid":
        return _failure(401, "This key is unknown, or may not make this call.")
    if key == "disabled":
        return _failure(403, "This key is disabled.")
    return None


def _failure(status: int, message: str) -> Outcome:
    return Outcome(status, {"message": message})


def _bad_fields(errors: rules.Errors) -> Outcome:
    return Outcome(400, {"message": "Some fields are wrong.", "errors": {"fields": errors}})
