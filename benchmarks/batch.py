"""Batches under a write key: requests, time and order of 10 000 events, and CPU compared with two peers that batch.

    python -m benchmarks.batch [EVENTS]

Each client sends to a local Python server in a separate process, round after round in changing order. Prints the
medians, and the ratios round by round. *from first to last* is the time from the first capture to the last response.
The targets: at most 105 requests and 3 s, in order per user, and at most 0.7 of each peer's CPU. Peers that are not
installed are left out: `pip install segment-analytics-python posthog`.
"""

from __future__ import annotations

import importlib.util
import json
import random
import statistics
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

EVENTS, USERS, ROUNDS = 10_000, 100, 7
MAX_REQUESTS, MAX_SECONDS, MAX_CPU = 105, 3.0, 0.7
#: The module and the package name of each peer.
PEERS = {"segment": ("segment", "segment-analytics-python"), "posthog": ("posthog", "posthog")}


class Server(BaseHTTPRequestHandler):
    """Accepts batches and keeps them unparsed: they are examined at the end."""

    protocol_version = "HTTP/1.1"
    #: When each request arrived, its body, and whether the body is compressed.
    came: ClassVar[list[tuple[float, bytes, bool]]] = []
    #: Seconds before each response.
    latency: ClassVar[float] = 0.0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.came.append((time.monotonic(), body, self.headers.get("Content-Encoding") == "gzip"))
        time.sleep(self.latency)
        answer = b'{"success": true, "status": "Ok"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def server(latency: float = 0.0) -> Iterator[str]:
    """Yield the URL of a server that accepts batches and responds to each after *latency* seconds."""
    Server.came.clear()
    Server.latency = latency
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


# ── In a separate process ──


def ours(url: str, count: int) -> tuple[Callable[[str, int], object], Callable[[], object]]:
    import journy_track

    journy_track.configure(write_key="benchmark-key", batch_url=f"{url}/v1/batch", queue_size=count)
    track, flush = journy_track.track, journy_track.flush
    return lambda user, number: track("benchmarked", user=user, plan="pro", number=number), lambda: flush(60)


def segment(url: str, count: int) -> tuple[Callable[[str, int], object], Callable[[], object]]:
    from segment.analytics.client import Client  # type: ignore[import-untyped,import-not-found,unused-ignore]

    client = Client("benchmark-key", host=url, max_queue_size=count)
    return (
        lambda user, number: client.track(user, "benchmarked", {"plan": "pro", "number": number}),
        client.flush,
    )


def posthog(url: str, count: int) -> tuple[Callable[[str, int], object], Callable[[], object]]:
    from posthog import Posthog  # type: ignore[import-not-found,unused-ignore]

    client: Any = Posthog("benchmark-key", host=url, max_queue_size=count, disable_geoip=False)
    return (
        lambda user, number: client.capture(
            "benchmarked", distinct_id=user, properties={"plan": "pro", "number": number}
        ),
        client.flush,
    )


SENDERS = {"ours": ours, "segment": segment, "posthog": posthog}


def measure(name: str, url: str, count: int) -> None:
    """Capture and deliver *count* events; print when that began, and the CPU used."""
    capture, flush = SENDERS[name](url, count)
    capture("warm", -1)  # starts its threads, opens its connection, and triggers late imports
    flush()
    users = [f"u{number % USERS}" for number in range(count)]
    began, cpu = time.monotonic(), time.process_time()
    for number, user in enumerate(users):
        capture(user, number)
    captured = time.monotonic()
    flush()
    figures = {"began": began, "captured": captured - began, "cpu": time.process_time() - cpu}
    print(json.dumps(figures | {"ended": time.monotonic()}))


# ── What came ──


def events() -> Iterator[tuple[str, int]]:
    """Yield the user and number of each event, in order of arrival."""
    for _, body, packed in sorted(Server.came):
        for message in json.loads(zlib.decompress(body, 31) if packed else body)["batch"]:
            properties = message["properties"]
            if properties["number"] >= 0:
                yield message.get("userId") or message["distinct_id"], properties["number"]


def in_order(came: list[tuple[str, int]]) -> bool:
    """Whether each user's events arrived in the order of their numbers."""
    latest: dict[str, int] = {}
    for user, number in came:
        if number <= latest.get(user, -1):
            return False
        latest[user] = number
    return True


def ran(name: str, count: int) -> dict[str, float]:
    """Run one measurement."""
    with server() as url:
        command = [sys.executable, "-m", "benchmarks.batch", "--measure", name, url, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    came = list(events())
    return {
        "cpu": figures["cpu"] / count * 1e6,
        "seconds": max(at for at, _, _ in Server.came) - figures["began"],
        "all": figures["ended"] - figures["began"],
        "requests": len(Server.came) - 1,  # without the first event's
        "arrived": len(came),
        "different": len(set(came)),
        "in order": float(in_order(came)),
    }


def main(count: int) -> int:
    """Measure, print, and return 1 if a target is missed."""
    names = ["ours", *(name for name, (module, _) in PEERS.items() if importlib.util.find_spec(module))]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in random.sample(names, len(names)):
            found[name].append(ran(name, count))
    print(f"{count:,} events of {USERS} users, {ROUNDS} rounds, medians; Python {sys.version.split()[0]}\n")
    print(f"{'':28}{'CPU µs/event':>14}{'first to last':>15}{'requests':>10}{'arrived':>9}{'in order':>10}")
    for name, rounds in found.items():
        middle = {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
        title = "journy_track, a write key" if name == "ours" else PEERS[name][1]
        ordered = "yes" if all(figures["in order"] for figures in rounds) else "no"
        print(
            f"{title:28}{middle['cpu']:14.1f}{middle['seconds']:13.2f} s{middle['requests']:10.0f}"
            f"{middle['arrived']:9.0f}{ordered:>10}"
        )
    own = found["ours"]
    goals = {
        f"requests ≤ {MAX_REQUESTS}": max(figures["requests"] for figures in own) <= MAX_REQUESTS,
        f"last response ≤ {MAX_SECONDS:g} s after the first capture": max(f["all"] for f in own) <= MAX_SECONDS,
        "each arrived once": all(f["arrived"] == f["different"] == count for f in own),
        "in order per user": all(figures["in order"] for figures in own),
    }
    for name in names[1:]:
        ratios = [mine["cpu"] / theirs["cpu"] for mine, theirs in zip(own, found[name], strict=True)]
        ratio = statistics.median(ratios)
        goals[f"CPU ≤ {MAX_CPU} of {PEERS[name][1]}'s: {ratio:.2f}"] = ratio <= MAX_CPU
    print()
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")
    for name in PEERS.keys() - found.keys():
        print(f"left out: {PEERS[name][1]} is not installed")
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS))
