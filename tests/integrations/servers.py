"""Real servers in separate processes, on sockets of this process, which listen before any worker does."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic


class Server:
    """A server in *folder*, started with *command*, in which ``{fd}`` is the descriptor of its listening socket."""

    def __init__(self, folder: Path, said: Path, command: list[str], **environment: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        descriptor = self._listener.fileno()
        self._said = said.open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *(part.format(fd=descriptor) for part in command)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment},
            pass_fds=[descriptor],
            stdout=self._said,
            stderr=self._said,
            start_new_session=True,
        )

    def connect(self) -> closing[http.client.HTTPConnection]:
        """Return a keep-alive connection for a `with` block."""
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30))

    def get(self, path: str, headers: Mapping[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send one request on a new connection."""
        with self.connect() as connection:
            return get(connection, path, headers)

    def wait_ready(self) -> None:
        """Wait until it responds; if it ends instead, fail with its output."""
        deadline = monotonic() + 60
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
            client.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while True:
                try:
                    assert client.recv(1), "it answered nothing"
                except TimeoutError:
                    assert self.process.poll() is None, f"the server ended: {self.said()}"
                    assert monotonic() < deadline, f"the server does not answer: {self.said()}"
                else:
                    return

    def said(self) -> str:
        self._said.flush()
        return Path(self._said.name).read_text()

    def stop(self) -> str:
        """Stop it as a deployment does, and return its output."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return self.said()

    def clean_up(self) -> None:
        """Kill what is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # it has its own session
        self.process.wait(10)
        self._listener.close()
        self._said.close()


def gunicorn(app: str, *arguments: str) -> list[str]:
    bind = ("--bind=fd://{fd}", "--log-level=warning", "--graceful-timeout=5", "--no-control-socket")
    if _gunicorn_major() < 25:
        bind = bind[:-1]  # older versions have no control socket
    return ["gunicorn", *bind, *arguments, app]


def uvicorn(app: str, *arguments: str) -> list[str]:
    return ["uvicorn", "--fd={fd}", "--log-level=warning", "--timeout-graceful-shutdown=5", *arguments, app]


def get(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection.request("GET", path, headers=dict(headers))
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def _gunicorn_major() -> int:
    from importlib.metadata import version

    return int(version("gunicorn").split(".")[0])
