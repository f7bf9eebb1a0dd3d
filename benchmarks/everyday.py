"""Everyday situations with real sockets and processes, each on its own key, compared with simple arithmetic.

    python -m benchmarks.everyday [ROW …]

A strict server on loopback counts the accepted requests of the last minute and sends the rate headers with every
response. The rows run one after another, in about twenty minutes. Their times are wall-clock times, so check the load
average, which is printed as well. The same situations and more in simulated time: `python -m benchmarks.situations`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from benchmarks._server import free_port, wait_for

WINDOW = 60.0

PROCESS = """
import json, random, sys, time
import journy_track

url, key, backlog, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
journy_track.configure(key, base_url=url, shutdown_timeout=0.1)
began = time.monotonic()
for number in range(backlog):
    journy_track.track("benchmarked", user=f"u{number}")
due = began
while rate and (due := due + random.expovariate(rate)) < began + seconds:
    time.sleep(max(0.0, due - time.monotonic()))
    journy_track.track("benchmarked", user=f"u{random.random()}")
if not rate:
    journy_track.flush(timeout=seconds)
stats = journy_track.stats()
took = time.monotonic() - began
print(json.dumps([took, stats.captured, stats.delivered, stats.delay_p50, stats.delay_p99]))
"""

ENDS = """
import atexit, itertools, json, random, signal, sys, time
import journy_track

url, key, backlog, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
began = time.monotonic()
atexit.register(lambda: print(json.dumps([  # registered first, so called last
    time.monotonic() - began, journy_track.stats().captured, journy_track.stats().delivered, None, None,
])))
if rate:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
journy_track.configure(key, base_url=url)
for number in range(backlog):
    journy_track.track("benchmarked", user=f"u{number}")
while rate:
    time.sleep(random.expovariate(rate))
    journy_track.track("benchmarked", user=f"u{random.random()}")
"""


# ── The server ──


@dataclass
class Key:
    """The settings of one key, and its requests. Its name includes the settings: `name~limit=600~latency=2.2`."""

    limit: int = 1800
    latency: float = 0.08
    headers: bool = True
    refuse: int = 0
    down: bool = False
    accepted: deque[float] = field(default_factory=deque)
    times: list[tuple[float, int, bool]] = field(default_factory=list)

    def status(self, now: float, *, neighbour: bool) -> int:
        """Accept or refuse one request, and return its status."""
        while self.accepted and self.accepted[0] <= now - WINDOW:
            self.accepted.popleft()
        status = 201
        if self.down:
            status = 503
        elif self.refuse or len(self.accepted) >= self.limit:
            self.refuse, status = max(0, self.refuse - 1), 429
        else:
            self.accepted.append(now)
        self.times.append((now, status, neighbour))
        return status


def key_of(name: str) -> Key:
    """Return the key with the settings in its name."""
    settings = dict(part.split("=") for part in name.split("~")[1:])
    return Key(
        int(settings.get("limit", 1800)),
        float(settings.get("latency", 0.08)),
        settings.get("headers", "1") == "1",
        int(settings.get("refuse", 0)),
    )


async def serve(port: int) -> None:
    """Serve all keys on one port; `/control?key=…&down=1` changes one, and `/log?key=…` returns its requests."""
    keys: dict[str, Key] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path = line.decode().split(" ")[1]
                headers = {}
                while (header := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                await reader.readexactly(int(headers.get("content-length", 0)))
                query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
                name = query.get("key", headers.get("x-api-key", ""))
                key = keys.setdefault(name, key_of(name))
                extra, status = "", 200
                if path.startswith("/control"):
                    key.down = query["down"] == "1"
                    body = b"{}"
                elif path.startswith("/log"):
                    body = json.dumps(key.times).encode()
                else:
                    status = key.status(time.time(), neighbour="x-neighbour" in headers)
                    body = b'{"message": "-", "meta": {"requestId": "r"}}'
                    if key.headers:
                        left = 0 if status == 429 else key.limit - len(key.accepted)
                        extra = f"X-RateLimit-Limit: {key.limit}\r\nX-RateLimit-Remaining: {left}\r\n"
                    await asyncio.sleep(random.uniform(0.6, 1.4) * key.latency)
                head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n{extra}"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port, backlog=500)
    async with server:
        await server.serve_forever()


async def neighbour(port: int, key: str, rate: float, seconds: float) -> None:
    """Send *rate* requests per second, whatever the responses are."""
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one() -> None:
        reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST /track HTTP/1.1\r\nX-Api-Key: {key}\r\nX-Neighbour: 1\r\n\r\n".encode())
        length = 0
        while (line := await reader.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length"):
                length = int(line.split(b":")[1])
        await reader.readexactly(length)
        free.append((reader, writer))

    began, tasks = time.monotonic(), set()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.add(task := asyncio.create_task(one()))
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks, return_exceptions=True)


# ── The rows ──


class Bench:
    """The server, and the processes that use it."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"

    def start(
        self, key: str, *, backlog: int = 0, rate: float = 0.0, seconds: float = 120.0
    ) -> subprocess.Popen[str]:
        """Start one process that uses this library."""
        command = [sys.executable, "-c", PROCESS, self.url, key, str(backlog), str(rate), str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ends(self, key: str, *, backlog: int = 0, rate: float = 0.0) -> subprocess.Popen[str]:
        """Start a process that ends as real ones do: a script after its last line, or (with *rate*) by SIGTERM."""
        command = [sys.executable, "-c", ENDS, self.url, key, str(backlog), str(rate)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def beside(self, key: str, rate: float, seconds: float) -> subprocess.Popen[str]:
        """Start a neighbour that does not pace."""
        command = [sys.executable, "-m", "benchmarks.everyday", "--neighbour", str(self.port), key]
        return subprocess.Popen([*command, str(rate), str(seconds)], text=True)

    def control(self, key: str, *, down: bool) -> None:
        """Take the server down for that key, or bring it back up."""
        urllib.request.urlopen(f"{self.url}/control?key={key}&down={int(down)}").read()

    def log(self, key: str) -> list[tuple[float, int, bool]]:
        """Return every request: when it arrived, its status, and whether it was the neighbour's."""
        with urllib.request.urlopen(f"{self.url}/log?key={key}") as response:
            return [tuple(row) for row in json.load(response)]


def ended(process: subprocess.Popen[str]) -> tuple[float, int, int, float | None, float | None]:
    """Return the seconds, the events captured and delivered, and the percentiles of the delay."""
    found = json.loads(process.communicate()[0])
    return found[0], found[1], found[2], found[3], found[4]


def burst(size: int, settings: str = "") -> Callable[[Bench], str]:
    def run(bench: Bench) -> str:
        key = f"burst{size}{settings}"
        seconds, _, delivered, *_ = ended(bench.start(key, backlog=size))
        refused = sum(status == 429 for _, status, _ in bench.log(key))
        return f"{delivered} in {seconds:.1f} s, {refused} x 429"

    return run


def slow(latency: float) -> Callable[[Bench], str]:
    def run(bench: Bench) -> str:
        key = f"slow~latency={latency}"
        _, _, delivered, *_ = ended(bench.start(key, backlog=200, seconds=30))
        return f"{delivered} of {8 / latency * 30:.0f} in 30 s"

    return run


def outage(bench: Bench) -> str:
    key, seconds = "outage", 180
    processes = [bench.start(key, rate=2.0, seconds=seconds + 50) for _ in range(4)]
    time.sleep(10)
    bench.control(key, down=True)
    began = time.time()
    time.sleep(seconds)
    bench.control(key, down=False)
    found = [ended(process) for process in processes]
    log = bench.log(key)
    during = [at for at, status, _ in log if status == 503]
    late = sum(at > began + seconds - 60 for at in during)
    lost = sum(captured - delivered for _, captured, delivered, *_ in found)
    return (
        f"{len(during)} requests of 4 processes in {seconds} s, {late} in the last minute; {lost} not there after it"
    )


def beside(rate: float, count: int, ours: float, seconds: float = 180) -> Callable[[Bench], str]:
    def run(bench: Bench) -> str:
        key = f"beside{rate}"
        other = bench.beside(key, rate, seconds)
        processes = [bench.start(key, rate=ours, seconds=seconds) for _ in range(count)]
        found = [ended(process) for process in processes]
        other.wait()
        log = bench.log(key)
        theirs = [status for _, status, is_theirs in log if is_theirs]
        mine = [status for _, status, is_theirs in log if not is_theirs]
        delivered, captured = sum(row[2] for row in found), sum(row[1] for row in found)
        median, slowest = max(row[3] or 0 for row in found), max(row[4] or 0 for row in found)
        return (
            f"{delivered} of {captured}, p50 {median:.2f} s, p99 {slowest:.1f} s; refused: "
            f"{100 * mine.count(429) / len(mine):.2f} % of ours, "
            f"{100 * theirs.count(429) / len(theirs):.2f} % of theirs"
        )

    return run


def fleet(bench: Bench) -> str:
    processes = [bench.start("fleet", rate=27 / 8, seconds=60) for _ in range(8)]
    found = [ended(process) for process in processes]
    delivered, captured = sum(row[2] for row in found), sum(row[1] for row in found)
    p99s = [row[4] or 0 for row in found]
    return f"{delivered} of {captured} in the first minute, p99 of the processes {min(p99s):.2f} to {max(p99s):.2f} s"


def scripts(bench: Bench) -> str:
    processes = []
    for _ in range(60):
        processes.append(bench.start("scripts", backlog=20, seconds=60))
        time.sleep(10 / 60)
    found = [ended(process) for process in processes]
    refused = sum(status == 429 for _, status, _ in bench.log("scripts"))
    return f"{sum(row[2] for row in found)} of 1200, slowest {max(row[0] for row in found):.1f} s, {refused} x 429"


def three(bench: Bench) -> str:
    found = [ended(bench.start("three~limit=60", backlog=4, seconds=30)) for _ in range(3)]
    return ", ".join(f"{delivered} in {seconds:.1f} s" for seconds, _, delivered, *_ in found)


def that_just_end(count: int, events: int, limit: int) -> Callable[[Bench], str]:
    def run(bench: Bench) -> str:
        key, processes = f"justend{count}~limit={limit}", []
        for _ in range(count):
            processes.append(bench.ends(key, backlog=events))
            time.sleep(10 / 60)
        found = [ended(process) for process in processes]
        statuses = [status for _, status, _ in bench.log(key)]
        return (
            f"{statuses.count(201)} of {count * events}, slowest {max(row[0] for row in found):.0f} s, "
            f"{statuses.count(429)} x 429"
        )

    return run


def deploy(*, at_once: bool) -> Callable[[Bench], str]:
    def run(bench: Bench) -> str:
        key, took, all_of_them = f"deploy{at_once}", 0.0, []
        running = [bench.ends(key, rate=27 / 8) for _ in range(8)]
        time.sleep(90)
        for follows in (True, False):
            began, leaving, running = time.monotonic(), running, []
            for process in leaving:
                if not at_once:
                    began = time.monotonic()
                process.terminate()
                if follows:
                    running.append(bench.ends(key, rate=27 / 8))
                if not at_once:
                    process.wait()
                    took = max(took, time.monotonic() - began)
            for process in leaving:
                process.wait()
            took = max(took, time.monotonic() - began)
            all_of_them += leaving
            time.sleep(10)
        found = [ended(process) for process in all_of_them]
        there = sum(status == 201 for _, status, _ in bench.log(key))
        return f"{there} there of {sum(row[1] for row in found)}, the slowest end {took:.1f} s"

    return run


#: Name, what is expected, what runs.
ROWS: list[tuple[str, str, Callable[[Bench], str]]] = [
    ("300 at once", "5 s", burst(300)),
    ("1000 at once", "12 s", burst(1000)),
    ("1500 at once", "50 s", burst(1500)),
    ("40 after one 429", "6 s", burst(40, "~refuse=1")),
    ("300 without rate headers", "20 s", burst(300, "~headers=0")),
    ("a server that takes 2.2 s", "90 % of the connections", slow(2.2)),
    ("60 scripts of 20 in 10 s", "5 s", scripts),
    ("4 events three times, limit 60", "3 s", three),
    ("8 processes, 27/s together", "p99 2 s", fleet),
    ("a neighbour at 28/s, ours 1.5/s", "1.4/s, p99 10 s", beside(28, 1, 1.5)),
    ("a neighbour at 20/s, ours 4 x 2/s", "p99 5 s", beside(20, 4, 2.0, 120)),
    ("12 scripts of 10 that end, limit 120", "none lost", that_just_end(12, 10, 120)),
    ("60 scripts of 20 that end, limit 600", "none lost", that_just_end(60, 20, 600)),
    ("a deploy at 27/s, one by one", "none lost", deploy(at_once=False)),
    ("a deploy at 27/s, all at once", "none lost", deploy(at_once=True)),
    ("an outage of 3 minutes, 4 x 2/s", "a request a second each", outage),
]


def main() -> None:
    """Start the server, run the rows, and print them."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--serve"]:
        asyncio.run(serve(int(arguments[1])))
        return
    if arguments[:1] == ["--neighbour"]:
        port, key, rate, seconds = arguments[1:]
        asyncio.run(neighbour(int(port), key, float(rate), float(seconds)))
        return
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.everyday", "--serve", str(port)])
    try:
        wait_for(port)
        for name, must, run in ROWS:
            if not arguments or any(word in name for word in arguments):
                load = os.getloadavg()[0]
                print(f"{name:36} must: {must:26} {run(Bench(port))}  (load {load:.1f})", flush=True)
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
