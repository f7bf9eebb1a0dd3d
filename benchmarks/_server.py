"""The local servers that receive the events.

    python -m benchmarks._server [--latency SECONDS] [--hang] [--limit REQUESTS]

Prints its port. Responds to every request with 200 (some peers treat 201 as a failure) and with headers that leave
plenty of budget. `GET /marks` returns how many distinct events (`m000123m`) have arrived in bodies, compressed or
not. With `--hang` it accepts connections and never responds. With `--limit` it accepts that many requests per minute
with an `X-API-Key`, and reports the limit in the headers. CPU and throughput are measured against nginx if it is
installed (`apt-get install nginx-light`), because it uses less CPU. Otherwise this server is used instead, and the
report mentions it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

BODY = b'{"status": 1, "code": 200, "success": true, "message": "ok", "meta": {"requestId": "r", "status": 201}}'
REFUSED = b'{"message": "-", "meta": {"requestId": "r", "status": 429}}'
PLENTY = 10_000_000
MARK = re.compile(rb"m\d{6}m")


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    marks: ClassVar[set[bytes]] = set()
    latency = 0.0
    hang = False
    limit = PLENTY
    #: When each request of the last minute was accepted, if there is a limit.
    taken: ClassVar[deque[float]] = deque()

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.hang:
            return
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            found = re.search(rb"content-length: *(\d+)", head)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._received) < whole:
                if b"expect: 100-continue" in head:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            self.marks.update(MARK.findall(plain(body)))
            status, left = self._take(b"\r\nx-api-key:" in head)
            answer = BODY if status == 200 else REFUSED
            if head.startswith(b"get /marks "):
                answer = str(len(self.marks)).encode()
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self._answer, status, left, answer)
            else:
                self._answer(status, left, answer)

    def _take(self, limited: bool) -> tuple[int, int]:
        """Count one more request, and return its status and what remains of the limit."""
        if not limited or self.limit == PLENTY:
            return 200, PLENTY - 1
        now = time.monotonic()
        while self.taken and self.taken[0] <= now - 60:
            self.taken.popleft()
        if len(self.taken) >= self.limit:
            return 429, 0
        self.taken.append(now)
        return 200, self.limit - len(self.taken)

    def _answer(self, status: int, left: int, body: bytes) -> None:
        budget = f"X-RateLimit-Limit: {self.limit}\r\nX-RateLimit-Remaining: {left}\r\n"
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n{budget}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def plain(body: bytes) -> bytes:
    """Return the body, decompressed if it was compressed."""
    with suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(body)
    return body


async def serve() -> None:
    """Respond until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# ── For the measurements ──


@contextmanager
def python_server(*, latency: float = 0.0, hang: bool = False, limit: int = PLENTY) -> Iterator[str]:
    """Run the server above in a separate process, and yield its URL."""
    command = [sys.executable, "-m", "benchmarks._server", "--latency", str(latency), "--limit", str(limit)]
    command += ["--hang"] if hang else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def nginx() -> str | None:
    """Return the path of nginx, if it is installed."""
    return shutil.which("nginx") or next(iter(path for path in ("/usr/sbin/nginx",) if Path(path).exists()), None)


@contextmanager
def fast_server() -> Iterator[str]:
    """Run nginx with one worker process, or else the server above, and yield its URL."""
    program = nginx()
    if program is None:
        with python_server() as url:
            yield url
        return
    with tempfile.TemporaryDirectory(prefix="benchmarks-nginx-") as folder:
        port = free_port()
        config = Path(folder, "nginx.conf")
        config.write_text(CONFIG.replace("PORT", str(port)).replace("FOLDER", folder))
        with subprocess.Popen([program, "-c", str(config), "-e", f"{folder}/error.log"]) as process:
            try:
                wait_for(port)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


CONFIG = """
daemon off; master_process off; pid FOLDER/pid; error_log FOLDER/error.log;
events { worker_connections 512; }
http {
  access_log off; keepalive_requests 10000000; client_body_temp_path FOLDER/body;
  proxy_temp_path FOLDER/p; fastcgi_temp_path FOLDER/f; uwsgi_temp_path FOLDER/u; scgi_temp_path FOLDER/s;
  server {
    listen 127.0.0.1:PORT backlog=1024;
    location / {
      default_type application/json;
      add_header X-RateLimit-Limit 10000000 always;
      add_header X-RateLimit-Remaining 9999999 always;
      return 201 '{"message": "ok", "meta": {"requestId": "r", "status": 201}}';
    }
  }
}
"""


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Wait until something listens on the port."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def main() -> None:
    """Parse the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--hang", action="store_true", help="never answer")
    parser.add_argument("--limit", type=int, default=PLENTY, help="requests a minute")
    options = parser.parse_args()
    Connection.latency, Connection.hang, Connection.limit = options.latency, options.hang, options.limit
    asyncio.run(serve())


if __name__ == "__main__":
    main()
