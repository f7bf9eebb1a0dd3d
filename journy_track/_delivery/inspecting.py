"""Reports to an inspector in development, besides the requests: what was dropped here, and logged warnings."""

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
#: The maximum number of waiting reports, and of reports in one request.
MAX_WAITING, MAX_TOGETHER = 1000, 100
#: In seconds: how long to wait for further reports, for a response, and for sending at the end of the process.
PAUSE, TIMEOUT, GRACE = 0.05, 1.0, 1.0
#: The maximum number of bytes read from a response.
MAX_ANSWER = 10_000


class Inspecting:
    """Reports names, reasons and places to the inspector at `base_url`, if that is an address of this machine.

    Reports contain values only in debug mode. They are best effort and sent on a separate thread: nothing waits for
    them, and those that cannot be sent are discarded. A server that is not an inspector gets a single request without
    content.
    """

    def __init__(self, config: Config, places: UnnamedPlaces, mark_internal: Callable[[], object]) -> None:
        url = urlsplit(config.base_url)
        self._host, self._port, self._path = url.hostname, url.port, url.path.rstrip("/") + PATH
        self._places = places
        self._shows_values = config.debug
        self._mark_internal = mark_internal
        self._pid = os.getpid()
        # Its `put` may be called anywhere, even in a signal handler.
        self._waiting: SimpleQueue[dict[str, Any]] = SimpleQueue()
        #: Sends what waits, then ends, so an app that drops nothing has no such thread. Holds the lock while it runs.
        self._thread: threading.Thread | None = None
        self._sending = threading.Lock()
        self._is_inspector: bool | None = None
        self._logging = threading.local()
        self._closed = False
        if url.scheme == "http" and config.loopback:
            logs.listen(self)
        else:
            self._closed = True

    # ── What is reported ──

    def captured_dropped(self, captured: Captured, reason: str, why: str) -> None:
        """Report that *captured* is not sent. It is counted as *reason*; *why* is a sentence with the remedy."""
        is_event = captured.kind is Event
        operation = getattr(captured.kind, "operation", "")
        name = captured.subject if is_event and isinstance(captured.subject, str) else operation
        place = self._places.take(captured.at) or ""
        values = captured.values if self._shows_values else None
        self._report("dropped", name, operation, without_values(why), captured.at, reason, place, values)

    def item_dropped(self, item: Item, reason: str, why: str) -> None:
        """Report that *item* is not sent. The arguments are as for `captured_dropped`."""
        name = item.name if isinstance(item, Event) else item.operation
        values = item.body() if self._shows_values else None
        self._report("dropped", name, item.operation, why, time(), reason, values=values)

    @contextmanager
    def logging_a_drop(self) -> Iterator[None]:
        """In this block, do not report log lines, since they concern a drop that is reported separately."""
        self._logging.a_drop = True
        try:
            yield
        finally:
            self._logging.a_drop = False

    def logged(self, level: int, message: str, arguments: tuple[Any, ...]) -> None:
        """Report a line that was logged, if it is a warning or worse."""
        if level < logging.WARNING or getattr(self._logging, "a_drop", False):
            return
        with suppress(Exception):  # an argument may fail to format, which the log itself reports
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
            except RuntimeError:  # no thread can be started: `close` sends the report
                self._sending.release()

    # ── Sending ──

    def close(self, timeout: float = GRACE) -> None:
        """Send what waits. Waits for the thread for at most *timeout* seconds, and never longer than `GRACE`."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        logs.unlisten(self)
        if self._sending.acquire(blocking=False):  # no thread is sending
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
            # Reports that were added in the meantime found the lock held and did not start a thread.
            if self._waiting.empty() or not self._sending.acquire(blocking=False):
                return

    def _next(self) -> list[dict[str, Any]]:
        """Return the waiting reports, and those that follow within `PAUSE`."""
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
            # Nothing listens there, or a test forbids sockets. A later report may arrive.
            logs.log(logging.DEBUG, "the inspector did not take a report: %s", type(error).__name__)

    def _send(self, reports: list[dict[str, Any]]) -> None:
        if self._is_inspector is None:
            status, answer = self._asked("GET", None)
            self._is_inspector = status == 200 and answer.startswith(b'{"reports":')
        if self._is_inspector:
            self._asked("POST", json.dumps({"reports": reports}, default=str))

    def _asked(self, method: str, body: str | None) -> tuple[int, bytes]:
        # The request is made directly to this machine: no proxy, no redirect, no key.
        connection = http.client.HTTPConnection(self._host or "", self._port, timeout=TIMEOUT)
        try:
            headers = {"X-Inspector-Control": "journy_track", "Content-Type": "application/json"}
            connection.request(method, self._path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER)
        finally:
            connection.close()
