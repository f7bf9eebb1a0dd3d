"""Under gunicorn: forked workers, threads, greenlets, and the shutdown of a worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("gunicorn", reason="runs gunicorn")

APP = """
import os
import journy_track

shutdown = float(os.environ.get("SHUTDOWN", "20"))
journy_track.configure("a-key", base_url=os.environ["API_URL"], shutdown_timeout=shutdown)
if "PRELOADED" in os.environ:
    for number in range(5):
        journy_track.track("preloaded", user="u1")

def app(environ, start_response):
    start_response("200 OK", [])
    with journy_track.user("u1"):
        journy_track.track("visited", path=environ["PATH_INFO"])
    return [str(os.getpid()).encode()]
"""


class Server:
    """gunicorn with three workers, on a socket of this process, which listens before any worker does."""

    def __init__(self, folder: Path, api_url: str, *arguments: str, **environment: str) -> None:
        (folder / "app.py").write_text(APP)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        descriptor = self._listener.fileno()
        # Longer than a worker needs on a busy machine: afterwards the master kills it, and what it held is not
        # delivered. gevent's workers use all of it, especially idle ones.
        grace = 6 if "--worker-class=gevent" in arguments else 30
        arguments = (f"--graceful-timeout={grace}", "--no-control-socket", *arguments)
        self._said = (folder / "stderr").open("w+")
        command = ["gunicorn", f"--bind=fd://{descriptor}", "--workers=3", "--log-level=warning"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command, *arguments, "app:app"],
            cwd=folder,
            env={**os.environ, **environment, "API_URL": api_url},
            pass_fds=[descriptor],
            stderr=self._said,
            start_new_session=True,
        )

    def visit(self, number: int) -> int:
        """Make a request, and return which worker handled it."""
        with urllib.request.urlopen(f"{self.url}/{number}", timeout=30) as response:
            return int(response.read())

    def visit_many(self, count: int) -> set[int]:
        with ThreadPoolExecutor(6) as visitors:
            return set(visitors.map(self.visit, range(count)))

    def stop(self) -> str:
        """Stop it as a deployment does, and return its output."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._said.seek(0)
        return self._said.read()

    def clean_up(self) -> None:
        """Kill what is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # it has its own session
        self.process.wait(10)
        self._listener.close()
        self._said.close()


@pytest.fixture
def gunicorn(api, tmp_path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*arguments: str, **environment: str) -> Server:
        kind = next((a.split("=")[1] for a in arguments if a.startswith("--worker-class")), "sync")
        if kind == "gevent":
            pytest.importorskip("gevent", reason="runs gunicorn's gevent workers")
        started.append(Server(tmp_path, api.url, *arguments, **environment))
        return started[-1]

    yield start
    for server in started:
        server.clean_up()


def visited(api) -> list[int]:
    return sorted(int(event.metadata["path"][1:]) for event in api.events if event.name == "visited")


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_each_request_of_each_worker_arrives_once(api, gunicorn, kind, preload):
    server = gunicorn(f"--worker-class={kind}", "--threads=4", *["--preload"] * preload)
    server.visit_many(40)
    said = server.stop()
    assert visited(api) == list(range(40)), said
    assert "Traceback" not in said


def test_what_the_master_captured_before_it_forked_arrives_once(api, gunicorn):
    server = gunicorn("--preload", PRELOADED="1")
    server.visit_many(40)
    server.stop()
    assert [event.name for event in api.events].count("preloaded") == 5
    assert visited(api) == list(range(40))


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_a_worker_that_is_told_to_end_delivers_what_it_captured(api, gunicorn, kind):
    api.answer_next(None, delay=0.05, count=40)
    server = gunicorn("--preload", f"--worker-class={kind}", "--threads=4")
    for worker in server.visit_many(40):
        os.kill(worker, signal.SIGTERM)  # the master starts new ones
    server.stop()
    assert visited(api) == list(range(40))


def test_workers_that_are_replaced_after_some_requests_lose_nothing(api, gunicorn):
    api.answer_next(None, delay=0.05, count=40)
    server = gunicorn("--preload", "--max-requests=5")
    workers = {server.visit(number) for number in range(40)}
    server.stop()
    assert len(workers) >= 8
    assert visited(api) == list(range(40))


# ── With a spool ──


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_with_a_spool_each_request_arrives_once_and_nothing_is_left(api, gunicorn, tmp_path, kind):
    spool = tmp_path / "spool"
    server = gunicorn("--preload", f"--worker-class={kind}", "--threads=4", PRELOADED="1", JOURNY_SPOOL=str(spool))
    server.visit_many(40)
    said = server.stop()
    assert visited(api) == list(range(40)), said
    assert [event.name for event in api.events].count("preloaded") == 5
    assert "Traceback" not in said
    assert list(spool.iterdir()) == []


def test_with_a_spool_a_deploy_while_journy_io_is_down_loses_nothing(api, gunicorn, tmp_path):
    spool = tmp_path / "spool"
    api.answer_next(503, count=10_000)
    server = gunicorn("--preload", JOURNY_SPOOL=str(spool), SHUTDOWN="0.2")
    server.visit_many(40)
    server.stop()
    assert visited(api) == []
    api.reset()
    server = gunicorn("--preload", JOURNY_SPOOL=str(spool))
    server.visit_many(40)
    api.wait_for(lambda api: len(visited(api)) >= 80, 60)
    said = server.stop()
    assert visited(api) == sorted([*range(40), *range(40)]), said
    assert list(spool.iterdir()) == []
