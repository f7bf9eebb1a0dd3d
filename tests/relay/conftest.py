"""A real Redis on a free port, and relays in threads and in separate processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import redis

from journy_track._delivery.pipeline import mark_internal
from journy_track._delivery.ways import transport_of
from journy_track._model.config import Config
from journy_track._model.secret import Secret
from journy_track._relay.relay import Relay
from journy_track._stores.redis.connection import Names
from journy_track._stores.redis.stream import RelayQueue
from journy_track.inspector import Inspector

from ..conftest import KEY
from .forwarder import Forwarder

ROOT = Path(__file__).parent.parent.parent
NAMES = Names.of("items")


def until(condition: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
    """Wait until *condition* returns a true value, and return it."""
    deadline = monotonic() + timeout
    while not (found := condition()):
        assert monotonic() < deadline, f"not in {timeout:.0f} s: {what}"
        sleep(0.01)
    return found


class RedisServer:
    """A private redis-server, which can be killed, stopped, and restarted on the same port and folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.options: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Any:
        """A client with a long timeout."""
        return redis.Redis(port=self.port, socket_timeout=10, decode_responses=True)

    def start(self, *options: str) -> RedisServer:
        """Start or restart it, and return once it responds."""
        self.options = list(options) or self.options
        for _ in range(5):  # another process may have taken the port meanwhile
            if not self.port:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    self.port = free.getsockname()[1]
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                 # Always written before the response. With an fsync per second, a late fsync would delay writes.
                 "--appendfsync", "no", "--dir", str(self.folder), *self.options],
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            until(lambda: self._answers() or self.process.poll() is not None, "redis-server answers")
            if self.process.poll() is None:
                return self
            self.port = 0
        raise AssertionError("redis-server does not start")

    def start_sentinel(self, watches: RedisServer | None = None) -> RedisServer:
        """Start a sentinel instead, which monitors the primary *watches* as the service ``shop``."""
        lines = ["sentinel resolve-hostnames no"]
        if watches is not None:
            lines += [
                f"sentinel monitor shop 127.0.0.1 {watches.port} 2",
                "sentinel down-after-milliseconds shop 500",
                "sentinel failover-timeout shop 5000",
            ]
        config = self.folder / "sentinel.conf"
        config.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            ["redis-server", str(config), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1",
             "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers, "the sentinel answers")
        return self

    def _answers(self) -> bool:
        try:
            return bool(redis.Redis(port=self.port, socket_timeout=1).ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it, like a power cut, except that the system still writes its buffers."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def messages(self) -> list[dict[str, Any]]:
        """Return the waiting messages, oldest first."""
        return [json.loads(fields["m"]) for _, fields in self.client.xrange(NAMES.stream)]

    def letters(self) -> list[dict[str, Any]]:
        """Return the dead letters."""
        return [json.loads(fields["m"]) for _, fields in self.client.xrange(NAMES.dead)]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Callable[[], RedisServer]]:
    """Return a function that creates a Redis on a free port, without starting it."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server (Debian's package of that name)")
    servers: list[RedisServer] = []

    def make() -> RedisServer:
        folder = tmp_path / f"redis-{len(servers)}"
        folder.mkdir()
        servers.append(made := RedisServer(folder))
        with socket.create_server(("127.0.0.1", 0)) as free:
            made.port = free.getsockname()[1]
        return made

    yield make
    for made in servers:
        if made.process is not None and made.process.poll() is None:
            made.send(signal.SIGCONT)
            made.kill()


@pytest.fixture
def absent_broker(redis_server: Callable[[], RedisServer]) -> RedisServer:
    """Return a Redis that has not been started yet."""
    return redis_server()


@pytest.fixture
def forward() -> Iterator[Callable[..., Forwarder]]:
    """Return a function that puts a forwarder in front of a Redis."""
    made: list[Forwarder] = []

    def make(server: RedisServer, rate: float | None = None) -> Forwarder:
        made.append(Forwarder(server.port, rate))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def broker(absent_broker: RedisServer) -> RedisServer:
    """Return a running Redis."""
    return absent_broker.start()


@pytest.fixture
def relay(api: Inspector, broker: RedisServer) -> Iterator[Callable[..., Relay]]:
    """Run a relay in a thread. Unless a test sets it, its lease is long enough for a busy machine."""
    running: list[tuple[Relay, threading.Thread]] = []

    def make(lease: float = 30.0, url: str = "", **settings: Any) -> Relay:
        config = Config.load(KEY, {"base_url": api.url, **settings}, environ={})
        queue = RelayQueue(Secret(url or broker.url), lease=lease)
        made = Relay(queue, config, transport_of(config), mark_internal=mark_internal, lease=lease)
        thread = threading.Thread(target=made.run, name="journy_track relay", daemon=True)
        thread.start()
        running.append((made, thread))
        return made

    yield make
    for made, _ in running:
        made.stop()
    for _, thread in running:
        thread.join(20)
        assert not thread.is_alive()


class RelayProcess:
    """`journy-track relay`, run as an operator does."""

    def __init__(self, environment: dict[str, str], health: Path, options: tuple[str, ...]) -> None:
        self._health = health
        self.process = subprocess.Popen(
            [sys.executable, "-m", "journy_track", "relay", "--health-file", str(health), *options],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def health(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._health.read_text()))
        except FileNotFoundError:
            return {"role": None}

    def waits_to_be(self, role: str) -> None:
        until(lambda: self.health["role"] == role or self.process.poll() is not None, f"a relay is {role}")
        assert self.process.poll() is None, self.process.communicate()[1]

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> tuple[str, str]:
        """Stop it with that signal, and return its output."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)


@pytest.fixture
def run_relay_alone(api: Inspector, tmp_path: Path) -> Iterator[Callable[..., RelayProcess]]:
    """Run a relay in a separate process, with the URL of a broker that need not be running."""
    running: list[RelayProcess] = []

    def make(broker: str, *options: str, url: str = api.url, lease: str = "2") -> RelayProcess:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("JOURNY_")}
        ours = {"JOURNY_API_KEY": KEY, "JOURNY_BASE_URL": url, "JOURNY_BROKER_URL": broker}
        made = RelayProcess({**kept, **ours}, tmp_path / f"relay-{len(running)}", ("--lease", lease, *options))
        running.append(made)
        return made

    yield make
    for made in running:
        made.process.kill()
        made.process.communicate()


@pytest.fixture
def run_relay(broker: RedisServer, run_relay_alone: Callable[..., RelayProcess]) -> Callable[..., RelayProcess]:
    """Run a relay in a separate process."""

    def make(*options: str, **settings: str) -> RelayProcess:
        return run_relay_alone(broker.url, *options, **settings)

    return make
