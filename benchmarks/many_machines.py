"""Many machines with one key: producers, one Redis and one relay, each in its own process.

    python -m benchmarks.many_machines [--events 50000] [--stages] [--rest]

The producers capture as fast as they can while the relay delivers in batches. The target: 50 000 events within 15 s
from the first capture to the last response, in order per user, without duplicates. `--stages` then measures each
stage separately, in three minutes: the producers publish while no relay runs, then a relay delivers the backlog, to
servers that respond at once or with latency. `--rest` measures the same with the REST API, in three more minutes.

A Python server on loopback accepts the batches and keeps them, to be examined at the end. Needs redis-server, and
Linux for the CPU times of other processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import redis

from benchmarks._sections import environment
from benchmarks._server import python_server
from benchmarks.batch import Server, events, in_order, server
from benchmarks.broker import redis_server
from journy_track._stores.redis.connection import Names

EVENTS, PRODUCERS, USERS = 50_000, 4, 100
MAX_SECONDS = 15.0
#: The REST API's limit in requests per minute.
LIMIT = 1_800
STREAM = Names.of("items").stream
#: What runs on each host. Its arguments: its name, the number of events, and the number of users.
PRODUCER = """
import json, sys, time
import journy_track

name, count, users = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
journy_track.configure(queue_size=count + 1)
journy_track.track("warm", user=name, number=-1)  # its threads, its connection, and what is imported late
assert journy_track.flush(60)
print("ready", flush=True)
sys.stdin.readline()
began, cpu = time.monotonic(), time.process_time()
for number in range(count):
    journy_track.track("benchmarked", user=f"{name}u{number % users}", plan="pro", number=number)
captured = time.monotonic()
assert journy_track.flush(300)
cpu = time.process_time() - cpu
print(json.dumps({"began": began, "captured": captured, "published": time.monotonic(), "cpu": cpu}))
"""


class Published(NamedTuple):
    """The producers' times, in seconds: by the monotonic clock, or durations. *cpu* is the total of all producers."""

    began: float
    captured: float
    published: float
    cpu: float


class Delivered(NamedTuple):
    """What arrived: when the last response was sent, how many messages, and whether they were in order per user."""

    at: float
    arrived: int
    different: int
    ordered: bool
    requests: int


@contextmanager
def producers(broker: str, count: int, users: int = USERS) -> Iterator[list[subprocess.Popen[str]]]:
    """Start producers that together capture *count* events once told to begin, each of *users* users."""
    kept = environment() | {"JOURNY_BROKER_URL": broker}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PRODUCER, f"p{number}", str(count // PRODUCERS), str(users)],
            env=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PRODUCERS)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise SystemExit("a producer failed")
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def publish(running: list[subprocess.Popen[str]]) -> Published:
    """Let the producers capture and publish, and wait until all have finished."""
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told: list[dict[str, float]] = []
    for process in running:
        assert process.stdout is not None
        told.append(json.loads(process.stdout.readline()))
    return Published(
        min(one["began"] for one in told),
        max(one["captured"] - one["began"] for one in told),
        max(one["published"] for one in told),
        sum(one["cpu"] for one in told),
    )


@contextmanager
def relay(broker: str, **settings: str) -> Iterator[int]:
    """Run `journy-track relay` with these settings, and yield its process ID."""
    process = subprocess.Popen(
        [sys.executable, "-m", "journy_track", "relay"],
        env=environment() | {"JOURNY_BROKER_URL": broker, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def wait_until_empty(client: Any, pid: int) -> None:
    """Wait until the broker is empty."""
    deadline = time.monotonic() + 600
    while client.xlen(STREAM):
        if time.monotonic() > deadline or not Path(f"/proc/{pid}").exists():
            raise SystemExit("the relay does not deliver")
        time.sleep(0.02)


def wait_until_led(client: Any) -> None:
    """Wait until a relay is the leader."""
    deadline = time.monotonic() + 60
    while not client.exists(Names.of("items").lease):
        if time.monotonic() > deadline:
            raise SystemExit("the relay does not start")
        time.sleep(0.02)


def delivered() -> Delivered:
    """Return what the server received."""
    came = list(events())
    return Delivered(max(at for at, _, _ in Server.came), len(came), len(set(came)), in_order(came), len(Server.came))


def batches(url: str) -> dict[str, str]:
    """Return the settings of a relay with a write key."""
    return {"JOURNY_WRITE_KEY": "benchmark-key", "JOURNY_BATCH_URL": f"{url}/v1/batch"}


def single(url: str) -> dict[str, str]:
    """Return the settings of a relay with an API key."""
    return {"JOURNY_API_KEY": "benchmark-key", "JOURNY_BASE_URL": url}


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that another process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_redis(client: Any) -> float:
    """Return the CPU seconds that Redis has used."""
    used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def memory_of(client: Any) -> int:
    """Return the bytes of memory that Redis uses."""
    return int(client.info("memory")["used_memory"])


def disk_of(client: Any) -> int:
    """Return the size of Redis's append-only file in bytes."""
    return int(client.info("persistence")["aof_current_size"])


def together(count: int) -> bool:
    """Capture and deliver at the same time, and return whether the targets are met."""
    with redis_server() as broker, server() as url:
        client: Any = redis.Redis.from_url(broker)
        with relay(broker, **batches(url)) as pid, producers(broker, count) as running:
            wait_until_led(client)
            wait_until_empty(client, pid)
            warm = len(Server.came)
            done = publish(running)
            wait_until_empty(client, pid)
        seen = delivered()
    seconds = seen.at - done.began
    print(
        f"{count:,} events of {PRODUCERS * USERS} users, all at once: published after "
        f"{done.published - done.began:.1f} s, the last response after {seconds:.1f} s, "
        f"in {seen.requests - warm} requests"
    )
    goals = {
        f"last response ≤ {MAX_SECONDS:g} s after the first capture": seconds <= MAX_SECONDS,
        "each arrived, and none twice": seen.arrived == seen.different == count,
        "in order per user": seen.ordered,
    }
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")
    return all(goals.values())


# ── Stage by stage ──


def row(title: str, rate: float, more: str = "") -> None:
    """Print the throughput of one stage."""
    print(f"{title:56}{rate:7,.0f} events/s   {more}".rstrip(), flush=True)


def capture_and_publish(count: int, fsync: str) -> None:
    """Capture and publish while no relay runs, and measure the result in Redis. *fsync* is Redis's `appendfsync`."""
    with redis_server() as broker:
        client: Any = redis.Redis.from_url(broker)
        client.config_set("appendfsync", fsync)
        with producers(broker, count) as running:
            memory, disk, cpu = memory_of(client), disk_of(client), cpu_of_redis(client)
            done = publish(running)
            cpu = cpu_of_redis(client) - cpu
            memory, disk = memory_of(client) - memory, disk_of(client) - disk
    row(f"capture, {PRODUCERS} processes", count / done.captured)
    row(
        f"producers to Redis, appendfsync {fsync}",
        count / (done.published - done.began),
        f"CPU µs/event: producers {done.cpu / count * 1e6:.0f}, Redis {cpu / count * 1e6:.0f}",
    )
    print(
        f"an item that waits: {memory / count:.0f} bytes of Redis's memory, {disk / count:.0f} of its appendonly file"
    )


def deliver(title: str, count: int, users: int, settings: dict[str, str]) -> None:
    """Deliver a backlog and measure it."""
    with redis_server() as broker:
        client: Any = redis.Redis.from_url(broker)
        with producers(broker, count, users) as running:
            publish(running)
        cpu = cpu_of_redis(client)
        with relay(broker, **settings) as pid:
            wait_until_led(client)
            began, busy = time.monotonic(), cpu_of(pid)
            wait_until_empty(client, pid)
            took, busy, cpu = time.monotonic() - began, cpu_of(pid) - busy, cpu_of_redis(client) - cpu
    row(title, count / took, f"CPU µs/event: relay {busy / count * 1e6:.0f}, Redis {cpu / count * 1e6:.0f}")


def stages(count: int) -> None:
    """Measure the throughput of each stage separately, with a write key."""
    print()
    capture_and_publish(count, "everysec")
    capture_and_publish(count, "always")
    for latency, users, who in (
        (0.0, USERS, f"{PRODUCERS * USERS} users"),
        (0.3, USERS, f"{PRODUCERS * USERS} users"),
        (0.3, count, "each of another user"),
        (1.0, USERS, f"{PRODUCERS * USERS} users"),
        (1.0, count, "each of another user"),
    ):
        with server(latency) as url:
            deliver(f"relay to batches, {latency:g} s each, {who}", count, users, batches(url))


def rest(count: int) -> None:
    """Measure a relay's throughput with the REST API: without a limit, and with the API's limit."""
    with python_server() as url:
        deliver("relay to REST, no limit", count // 5, USERS, single(url))
    with redis_server() as broker, python_server(limit=LIMIT) as url:
        client: Any = redis.Redis.from_url(broker)
        with producers(broker, 6 * LIMIT) as running:
            publish(running)
        with relay(broker, **single(url)):
            wait_until_led(client)
            time.sleep(30)  # the first minute's calls have been sent at once
            before = client.xlen(STREAM)
            time.sleep(120)
            row(f"relay to REST, {LIMIT:,} a minute", (before - client.xlen(STREAM)) / 120)


def main() -> int:
    """Measure, print, and return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--rest", action="store_true")
    options = parser.parse_args()
    if shutil.which("redis-server") is None:
        raise SystemExit("needs redis-server")
    print(f"Python {platform.python_version()}, redis-py {version('redis')}, {os.cpu_count()} cores\n")
    met = together(options.events)
    if options.stages:
        stages(options.events)
    if options.rest:
        rest(options.events)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
