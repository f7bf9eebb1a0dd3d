"""What an item costs with and without a broker: on the app's thread, in the worker, and in the relay.

    python -m benchmarks.broker [--items 3000] [--rounds 5]

Each round runs, in a separate process, direct delivery over HTTP to a local server, then publishing to a local
redis-server, and then a relay that delivers what was published, with an in-process transport that responds at once.
Pacing does not interfere: the servers allow more than any client sends. Needs redis-server.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import redis

from journy_track._delivery.pipeline import mark_internal
from journy_track._model.call import ApiCall
from journy_track._model.config import Config
from journy_track._model.outcomes import Delivered, Outcome, Response
from journy_track._model.secret import Secret
from journy_track._relay.relay import Relay
from journy_track._stores.redis.stream import RelayQueue
from journy_track.inspector import Inspector

PLENTY = 10_000_000
#: What each process runs. Its arguments: settings as JSON, and the number of items.
APP = """
import json, statistics, sys, time
import journy_track

settings, count = json.loads(sys.argv[1]), int(sys.argv[2])
tracker = journy_track.configure("benchmark-key", queue_size=1_000_000, share=1.0, **settings)
journy_track.track("warmed", user="u0")
assert tracker.flush(30)
bursts, began = [], time.process_time() - time.thread_time()
for burst in range(count // 100):
    start = time.perf_counter_ns()
    for number in range(100):
        journy_track.track("benchmarked", user=f"u{number}", plan="pro", amount=number)
    bursts.append((time.perf_counter_ns() - start) / 100_000)
    time.sleep(0.01)
assert tracker.flush(300)
cpu = (time.process_time() - time.thread_time() - began) * 1e6 / count
json.dump({"app": statistics.median(bursts), "worker": cpu}, sys.stdout)
"""


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a separate redis-server with an append-only file, and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", folder]
        process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not _answers(port):
                if time.monotonic() > deadline:
                    raise SystemExit("redis-server does not answer")
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    try:
        return bool(redis.Redis(port=port).ping())
    except redis.RedisError:
        return False


def app(count: int, **settings: object) -> dict[str, float]:
    """Return microseconds per item: on the app's thread (wall), and on all other threads (CPU)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOURNY_")}
    done = subprocess.run(
        [sys.executable, "-c", APP, json.dumps(settings), str(count)], env=kept, capture_output=True, check=True
    )
    return dict(json.loads(done.stdout))


class AtOnce:
    """A transport without a network."""

    def send(self, call: ApiCall, /, timeout: float | None = None) -> Outcome:
        call.body()
        return Delivered(Response(201, calls_limit=PLENTY, calls_remaining=PLENTY))

    def close(self) -> None:
        """Do nothing: nothing is open."""


def relay(broker: str) -> dict[str, float]:
    """Measure how fast a relay empties the broker: items per second, and CPU microseconds per item."""
    config = Config.load("benchmark-key", {"share": 1.0}, environ={})
    made = Relay(RelayQueue(Secret(broker), lease=10), config, AtOnce(), mark_internal=mark_internal)
    client = redis.Redis.from_url(broker)
    stream = made._queue.names.stream
    count = client.xlen(stream)
    began, cpu = time.monotonic(), time.process_time()
    running = threading.Thread(target=made.run)
    running.start()
    while client.xlen(stream):
        time.sleep(0.01)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    made.stop()
    running.join()
    assert made.status().stats.delivered == count
    return {"rate": count / seconds, "cpu": cpu * 1e6 / count}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("redis-server") is None:
        raise SystemExit("needs redis-server")
    rounds: list[dict[str, Any]] = []
    with redis_server() as broker, Inspector(limit=PLENTY) as api:
        for _ in range(options.rounds):
            rounds.append(
                {
                    "direct": app(options.items, base_url=api.url),
                    "broker": app(options.items, broker=broker),
                    "relay": relay(broker),
                }
            )
        server = redis.Redis.from_url(broker).info("server")["redis_version"]
    print(f"Python {platform.python_version()}, redis-py {version('redis')}, Redis {server}, {os.cpu_count()} cores")
    print(f"{options.items} items a round, median of {options.rounds} rounds [least-most]")
    show("app's thread, direct, us an item", rounds, lambda figures: figures["direct"]["app"])
    show("app's thread, broker, us an item", rounds, lambda figures: figures["broker"]["app"])
    show("worker's CPU, direct, us an item", rounds, lambda figures: figures["direct"]["worker"])
    show("worker's CPU, broker, us an item", rounds, lambda figures: figures["broker"]["worker"])
    show("worker's CPU, direct / broker", rounds, lambda f: f["direct"]["worker"] / f["broker"]["worker"])
    show("relay's CPU, us an item", rounds, lambda figures: figures["relay"]["cpu"])
    show("relay, items a second", rounds, lambda figures: figures["relay"]["rate"])


def show(title: str, rounds: list[dict[str, Any]], figure: Callable[[dict[str, Any]], float]) -> None:
    """Print one row: the median and the spread."""
    figures = [figure(one) for one in rounds]
    print(f"{title:34} {statistics.median(figures):8.1f} [{min(figures):.1f}-{max(figures):.1f}]")


if __name__ == "__main__":
    main()
