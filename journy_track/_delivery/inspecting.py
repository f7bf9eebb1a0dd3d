"""What an inspector gets beside the requests, in development: what was dropped here, and what the log warns of."""

from __future__ import annotations

import http.client
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from time import time
from typing import Any
from urllib.parse import urlsplit

from journy_track._model import logs
from journy_track._model.captured import Captured
from journy_track._model.config import Config
from journy_track._model.errors import printable, shortened, without_values
from journy_track._model.items import Event, Item
from journy_track._model.unnamed import UnnamedPlaces

PATH = "/__inspector/reports"
#: Reports that wait, at most; and how many go in one request.
MAX_WAITING, MAX_TOGETHER = 1000, 100
#: Seconds for which a report waits for others; for one response; and that the end of the process waits.
PAUSE, TIMEOUT, GRACE = 0.05, 1.0, 1.0
#: Bytes of a response that are read.
MAX_ANSWER = 10_000


class Inspecting:
    """Reports to the inspector at `base_url`, where that is an address of this machine: names, reasons and places.

    Values are only in it in debug mode. It is best effort, on a thread of its own: nothing waits for it, and what
    cannot be sent is forgotten. A server that is not an inspector gets one request without content, and no other.
    """

    def __init__(self, config: Config, places: UnnamedPlaces, mark_internal: Callable[[], object]) -> None:
        url = urlsplit(config.base_url)
        self._host, self._port, self._path = url.hostname, url.port, url.path.rstrip("/") + PATH
        self._places = places
        self._shows_values = config.debug
        self._mark_internal = mark_internal
        self._pid = os.getpid()
        # Its `put` may be called anywhere, also in a signal handler.
        self._waiting: SimpleQueue[dict[str, Any]] = SimpleQueue()
        #: Sends what waits, and ends: an app that drops nothing has no thread for it. It holds the lock meanwhile.
        self._thread: threading.Thread | None = None
        self._sending = threading.Lock()
        self._is_inspector: bool | None = None
        self._logging = threading.local()
        self._closed = False
        if url.scheme == "http" and config.loopback:
            logs.listeners.add(self)
        else:
            self._closed = True

    # ── What is reported ──

    def captured_dropped(self, captured: Captured, reason: str, why: str) -> None:
        """What was captured is not sent: *reason* is what it is counted as, *why* a sentence with the remedy."""
        is_event = captured.kind is Event
        operation = getattr(captured.kind, "operation", "")
        name = captured.subject if is_event and isinstance(captured.subject, str) else operation
        place = self._places.take(captured.at) or ""
        values = captured.values if self._shows_values else None
        self._report("dropped", name, operation, without_values(why), captured.at, reason, place, values)

    def item_dropped(self, item: Item, reason: str, why: str) -> None:
        """*item* is not sent, as above."""
        name = item.name if isinstance(item, Event) else item.operation
        values = item.body() if self._shows_values else None
        self._report("dropped", name, item.operation, why, time(), reason, values=values)

    @contextmanager
    def logging_a_drop(self) -> Iterator[None]:
        """The lines that are logged in this block are about a drop, which is reported by itself."""
        self._logging.a_drop = True
        try:
            yield
        finally:
            self._logging.a_drop = False

    def logged(self, level: int, message: str, arguments: tuple[Any, ...]) -> None:
        """A line was logged."""
        if level < logging.WARNING or getattr(self._logging, "a_drop", False):
            return
        with suppress(Exception):  # an argument without a text of its own: the log reports it
            self._report("warning", "", "", message % arguments if arguments else message, time())

    def _report(
        self,
        kind: str,
        name: str,
        operation: str,
        text: str,
        at: float,
        reason: str = "",
        place: str = "",
        values: Mapping[Any, Any] | None = None,
    ) -> None:
        if self._closed or self._is_inspector is False or self._pid != os.getpid():
            return
        if self._waiting.qsize() >= MAX_WAITING:
            return
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        report: dict[str, Any] = {"kind": kind, "at": moment, "name": shortened(name), "operation": operation}
        report |= {"text": printable(text), "reason": reason, "place": place}
        if values is not None:
            report["values"] = {str(key): value for key, value in values.items()}
        self._waiting.put(report)
        if self._sending.acquire(blocking=False):
            try:
                self._thread = threading.Thread(target=self._run, name="journy_track inspecting", daemon=True)
                self._thread.start()
            except RuntimeError:  # no thread starts here, or any more: `close` sends it
                self._sending.release()

    # ── Sending ──

    def close(self, timeout: float = GRACE) -> None:
        """Send what waits, for at most *timeout* seconds and `GRACE`."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        logs.listeners.discard(self)
        if self._sending.acquire(blocking=False):  # no thread could be started for what waits, if anything does
            self._send_all()
        elif self._thread is not None and self._thread.ident is not None:
            self._thread.join(max(0.0, min(timeout, GRACE)))

    def _run(self) -> None:
        self._mark_internal()
        self._send_all()

    def _send_all(self) -> None:
        while True:
            if reports := self._next():
                self._try_to_send(reports)
                continue
            self._sending.release()
            # What came since then found the lock held, and started no thread.
            if self._waiting.empty() or not self._sending.acquire(blocking=False):
                return

    def _next(self) -> list[dict[str, Any]]:
        """The reports that wait, with those that follow at once."""
        reports: list[dict[str, Any]] = []
        with suppress(Empty):
            reports.append(self._waiting.get_nowait())
            while len(reports) < MAX_TOGETHER:
                reports.append(self._waiting.get(timeout=PAUSE))
        return reports

    def _try_to_send(self, reports: list[dict[str, Any]]) -> None:
        try:
            if self._is_inspector is not False:
                self._send(reports)
        except (OSError, http.client.HTTPException, ValueError, RuntimeError) as error:
            # Nobody listens, or a test forbids sockets. What is reported next may arrive.
            logs.log(logging.DEBUG, "the inspector did not take a report: %s", type(error).__name__)

    def _send(self, reports: list[dict[str, Any]]) -> None:
        if self._is_inspector is None:
            status, answer = self._asked("GET", None)
            self._is_inspector = status == 200 and answer.startswith(b'{"reports":')
        if self._is_inspector:
            self._asked("POST", json.dumps({"reports": reports}, default=str))

    def _asked(self, method: str, body: str | None) -> tuple[int, bytes]:
        # Straight to this machine: no proxy, no redirect, no key.
        connection = http.client.HTTPConnection(self._host or "", self._port, timeout=TIMEOUT)
        try:
            headers = {"X-Inspector-Control": "journy_track", "Content-Type": "application/json"}
            connection.request(method, self._path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER)
        finally:
            connection.close()
