"""What a spool costs: on the app's thread, per second written and delivered, and in bytes on disk.

    python -m benchmarks.spool [--processes 1 2 4] [--items 5000] [--folder FOLDER]

All processes share one folder. Delivery includes everything but the network: each request gets a response at once,
with an unlimited budget, so only the disk and the dispatcher limit the delivery rate. The app's thread
is measured in bursts, alternately with and without a spool, with pauses in which the worker catches up; the figure to
quote is the ratio. All processes measure at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from journy_track import Tracker
from journy_track._model.outcomes import Delivered, Response
from journy_track._transport.rest import HttpTransport

ROUNDS, BURST, PAUSE = 60, 100, 0.03
FLUSH = 1000


def main() -> None:
    """Run each number of processes once, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--items", type=int, default=5000, help="a process writes and delivers")
    parser.add_argument("--folder", type=Path, help="where the spool is made, to measure another disk")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child, options.items)
        return
    print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"{options.items} items a process"
    )
    print(f"{'':10}{'all processes, items a second':^36}{'app thread, µs an item':^42}{'bytes on':>10}")
    heads = ("written", "delivered", "in memory")
    print(
        f"{'processes':10}" + "".join(f"{head:>12}" for head in heads) + f"{'memory':>10}{'spool':>10}"
        f"{'ratio':>8}{'[quartiles]':>14}{'disk/item':>10}"
    )
    for count in options.processes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            print(row(count, options.items, Path(folder)), flush=True)


def row(count: int, items: int, folder: Path) -> str:
    """Return one line of the table."""
    command = [sys.executable, "-m", "benchmarks.spool", "--child", str(folder), "--items", str(items)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(count)]

    def together() -> list[dict[str, Any]]:
        told = [json.loads(child.stdout.readline()) for child in children if child.stdout is not None]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        return told

    together()
    capture = together()
    written = together()
    size = sum(path.stat().st_size for path in folder.glob("*.spool")) / (count * items)
    delivered, in_memory = together(), together()
    for child in children:
        child.communicate()
    memory = statistics.median(told["memory"] for told in capture)
    spool = statistics.median(told["spool"] for told in capture)
    ratios = sorted(ratio for told in capture for ratio in told["ratios"])
    low, middle, high = (ratios[len(ratios) * part // 4] for part in (1, 2, 3))
    speeds = [count * items / max(told["seconds"] for told in phase) for phase in (written, delivered, in_memory)]
    return (
        f"{count:<10}" + "".join(f"{speed:>12,.0f}" for speed in speeds) + f"{memory:>10.2f}{spool:>10.2f}"
        f"{middle:>8.2f}{f'[{low:.2f}-{high:.2f}]':>14}{size:>10.0f}"
    )


def child(folder: Path, items: int) -> None:
    """Run one of the processes: it reports the figures of each phase, and waits for the others."""
    outcome = Delivered(Response(201, calls_remaining=10**9, calls_limit=10**9))
    HttpTransport.send = lambda *_, **__: outcome  # type: ignore[method-assign]
    settings: dict[str, Any] = {"base_url": "http://127.0.0.1:9", "queue_size": 1_000_000}
    memory = Tracker("benchmark-key", **settings)
    spool = Tracker("benchmark-key", **settings, spool=folder)
    for tracker in (memory, spool):
        track(tracker, BURST)
        tracker.flush(60, delivered=True)
    meet({})
    meet(on_the_apps_thread(memory, spool))

    dispatcher = spool._pipeline().dispatcher
    dispatcher._stopped = True  # journy.io is down
    began = time.perf_counter()
    for _ in range(items // FLUSH):
        track(spool, FLUSH)
        assert spool.flush(60)
    seconds = time.perf_counter() - began
    for path in folder.glob(f"*-{os.getpid()}-*.spool"):
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
    meet({"seconds": seconds})

    dispatcher._stopped = False
    meet({"seconds": until_delivered(spool)})
    track(memory, items)
    meet({"seconds": until_delivered(memory)})
    spool.shutdown(10)
    memory.shutdown(10)


def on_the_apps_thread(memory: Tracker, spool: Tracker) -> dict[str, Any]:
    """Return microseconds per item, measured alternately with and without a spool."""
    figures: dict[str, list[float]] = {"memory": [], "spool": []}
    for number in range(ROUNDS):
        turns = [("memory", memory), ("spool", spool)]
        for name, tracker in turns if number % 2 else reversed(turns):
            began = time.perf_counter()
            track(tracker, BURST)
            figures[name].append((time.perf_counter() - began) / BURST * 1e6)
            time.sleep(PAUSE)
    ratios = [with_spool / without for with_spool, without in zip(figures["spool"], figures["memory"], strict=True)]
    return {**{name: statistics.median(of_one) for name, of_one in figures.items()}, "ratios": ratios}


def until_delivered(tracker: Tracker) -> float:
    """Return the seconds until everything is delivered."""
    began = time.perf_counter()
    assert tracker.flush(300, delivered=True), tracker.stats()
    return time.perf_counter() - began


def track(tracker: Tracker, count: int) -> None:
    """Capture *count* events, as an app does."""
    for number in range(count):
        tracker.track("created_invoice", user=f"u{number % 50}", account="acme", plan="pro", amount=number)


def meet(told: dict[str, Any]) -> None:
    """Report the figures, and continue when all processes have reported theirs."""
    print(json.dumps(told), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
