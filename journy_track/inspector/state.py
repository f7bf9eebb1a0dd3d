"""What the inspector stores, and how it responds to a request. One lock guards all of it."""

from __future__ import annotations

import hashlib
import itertools
import math
import threading
import time
import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from journy_track.inspector import answers, rules
from journy_track.inspector.attempts import Attempts
from journy_track.inspector.catalogue import ReadCatalogue
from journy_track.inspector.forward import HEADER as FORWARDED
from journy_track.inspector.forward import Accepted, Forwarder, Target
from journy_track.inspector.known import Known
from journy_track.inspector.meter import Meter
from journy_track.inspector.operations import OPERATIONS, Operation, Outcome, methods
from journy_track.inspector.reports import AppReports
from journy_track.inspector.room import Newest, make_room, weight_of
from journy_track.inspector.values import (
    Counts,
    IncomingRequest,
    PlannedFault,
    PreparedResponse,
    Received,
    masked,
)
from journy_track.inspector.window import SlidingWindow

MAX_KEYS = 100  # API keys with a stored rate window
MAX_FAULTS = 100_000  # planned responses
MAX_FAULT_BYTES = 4 * 1024 * 1024  # of the bodies of planned responses
REQUEST = 800  # approximate bytes of a request without its parts
RESULT = 200  # approximate bytes of a stored result, for a message that was not accepted as it is
SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})


class InspectorState:
    """The requests, users, accounts, counts and rate windows of one inspector.

    The server's thread changes it with every request, and other threads read it. Hold `changed`, a condition that is
    notified after each request, while you access it.
    """

    def __init__(
        self,
        *,
        limit: int,
        window: float,
        keep: int,
        clock: Callable[[], float],
        forward: Target | None = None,
        catalogue: ReadCatalogue | None = None,
        trace_url: str | None = None,
    ) -> None:
        SlidingWindow(limit, window)  # raises for invalid values here, not with the first request
        self.changed: threading.Condition = threading.Condition()
        self.keep = keep
        self._limit, self._window, self._clock = limit, window, clock
        self.catalogue: ReadCatalogue | None = catalogue
        self.trace_url: str | None = trace_url
        self._listeners: list[Callable[[], None]] = []
        self.forwarder: Forwarder | None = (
            None if forward is None else Forwarder(forward, keep, self.changed, self._tell)
        )
        self.reset()

    def reset(self) -> None:
        """Forget everything that arrived, along with planned faults and rate windows."""
        with self.changed:
            self.run: str = uuid.uuid4().hex  # tells the page that the numbers start again
            self.known: Known = Known(self.keep)
            self._kept: Newest[Received] = Newest(self.keep)
            self.faults: deque[PlannedFault] = deque()
            self._number = 0
            self.items: int = 0  # requests, with all attempts at the same content counted as one
            self._by_status: Counter[int] = Counter()
            self._by_operation: Counter[str] = Counter()
            self._windows: OrderedDict[bytes, SlidingWindow] = OrderedDict()
            self._meter = Meter(self._window)
            self._attempts = Attempts()
            self.reports: AppReports = AppReports()
            if self.forwarder is not None:
                self.forwarder.reset()
            self._tell()

    def report(self, sent: list[Mapping[str, Any]]) -> None:
        """Store reports that an app sent about itself."""
        with self.changed:
            self.reports.add(sent, self._number, datetime.now(UTC))
            self._tell()

    @property
    def requests(self) -> deque[Received]:
        """The stored requests, oldest first."""
        return self._kept.things

    def listen(self, listener: Callable[[], None]) -> None:
        """Call *listener* after every change, in the thread that made the change. It must not block."""
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
                messages=self.known.messages.total(),
                by_type=dict(self.known.messages),
                duplicates=self.known.duplicates,
                ignored=self.known.ignored_messages,
            )

    def newest(self, after: int, before: int, most: int) -> list[Received]:
        """The newest `most` requests with numbers above `after` and below `before` (0: no limit), oldest first."""
        with self.changed:
            return self._between(after, before)[-most:] if most else []

    def oldest(self, after: int, most: int) -> list[Received]:
        """The oldest `most` stored requests with numbers above `after`."""
        with self.changed:
            after = max(after, self.requests[0].number - 1) if self.requests else after
            return self._between(after, after + most + 1)

    def find(self, number: int) -> Received | None:
        """The request with this number; None if it is not stored."""
        with self.changed:
            return next(iter(self._between(number - 1, number + 1)), None)

    def budget(self) -> dict[str, Any]:
        """How each key used its rate budget, for the chart."""
        with self.changed:
            return {"limit": self._limit, "window": self._window, "now": time.time(), "keys": self._meter.spending()}

    def order(self, fault: PlannedFault, count: int) -> None:
        """Plan *fault* for the next `count` requests. Raises ValueError if too much would be planned."""
        with self.changed:
            if len(self.faults) + count > MAX_FAULTS:
                raise ValueError(f"At most {MAX_FAULTS} responses can be planned ahead.")
            texts = {id(one): weight_of(one.body) + weight_of(one.containing) for one in (*self.faults, fault)}
            if sum(texts.values()) > MAX_FAULT_BYTES:
                raise ValueError(f"The responses that are planned ahead hold more than {MAX_FAULT_BYTES} bytes.")
            self.faults.extend([fault] * count)
            self._tell()

    def forget_faults(self) -> None:
        with self.changed:
            self.faults.clear()
            self._tell()

    def next_fault(self, body: bytes = b"") -> PlannedFault | None:
        """Remove and return the first planned fault that applies to a request with this body."""
        with self.changed:
            passed: set[int] = set()  # the queue usually repeats the same fault object
            for place, fault in enumerate(self.faults):
                if id(fault) in passed:
                    continue
                if fault.containing.encode("utf-8", "surrogatepass") in body:
                    del self.faults[place]
                    return fault
                passed.add(id(fault))
            return None

    def answer(
        self, call: IncomingRequest, fault: PlannedFault | None, elapsed: Callable[[], float]
    ) -> PreparedResponse:
        """Process a request and record it, atomically: no reader sees an event without its request."""
        with self.changed:
            self._number += 1
            self.known.during(self._number, call.received_at)
            operation = OPERATIONS.get((call.method, call.path))
            request_id = str(uuid.uuid4())
            if fault is None or fault.status is None:
                answer = self._real_answer(call, operation, request_id)
            else:
                answer = answers.scripted(fault, fault.status, request_id)
            if fault is not None and fault.drop:
                answer = PreparedResponse(0, request_id, taken=answer.taken, results=answer.results)
            self._record(call, operation, answer, elapsed())
            if fault is None or fault.status is None:
                self._forward(call, operation, answer.status)
            return answer

    def _forward(self, call: IncomingRequest, operation: Operation | None, status: int) -> None:
        """Queue the request for forwarding if it was accepted and is not a read."""
        if self.forwarder is None or operation is None or operation.rule is None or not 200 <= status < 300:
            return
        if FORWARDED not in call.headers:
            self.forwarder.offer(
                Accepted(self._number, call.method, call.path, operation.id, operation.is_batch, call.body)
            )

    def _between(self, after: int, before: int) -> list[Received]:
        # The numbers have no gaps, so a number gives the index. A deque is a linked list: start at the nearer end.
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

    def _real_answer(self, call: IncomingRequest, operation: Operation | None, request_id: str) -> PreparedResponse:
        now = self._clock()
        window = self._window_of(_digest(call.key))
        is_batch = operation is not None and operation.is_batch
        outcome, taken = _key_refused(call.key, "write key" if is_batch else "key"), False
        if outcome is None:
            taken = window.take(now)
            outcome = (
                self._performed(call, operation)
                if taken
                else _failure(429, f"Too many requests: at most {self._limit} in {self._window:g} seconds.")
            )
        if is_batch:  # the batch API's rate headers are not documented, so none are sent
            wait = {"Retry-After": str(math.ceil(window.wait(now)))} if outcome.status == 429 else {}
            return replace(answers.batch(outcome, request_id, wait), taken=taken)
        headers = {"X-RateLimit-Limit": str(self._limit), "X-RateLimit-Remaining": str(window.remaining(now))}
        if outcome.status == 405:
            headers["Allow"] = ", ".join(methods(call.path))
        return replace(answers.real(outcome, request_id, headers), taken=taken)

    def _performed(self, call: IncomingRequest, operation: Operation | None) -> Outcome:
        if operation is None:
            if allowed := methods(call.path):
                return _failure(405, f"{call.path} takes {' and '.join(allowed)}, not {call.method}.")
            return _failure(404, f"There is no {call.path} in this API.")
        if operation.rule is None:
            return operation.do(self.known, call.query)
        if len(call.body) > operation.max_body:
            return _failure(
                400 if operation.is_batch else 413, f"The body is larger than {operation.max_body} bytes."
            )
        try:
            body = rules.parse(call.body)
        except ValueError as error:
            return _bad_fields({"body": f"Expected JSON: {error}"})
        if errors := operation.rule(body):
            return _bad_fields(errors)
        return operation.do(self.known, body)

    def _window_of(self, digest: bytes) -> SlidingWindow:
        # Requests without a key share a window, which stays unused.
        if digest not in self._windows:
            self._windows[digest] = SlidingWindow(self._limit, self._window)
            if len(self._windows) > MAX_KEYS:
                self._windows.popitem(last=False)
        self._windows.move_to_end(digest)
        return self._windows[digest]

    def _record(
        self, call: IncomingRequest, operation: Operation | None, answer: PreparedResponse, duration: float
    ) -> None:
        self._by_status[answer.status] += 1
        if operation is not None:
            self._by_operation[operation.id] += 1
        key = masked(call.key) if call.key else None
        batch = operation.id if operation and operation.is_batch else None
        attempt = self._attempts.of(call, answer, self._number, batch)
        self.items += attempt.first == self._number
        self._keep_request(
            Received(
                number=self._number,
                received_at=call.received_at,
                method=call.method,
                path=call.path,
                query=dict(call.query),
                headers=_without_secrets(call.headers),
                body=call.body,
                operation=operation.id if operation else None,
                status=answer.status,
                answer_body=answer.body,
                request_id=answer.request_id,
                duration_ms=duration * 1000,
                key=key,
                attempt=attempt.number,
                first=attempt.first,
                part_of=attempt.part_of,
                packed=call.packed,
                results=answer.results,
            )
        )
        make_room([self._kept, *self.known.kinds()])
        second, refused = int(call.received_at.timestamp()), answer.status == 429
        self._meter.count(_digest(call.key), key or "no key", second, refused=refused, taken=answer.taken)
        self._tell()

    def _keep_request(self, received: Received) -> None:
        texts = weight_of(received.headers) + weight_of(received.query) + weight_of(received.path)
        # Most results are duplicates, which take little memory, and problems name fields of the body.
        results = RESULT * len(received.results or ()) + sum(
            weight_of(dict(result.problems)) for result in (received.results or {}).values()
        )
        self._kept.add(received, REQUEST + len(received.body) + len(received.answer_body) + texts + results)

    def _tell(self) -> None:
        self.changed.notify_all()
        for listener in self._listeners:
            listener()


def _digest(key: str | None) -> bytes:
    # Hashed, so that no key stays in memory.
    return hashlib.sha256((key or "").encode("utf-8", "surrogateescape")).digest()


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: "…" if name in SECRETS else value for name, value in headers.items()}
    if "x-api-key" in kept:
        kept["x-api-key"] = masked(kept["x-api-key"])
    return kept


def _key_refused(key: str | None, kind: str) -> Outcome | None:
    if not key:
        missing = "The write key is missing." if kind == "write key" else "The header X-Api-Key is missing."
        return _failure(401, missing)
    if key == "invalid":
        return _failure(401, f"This {kind} is unknown, or may not make this call.")
    if key == "disabled":
        return _failure(403, f"This {kind} is disabled.")
    return None


def _failure(status: int, message: str) -> Outcome:
    return Outcome(status, {"message": message})


def _bad_fields(errors: rules.Errors) -> Outcome:
    return Outcome(400, {"message": "Some fields are wrong.", "errors": {"fields": errors}})
