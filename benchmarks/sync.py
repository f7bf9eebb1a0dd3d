"""A daily sync of every account: what it sends, what a kill costs, its memory, and what it leaves to the app.

    python -m benchmarks.sync

- In simulated time, a key with 1 800 requests per minute: 12 000 accounts, and 240 changed accounts the next day. The
  library's own code runs, except for clock, threads and network: one connection with round trips of 20-60 ms.
- In simulated time, an app alongside the sync: events at random, a pacer for each of the two, and the events' delay.
- Real processes and sockets, a local journy.io without a limit: batches; killed half-way and run again; memory.

Takes four minutes. Not a test: nothing here asserts. `tests/test_benchmarks_sync.py` checks some of it.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import journy_track
from benchmarks._simulation import LIMIT, Simulation
from benchmarks.savings import Connection, Turns
from benchmarks.situations import Scene
from journy_track import Report
from journy_track._bulk.block import Bulk
from journy_track._delivery.budget import Budget
from journy_track._delivery.pacing import Pacer
from journy_track._delivery.pipeline import Pipeline
from journy_track._model.config import Config
from journy_track._state.sqlite import SqliteDigests
from journy_track._sync.rows import ACCOUNTS, calls_of
from journy_track._sync.tracker import SyncTracker
from journy_track.inspector import Inspector

ACCOUNTS_COUNT, CHANGED, SHARE, SEED = 12_000, 240, 0.5, 1
KEY = "benchmark-key-0123456789"
Row = tuple[str, Mapping[str, object]]


def accounts(count: int, changed: int = 0) -> Iterator[Row]:
    """Yield *count* rows, of which the first *changed* have changed."""
    for number in range(count):
        yield f"a{number}", {"plan": "free" if number < changed else "pro", "seats": number % 50, "mrr": number * 1.5}


# ── Simulated: the sync alone ──


class SimulatedTracker(SyncTracker):
    """A sync's tracker whose waiting advances simulated time."""

    def __init__(self, state: Path, share: float) -> None:
        self.simulation = Simulation()
        self.connection = Connection(self.simulation, random.Random(SEED), LIMIT)
        config = Config.load(KEY, {"base_url": "http://127.0.0.1:1"}, environ={})
        month = timedelta(days=30).total_seconds()
        super().__init__(config, SqliteDigests(state), share=share, max_age=month, dry_run=False)

    def _made(self) -> Pipeline:
        clock = self.simulation.clock
        pacer = Pacer(clock, random.Random(SEED).uniform, share=self.config.share, bulk=True)
        pipeline = Pipeline(
            self.config,
            clock=clock,
            transport=self.connection,
            budget=Budget(pacer, clock),
            digests=self._digests,
            inline=True,
        )
        self.turns = Turns(self.simulation, pipeline)
        return pipeline

    def flush(self, timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
        """Let a second pass."""
        self.turns.turn()
        self.simulation.run(self.simulation.now + 1.0)
        return not self._pipeline().has_waiting


@dataclass(frozen=True)
class Result:
    """The result of one sync: its report, what the server counted, and the minutes it took."""

    report: Report
    accepted: int
    refused: int
    minutes: float


def simulated(state: Path, count: int = ACCOUNTS_COUNT, changed: int = 0, share: float = SHARE) -> Result:
    """Sync *count* accounts in simulated time."""
    tracker = SimulatedTracker(state, share)
    with Bulk(lambda: tracker, math.inf, "sync") as job:
        for properties, whose in calls_of(accounts(count, changed), ACCOUNTS):
            tracker.upsert_account(properties, **whose)
    tracker.leave()
    connection = tracker.connection
    return Result(job.report, connection.accepted, connection.refused, tracker.simulation.now / 60)


def delay_beside(events_a_second: float, share: float = SHARE, minutes: float = 15.0) -> tuple[float, float, int]:
    """Return the median and 99th percentile of an app's event delay during a sync, in seconds, and the refusals."""
    scene = Scene(SEED)
    sync = scene.process(bulk=True, share=share)
    app = scene.process()
    scene.simulation.plan(0.0, sync.never_rest)
    scene.poisson(app, events_a_second)
    scene.run(minutes * 60)
    delays = scene.delays(processes=[app])
    return delays[len(delays) // 2], delays[int(len(delays) * 0.99)], len(app.refused) + len(sync.refused)


# ── Real processes ──

PROGRAM = """
import sys, tracemalloc
import journy_track
from benchmarks.sync import accounts
key, url, state, count, changed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
journy_track.configure(**{key: "benchmark-key-0123456789"}, base_url=url)
tracemalloc.start() if "memory" in sys.argv else None
report = journy_track.sync_accounts(accounts(count, changed), state=state, share=1.0)
peak = tracemalloc.get_traced_memory()[1] if "memory" in sys.argv else 0
print(report.delivered, report.unchanged, round(report.seconds, 1), peak)
"""


def start(
    url: str, state: Path, *, count: int, changed: int = 0, key: str = "api_key", memory: bool = False
) -> subprocess.Popen[str]:
    """Start a process that syncs."""
    arguments = [key, url, str(state), str(count), str(changed), *(["memory"] if memory else [])]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)


def run(url: str, state: Path, **options: object) -> list[float]:
    """Run a sync to its end. Returns delivered, unchanged, seconds, and peak memory in bytes."""
    out, _ = start(url, state, **options).communicate()  # type: ignore[arg-type]
    return [float(number) for number in out.split()]


def killed_at_half(api: Inspector, state: Path, count: int) -> tuple[int, int]:
    """Kill a sync once half has arrived, and run it again. Returns how many are missing, and how many came twice."""
    process = start(api.url, state, count=count)
    pause = threading.Event()
    while api.counts.requests < count // 2:
        pause.wait(0.001)
    process.kill()
    process.communicate()
    run(api.url, state, count=count)
    times = Counter(request.json["identification"]["accountId"] for request in api.requests)
    return count - len(times), sum(times.values()) - len(times)


def main() -> None:
    """Measure and print the results."""
    began = time.monotonic()
    print(f"{ACCOUNTS_COUNT:,} accounts, {LIMIT:,} requests a minute, share {SHARE:g} (simulated)")
    print(f"{'':24}{'requests':>10}{'429s':>6}{'dropped':>9}{'unchanged':>11}{'minutes':>9}")
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "simulated.state"
        for title, changed, share in (
            ("the first day", 0, SHARE),
            (f"the next day, {CHANGED} new", CHANGED, SHARE),
        ):
            result = simulated(state, changed=changed, share=share)
            report, dropped = result.report, sum(result.report.dropped.values())
            row = (
                f"{result.accepted:>10,}{result.refused:>6}{dropped:>9}{report.unchanged:>11,}{result.minutes:>9.1f}"
            )
            print(f"{title:24}{row}")
        print(
            f"\nevents of an app while a sync of share {SHARE:g} runs (simulated): seconds from capture to acceptance"
        )
        for rate in (0.5, 2.0, 8.0):
            half, most, refused = delay_beside(rate)
            print(f"{rate:>6g} events a second{'':4}p50 {half:5.2f}   p99 {most:5.2f}   429s {refused}")
        print("\nreal processes, no limit")
        with Inspector(port=0, limit=1_000_000, keep=20_000) as api:
            state = Path(folder) / "batches.state"
            delivered, unchanged, seconds, _ = run(api.url, state, count=ACCOUNTS_COUNT, key="write_key")
            print(f"write key: {delivered:,.0f} accounts in {api.counts.requests} batches, {seconds:.1f} s")
            delivered, unchanged, *_ = run(api.url, state, count=ACCOUNTS_COUNT, changed=CHANGED, key="write_key")
            sent = f"{delivered:,.0f} sent, {unchanged:,.0f} unchanged"
            print(f"the next day: {sent}, {api.counts.requests} batches in all")
            api.reset()
            missing, twice = killed_at_half(api, Path(folder) / "killed.state", ACCOUNTS_COUNT)
            print(f"killed at half and run again: {missing} missing, {twice} came twice (max_connections is 8)")
            for count in (10_000, 100_000):
                *_, seconds, peak = run(
                    api.url, Path(folder) / f"{count}.state", count=count, key="write_key", memory=True
                )
                print(f"{count:>8,} rows: {peak / 1e6:.1f} MB of Python's memory at the peak, {seconds:.1f} s")
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    journy_track.configure(enabled=False)
    main()
