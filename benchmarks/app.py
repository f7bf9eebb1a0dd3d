"""How many requests a server still handles when each of them tracks one event.

    python -m benchmarks.app [--rounds ROUNDS]

Flask's hello world under gunicorn (one worker, four threads): without tracking, with this library, and with PostHog's
and Segment's clients if they are installed (`pip install -e '.[bench]'`). All of them send to a local server, which
accepts 1800 of this library's requests per minute, as journy.io does, and reports that in its headers. Each round
starts fresh servers and loads them in turn, in a different order each time. Prints medians with the minimum and
maximum of all rounds. The share that is kept is relative to the same round's throughput without tracking, so that the
machine's speed cancels out. Because all these servers are kept busy, that share is also the ratio of CPU time per
request, which is steadier, especially while others use the machine. Takes two minutes.

Also measures, in separate processes, what an event costs this library's threads without the HTTP exchange, and what
an integration adds to a request that tracks nothing.
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
#: The API's requests per minute, and its response time in seconds.
LIMIT, LATENCY = 1800, 0.05
#: Connections for the load: twice the server's threads, so that no thread waits for work.
CONNECTIONS = 8
#: Seconds of warm-up and of one slice, and how many slices each server gets per round.
WARM, SLICE, SLICES = 0.4, 0.5, 4
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
GOAL = 0.95


# ── The server ──


@dataclass
class Served:
    """One server, and its figures of one round."""

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
        """CPU microseconds of gunicorn's worker per request."""
        return self.cpu / self.requests * 1e6

    def load(self, seconds: float) -> None:
        """Keep all server threads busy for *seconds*."""
        cpu, began = self._cpu(), time.perf_counter()
        self.requests += loaded(self.port, seconds)
        self.seconds += time.perf_counter() - began
        self.cpu += self._cpu() - cpu

    def wait_ready(self) -> None:
        """Wait until the server responds."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
                client.sendall(REQUEST.replace(b"Accept: */*", b"Connection: close"))
                started = client.recv(65536).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            started = False
        if not started:
            raise SystemExit("the app does not start: what it said is above")

    def forget(self) -> None:
        """Discard the figures so far: they were for warm-up."""
        self.requests, self.seconds, self.cpu = 0, 0.0, 0.0

    def _cpu(self) -> float:
        """CPU seconds of gunicorn's worker; 0 if the system does not report them."""
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
    """Serve the app under gunicorn with *library*. It is killed at the end, without waiting for queued events."""
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
            os.killpg(process.pid, 9)  # its own session, which includes gunicorn and its worker
        process.wait()


# ── The load ──


@dataclass
class _Connection:
    """One keep-alive connection with one request in flight."""

    socket: socket.socket
    received: bytes = field(default=b"", repr=False)

    def send(self) -> None:
        self.received = b""
        self.socket.sendall(REQUEST)

    def ended(self) -> bool:
        """Read what has arrived, and return whether the response is complete."""
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
    """Send requests over all connections, each after the previous response, and return how many completed."""
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
    """Return the installed libraries, preceded by `NOTHING`."""
    return [NOTHING, *(name for name in LIBRARIES if find_spec(PEERS[name].module.partition(".")[0]) is not None)]


def one_round(libraries: list[str], api: str) -> dict[str, Served]:
    """Load the app with each library, in turn, in a different order each time."""
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
    """Run a measurement in a separate process, and return its output."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    """Measure and print the results."""
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
    """Return one library's printed figures: its server compared with the one without tracking, for each round."""
    figures = [
        spread(Figure.of([served.rate for served, _ in rounds]), 0),
        spread(Figure.of([served.rate / bare.rate for served, bare in rounds]), 2),
    ]
    if all(served.cpu and bare.cpu for served, bare in rounds):  # if the system reports CPU times
        figures.append(spread(Figure.of([served.cpu_each for served, _ in rounds]), 0))
        figures.append(spread(Figure.of([bare.cpu_each / served.cpu_each for served, bare in rounds]), 2))
    return figures


def print_row(title: str, *cells: str) -> None:
    """Print one line of a table."""
    print(title.ljust(42 + title.startswith("\n")), *(cell.rjust(20) for cell in cells))


def spread(figure: Figure, digits: int) -> str:
    """Return the median, with its minimum and maximum."""
    return f"{figure.median:.{digits}f} [{figure.least:.{digits}f}-{figure.most:.{digits}f}]"


if __name__ == "__main__":
    main()
