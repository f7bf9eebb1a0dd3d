"""What an app feels: how many requests a server still serves when each of them tracks one event.

    python -m benchmarks.app [--rounds ROUNDS]

Flask's hello world under gunicorn (one worker, four threads), with nothing that tracks, with this library, and with
PostHog's and Segment's clients where they are installed (`pip install -e '.[bench]'`). All of them send to a server
on this machine, which takes 1800 of this library's requests a minute, as journy.io does, and tells so in its headers.
In each round every server is a fresh one, and they are loaded in turn, in another order each time. Printed are
medians with the least and the most of all rounds. What is kept is of what the same round served without tracking, so
that the machine falls out. All these servers are kept busy, so that what is kept is also what is left of the CPU time
of a request: that ratio is steadier, above all while others use the machine. Two minutes.

Beside it, in processes of their own: what an event costs this library's threads without the exchange over HTTP, and
what an integration adds to a request that tracks nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks._peers import PEERS
from benchmarks._report import Figure
from benchmarks._server import python_server

NOTHING = "nothing"
LIBRARIES = ("ours", "posthog", "segment")
#: What the API takes, and how long it takes for it.
LIMIT, LATENCY = 1800, 0.05
#: Connections that the load is sent over: twice the server's threads, so that none of them waits for work.
CONNECTIONS = 8
#: Seconds, and how many of them each server gets in a round.
WARM, SLICE, SLICES = 0.4, 0.5, 4
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
GOAL = 0.95


# ── The server ──


@dataclass
class Served:
    """One server, and what it did in a round."""

    port: int
    process: subprocess.Popen[bytes]
    requests: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_each(self) -> float:
        """Microseconds of CPU of gunicorn's worker for each request."""
        return self.cpu / self.requests * 1e6

    def load(self, seconds: float) -> None:
        """Keep all of its threads busy for that long."""
        cpu, began = self._cpu(), time.perf_counter()
        self.requests += loaded(self.port, seconds)
        self.seconds += time.perf_counter() - began
        self.cpu += self._cpu() - cpu

    def wait_ready(self) -> None:
        """Until it responds."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
                client.sendall(REQUEST.replace(b"Accept: */*", b"Connection: close"))
                started = client.recv(65536).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            started = False
        if not started:
            raise SystemExit("the app does not start: what it said is above")

    def forget(self) -> None:
        """What came so far was to warm up."""
        self.requests, self.seconds, self.cpu = 0, 0.0, 0.0

    def _cpu(self) -> float:
        """Seconds of CPU of gunicorn's worker; 0 where the system does not tell."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not children.exists():
            return 0.0
        used = 0
        for child in children.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
        return used / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(library: str, api: str, folder: str) -> Iterator[Served]:
    """The app under gunicorn, with that library. It is killed at the end: nobody waits for what is queued."""
    options = ["--workers=1", "--worker-class=gthread", "--threads=4", "--keep-alive=60", "--log-level=critical"]
    if int(version("gunicorn").partition(".")[0]) >= 25:
        options.append("--no-control-socket")
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        port, descriptor = listener.getsockname()[1], listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", f"--bind=fd://{descriptor}", *options, "benchmarks._hello:app"],
            env={
                **os.environ,
                "BENCHMARK_LIBRARY": library.removeprefix(NOTHING),
                "BENCHMARK_API": api,
                "TMPDIR": folder,
            },
            pass_fds=[descriptor],
            start_new_session=True,
        )
    try:
        served = Served(port, process)
        served.wait_ready()
        yield served
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # its own session: gunicorn and its worker
        process.wait()


# ── The load ──


@dataclass
class _Connection:
    """One kept-alive connection, with one request on its way."""

    socket: socket.socket
    received: bytes = field(default=b"", repr=False)

    def send(self) -> None:
        self.received = b""
        self.socket.sendall(REQUEST)

    def ended(self) -> bool:
        """Read what has come. Whether that is the whole response."""
        part = self.socket.recv(65536)
        if not part:
            raise SystemExit("the server closed a connection")
        self.received += part
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server failed: {head[:100]!r}")
        return len(body) == 5  # "Hello"


def loaded(port: int, seconds: float) -> int:
    """Send requests over all connections, each as soon as the one before has its response. Returns how many."""
    with ExitStack() as stack:
        poll = select.poll()
        connections: dict[int, _Connection] = {}
        for _ in range(CONNECTIONS):
            made = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connections[made.fileno()] = _Connection(made)
            poll.register(made, select.POLLIN)
        for connection in connections.values():
            connection.send()
        done, deadline = 0, time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            for descriptor, _event in poll.poll(1000):
                connection = connections[descriptor]
                if connection.ended():
                    done += 1
                    connection.send()
        return done


# ── The rounds ──


def installed() -> list[str]:
    """The libraries that are here, and nothing before them."""
    return [NOTHING, *(name for name in LIBRARIES if find_spec(PEERS[name].module.partition(".")[0]) is not None)]


def one_round(libraries: list[str], api: str) -> dict[str, Served]:
    """Load the app with each library, in turn and in another order each time."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-app-") as folder, ExitStack() as stack:
        served = {library: stack.enter_context(serving(library, api, folder)) for library in libraries}
        order = list(libraries)
        for library in order:
            served[library].load(WARM)
            served[library].forget()
        for _ in range(SLICES):
            random.shuffle(order)
            for library in order:
                served[library].load(SLICE)
        return served


def fresh(module: str, *arguments: str) -> str:
    """What a measurement in a process of its own prints."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    if find_spec("flask") is None or find_spec("gunicorn") is None:
        raise SystemExit("this benchmark needs Flask and gunicorn")
    libraries = installed()
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds} …", file=sys.stderr, flush=True)
        with python_server(latency=LATENCY, limit=LIMIT) as api:
            rounds.append(one_round(libraries, api))
    print("on its own …", file=sys.stderr, flush=True)
    worker = Figure.of([float(fresh("_worker")) for _ in range(7)])
    integrations = json.loads(fresh("_requests", "15"))

    heads = ("requests/s", "kept", "CPU µs a request", "kept, by CPU")
    print_row("\nFlask under gunicorn, 1 worker, 4 threads", *heads)
    for library in libraries:
        title = PEERS[library].title if library in PEERS else "without tracking"
        print_row(title, *figures_of([(served[library], served[NOTHING]) for served in rounds]))
    print_row("\nOn its own", "CPU µs")
    print_row("an event, after capture, without HTTP", spread(worker, 0))
    for name, cost in integrations.items():
        figure = Figure(cost["added"], cost["low"], cost["high"], int(cost["rounds"]))
        print_row(f"{name}, a request that tracks nothing", spread(figure, 1))
    print(f"\nBrackets: least and most of {len(rounds)} rounds; of requests that track nothing, the quartiles.")
    print(f"Goal: {GOAL} of the requests kept; at most 35 µs an event, and 15 µs a request that tracks nothing.")


def figures_of(rounds: list[tuple[Served, Served]]) -> list[str]:
    """What is printed of one library: its server beside the one without tracking, in each round."""
    figures = [
        spread(Figure.of([served.rate for served, _ in rounds]), 0),
        spread(Figure.of([served.rate / bare.rate for served, bare in rounds]), 2),
    ]
    if all(served.cpu and bare.cpu for served, bare in rounds):  # where the system tells
        figures.append(spread(Figure.of([served.cpu_each for served, _ in rounds]), 0))
        figures.append(spread(Figure.of([bare.cpu_each / served.cpu_each for served, bare in rounds]), 2))
    return figures


def print_row(title: str, *cells: str) -> None:
    """One line of a table."""
    print(title.ljust(42 + title.startswith("\n")), *(cell.rjust(20) for cell in cells))


def spread(figure: Figure, digits: int) -> str:
    """The median, with what it lies between."""
    return f"{figure.median:.{digits}f} [{figure.least:.{digits}f}-{figure.most:.{digits}f}]"


if __name__ == "__main__":
    main()
