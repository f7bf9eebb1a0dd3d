"""A private redis-server for a test session, on a free port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep

import pytest


@contextmanager
def redis_server() -> Iterator[str]:
    """Yield its URL. Skips where redis-server is not installed."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs a redis-server, which is not here (apt-get install redis-server)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = {"port": str(port), "bind": "127.0.0.1", "save": "", "dir": folder, "databases": "999"}
        command = [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            deadline = monotonic() + 30
            while not _listens(port):
                assert server.poll() is None, "redis-server ended"
                assert monotonic() < deadline, "redis-server does not listen"
                sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(10)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
