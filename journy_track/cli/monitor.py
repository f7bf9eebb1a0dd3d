"""A relay's HTTP endpoints for supervisors and Prometheus: `/live`, `/ready` and `/metrics`."""

from __future__ import annotations

import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from journy_track._metrics.instruments import INSTRUMENTS, Instrument, Reading
from journy_track._metrics.prometheus import CONTENT_TYPE, Durations, text_of
from journy_track._model.clock import monotonic
from journy_track._relay.relay import Status

#: Seconds without a turn after which the relay counts as hanging. Each of its broker calls ends within 5.
HANGS = 30.0
#: Seconds between two updates of the status.
EVERY = 1.0
#: Concurrent connections, and the seconds for which each may be idle.
MAX_CONNECTIONS, SILENCE = 16, 5.0


def address_of(text: str) -> tuple[str, int]:
    """The host and port in *text*; the loopback address if there is no host. Raises `ValueError`."""
    host, _, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else -1
    if not 0 <= number <= 65535 or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ValueError(text)
    return host.strip("[]") or "127.0.0.1", number


class Monitor:
    """Serves the latest status from its own threads. Raises `OSError` if it cannot listen."""

    def __init__(self, address: tuple[str, int]) -> None:
        #: Durations of requests, which the relay adds.
        self.durations: Durations = Durations()
        self._status: Status | None = None
        self._turned_at = monotonic()
        self._look_at = 0.0
        self._server = _Server(address, self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="journy_track monitor", daemon=True)

    @property
    def url(self) -> str:
        """The URL at which it listens."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def turned(self, relay: Any) -> None:
        """Record that *relay* has made a turn. Called from its thread, the only one that may read its status."""
        self._turned_at = now = monotonic()
        if now >= self._look_at:
            self._look_at = now + EVERY
            self.show(relay.status())

    def show(self, status: Status) -> None:
        """Serve *status* from now on."""
        self._status = status

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def page(self, path: str) -> tuple[int, str, str]:
        """The status code, content type and content for *path*."""
        if path == "/metrics":
            return 200, CONTENT_TYPE, self._metrics()
        trouble = {"/live": self._hangs, "/ready": self._unready}.get(path)
        if trouble is None:
            return 404, "text/plain; charset=utf-8", "There are /live, /ready and /metrics.\n"
        why = trouble()
        return 503 if why else 200, "text/plain; charset=utf-8", f"{why or 'ok'}\n"

    def _hangs(self) -> str | None:
        silent = monotonic() - self._turned_at
        return f"the relay has not responded for {silent:.0f} s" if silent > HANGS else None

    def _unready(self) -> str | None:
        status = self._status
        if status is None:
            return "the relay is starting"
        return "the relay has ended" if status.role == "stopped" else status.trouble or self._hangs()

    def _metrics(self) -> str:
        status = self._status
        if status is None:
            return ""
        is_ok = status.trouble is None and status.role != "stopped"
        reading = Reading(status.stats, is_ok, status.broker_oldest, status.circuit == "open")
        return text_of((*INSTRUMENTS, *_of_relay(status)), reading) + self.durations.text()


def _of_relay(status: Status) -> list[Instrument]:
    """The instruments that only a relay has."""
    none: dict[str, str] = {}
    waiting, dead = status.broker_waiting, status.dead_letters
    return [
        Instrument(
            "journy.relay.active",
            "gauge",
            "{relay}",
            "1 while this relay leads, 0 while it stands by.",
            lambda _: [(int(status.role == "active"), none)],
        ),
        Instrument(
            "journy.relay.term",
            "counter",
            "{term}",
            "How often this relay began to lead.",
            lambda _: [(status.terms, none)],
        ),
        Instrument(
            "journy.relay.broker.size",
            "updowncounter",
            "{message}",
            "Messages that wait in the broker.",
            lambda _: [] if waiting is None else [(waiting, none)],
        ),
        Instrument(
            "journy.relay.dead_letter.size",
            "updowncounter",
            "{message}",
            "Dead letters in the broker.",
            lambda _: [] if dead is None else [(dead, none)],
        ),
    ]


class _Server(ThreadingHTTPServer):
    """Serves at most `MAX_CONNECTIONS` connections at once, and closes any others."""

    daemon_threads = True
    request_queue_size = 2 * MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], monitor: Monitor) -> None:
        self.monitor = monitor
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which looks up the host name: that may take seconds and is not needed.
        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not log: a client that disconnects is not an error of the relay."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SILENCE
    server_version = "journy-track"
    sys_version = ""

    def do_GET(self) -> None:
        status, kind, text = self.server.monitor.page(self.path.partition("?")[0])
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base
        """Do not log, because probes arrive every few seconds."""
