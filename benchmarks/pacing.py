"""How processes that share one key pace themselves, in simulated time, compared with a naive client.

    python -m benchmarks.pacing [--quick]

K processes with eight connections each, round trips of 50-300 ms (up to 3 s more for one in 500), ten minutes.
Refusals and use are counted after the first two windows; refusals also in the first minute. All K start within 0.2 s.
The naive client sends whenever a connection is free, and backs off with full jitter when refused. Figures are the
worst of all seeds. A wait is the time from the capture of an event until it is first sent.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby

from benchmarks._simulation import (
    LIMIT,
    WINDOW,
    FixedWindow,
    Headers,
    Naive,
    Pace,
    Process,
    Record,
    Server,
    Simulation,
    SlidingCounter,
    SlidingLog,
    as_they_are,
)
from journy_track._delivery.pacing import Pacer

UNTIL, WARM = 600.0, 2 * WINDOW
ENDLESS, HALF, MOST, BURSTS = "endless backlog", "Poisson, 50 %", "Poisson, 90 %", "bursts of 50, 50 %"
SUDDEN, SUDDENLY = "Poisson, 20 %, and at 200 s endless backlog in all at once", 200.0
LOADS = {HALF: (0.5, 1), MOST: (0.9, 1), BURSTS: (0.5, 50), SUDDEN: (0.2, 1)}
QUICK_SEEDS, SEEDS = (1, 2), (1, 2, 3, 11, 12, 13, 14, 15)


# ── Headers that are wrong ──


def none_at_all(now: float, limit: int, remaining: int) -> tuple[int | None, int | None]:
    """Return what a server or proxy without rate headers sends."""
    return None, None


def never_changing(now: float, limit: int, remaining: int) -> tuple[int | None, int | None]:
    """Return a value that was accurate once."""
    return limit, limit * 5 // 6


class Late:
    """Headers that were accurate some seconds ago."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: list[tuple[float, int]] = []
        self._first = 0

    def __call__(self, now: float, limit: int, remaining: int) -> tuple[int | None, int | None]:
        self._seen.append((now, remaining))
        while self._first + 1 < len(self._seen) and self._seen[self._first + 1][0] <= now - self._seconds:
            self._first += 1
        return limit, self._seen[self._first][1]


HEADERS: dict[str, Callable[[], Headers]] = {
    "as they are": lambda: as_they_are,
    "missing": lambda: none_at_all,
    "never changing": lambda: never_changing,
    "2 s late": lambda: Late(2.0),
}


# ── One run ──


@dataclass(frozen=True)
class Case:
    """What is simulated. *share* is the part of the limit given to each process; `None` means it finds out itself."""

    load: str
    server: str
    processes: int
    seed: int = 1
    naive: bool = False
    headers: str = "as they are"
    share: float | None = None
    limit: int = LIMIT
    window: float = WINDOW
    until: float = UNTIL


@dataclass(frozen=True)
class Result:
    """The result: percentages of requests refused and of the budget used, and waits in seconds."""

    refused: float
    used: float
    first_minute: int
    median: float
    slowest: float
    most_in_a_window: int

    def worst(self, other: Result) -> Result:
        """Return the worse of both results, figure by figure."""
        return Result(
            max(self.refused, other.refused),
            min(self.used, other.used),
            max(self.first_minute, other.first_minute),
            max(self.median, other.median),
            max(self.slowest, other.slowest),
            max(self.most_in_a_window, other.most_in_a_window),
        )


def simulate(case: Case) -> Result:
    """Simulate one case. The same case always has the same result."""
    simulation, dice, record = Simulation(), random.Random(case.seed), Record()
    server = _server(case, dice)
    headers = HEADERS[case.headers]()
    processes = []
    for _ in range(case.processes):
        own_dice = random.Random(dice.random())
        pace: Pace = Naive(simulation.clock, own_dice.uniform)
        if not case.naive:
            pace = Pacer(simulation.clock, own_dice.uniform, share=case.share)
        processes.append(Process(simulation, server, pace, own_dice, record, headers=headers))
    for process in processes:
        _load(case, simulation, process, random.Random(dice.random()))
    simulation.run(case.until)
    return _result(case, processes, record)


def _server(case: Case, dice: random.Random) -> Server:
    match case.server:
        case "log":
            return SlidingLog(case.limit, case.window)
        case "counter":
            return SlidingCounter(case.limit)
        case _:
            return FixedWindow(case.limit, offset=dice.uniform(0.0, WINDOW))


def _load(case: Case, simulation: Simulation, process: Process, dice: random.Random) -> None:
    if case.load == ENDLESS:
        simulation.plan(dice.uniform(0.0, 0.2), process.never_rest)
        return
    if case.load == SUDDEN:
        simulation.plan(SUDDENLY, process.never_rest)
    part, size = LOADS[case.load]
    rate = part * case.limit / WINDOW / size / case.processes

    def arrive() -> None:
        process.arrive(size)
        simulation.plan(simulation.now + dice.expovariate(rate), arrive)

    simulation.plan(dice.expovariate(rate), arrive)


def _result(case: Case, processes: list[Process], record: Record) -> Result:
    began, warm = (SUDDENLY, SUDDENLY + WARM) if case.load == SUDDEN else (0.0, WARM)
    counted = [refused for at, refused in record.requests if at >= warm]
    accepted = counted.count(False)
    waits = [wait for arrived, wait in record.waits]
    waits += [case.until - arrived for process in processes for arrived in process.waiting]
    waits.sort()
    return Result(
        refused=100 * counted.count(True) / max(1, len(counted)),
        used=100 * accepted / (case.limit / case.window * (case.until - warm)),
        first_minute=sum(refused for at, refused in record.requests if began <= at < began + WINDOW),
        median=waits[len(waits) // 2] if waits else 0.0,
        slowest=waits[int(len(waits) * 0.99)] if waits else 0.0,
        most_in_a_window=max(most_in_a_window(process.arrivals) for process in processes),
    )


def most_in_a_window(times: list[float]) -> int:
    """Return the largest number of *times*, which this sorts, that fall into any one window."""
    times = sorted(times)
    first = most = 0
    for last, at in enumerate(times):
        while times[first] + WINDOW <= at:
            first += 1
        most = max(most, last - first + 1)
    return most


def lone_burst(size: int, *, naive: bool = False, seed: int = 1, after: float = 0.0) -> float:
    """Return the seconds in which a lone process sends a burst, *after* seconds of one request every two seconds."""
    simulation, dice, record = Simulation(), random.Random(seed), Record()
    pace: Pace = (Naive if naive else Pacer)(simulation.clock, dice.uniform)
    process = Process(simulation, SlidingLog(), pace, dice, record)
    for second in range(0, int(after), 2):
        simulation.plan(float(second), process.arrive)
    simulation.plan(after, lambda: process.arrive(size))
    simulation.run(after + 60.0)
    return process.sent[-1] - after


def scripts(count: int, size: int, *, limit: int = LIMIT, naive: bool = False, seed: int = 1) -> list[float]:
    """Return the seconds in which each of several scripts, run one after another, sends its burst."""
    simulation, dice, server, took = Simulation(), random.Random(seed), SlidingLog(limit), []
    for _ in range(count):
        began = simulation.now
        pace: Pace = (Naive if naive else Pacer)(simulation.clock, dice.uniform)
        process = Process(simulation, server, pace, dice, Record())
        process.arrive(size)
        while process.waiting:
            simulation.run(simulation.now + 0.1)
        simulation.run(simulation.now + 1.0)  # the last responses, and the next script's start
        took.append(process.sent[-1] - began)
    return took


# ── The goals ──

_FEW = "uncoordinated, with so many: an answer in 4 s, while the margin lasts for 3"

_LIES = "where the headers do not tell, only refusals do"


def missed(case: Case, result: Result) -> list[str]:
    """Return in words which goals this result misses."""
    many = case.processes > 32
    goals: list[tuple[str, bool]] = []
    if case.headers != "as they are" or case.window != WINDOW:
        goals += [(f"over 5 % refused: {_LIES}", result.refused <= 5)]
    elif case.load in (ENDLESS, SUDDEN):
        words = "refused in the first minute"
        if case.load == SUDDEN:
            words += ": nobody can see the others start before they have sent"
        goals += [(words, result.first_minute == 0)]
        if case.server == "log":
            goals += [
                (f"over {0.3 if many else 0.1} % refused", result.refused < (0.3 if many else 0.1)),
                (f"under {94 if many else 95} % used", result.used >= (94 if many else 95)),
            ]
        else:
            goals += [(f"over {5 if many else 0.1} % refused", result.refused < (5 if many else 0.1))]
            if many and result.refused >= 0.1:
                goals += [(f"no storm, but over 0.1 %: {_FEW}", False)]
    else:
        goals += [("over 0.1 % refused", result.refused < 0.1)]
        if case.load == HALF:
            goals += [("half the events wait", result.median < 0.001), ("1 % wait over 0.2 s", result.slowest < 0.2)]
        if case.load == BURSTS and case.processes <= 8:
            goals += [("median over 2 s", result.median <= 2), ("p99 over 27 s", result.slowest < 27)]
    return [words for words, met in goals if not met]


# ── The table ──


def cases(*, quick: bool) -> list[Case]:
    """Return all printed cases, in order."""
    counts = (1, 2, 8, 32, 128)
    rows = [Case(ENDLESS, server, count) for server in ("log", "counter", "fixed") for count in counts]
    rows += [Case(load, "log", count) for load in (HALF, MOST, BURSTS) for count in counts]
    if not quick:
        rows += [
            Case(load, server, count) for load in (HALF, MOST) for server in ("counter", "fixed") for count in counts
        ]
    rows += [Case(SUDDEN, "log", count) for count in counts]
    rows += [Case(ENDLESS, "log", count, share=1 / count) for count in (4, 32)]
    rows += [Case(ENDLESS, "log", 8, limit=limit) for limit in (60, 600, 12_000)]
    if not quick:
        rows += [Case(ENDLESS, "log", count, limit=5000, window=3600.0, until=7320.0) for count in (1, 8)]
    for headers in ("missing", "never changing", "2 s late"):
        rows += [Case(ENDLESS, "log", count, headers=headers) for count in ((8, 128) if quick else counts)]
    return [replace(row, until=420.0) for row in rows] if quick else rows


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="two seeds and seven minutes each, in less than a minute"
    )
    quick = parser.parse_args().quick
    seeds = QUICK_SEEDS if quick else SEEDS
    rows = cases(quick=quick)
    began = time.monotonic()
    jobs = [replace(row, seed=seed) for row in rows for seed in seeds]
    naive = [replace(row, seed=seed, naive=True) for row in rows if row.share is None for seed in seeds[:1]]
    with multiprocessing.Pool(2) as pool:
        results = pool.map(simulate, jobs + naive, chunksize=1)
    found = dict(zip(jobs + naive, results, strict=True))

    print(f"Worst of the seeds {seeds}; naive: seed {seeds[0]}. K: processes; 1st min: refusals in the first minute")
    print(f"{'server':8} {'K':>4}  {'429 %':>7} {'used %':>7} {'1st min':>7} {'wait p50/p99 s':>15}", end="")
    print(f"  │ naive: {'429 %':>6} {'1st min':>7} {'p50/p99 s':>12}")
    total = 0
    for title, group in groupby(rows, key=_title):
        print(f"── {title}")
        for row in group:
            worst = found[replace(row, seed=seeds[0])]
            for seed in seeds[1:]:
                worst = worst.worst(found[replace(row, seed=seed)])
            print(_line(row, worst, found.get(replace(row, seed=seeds[0], naive=True))))
            for words in missed(row, worst):
                total += 1
                print(f"         ^ missed: {words}")
    for words, after in (("from the start", 0.0), ("after 70 quiet seconds", 70.0)):
        ours = max(lone_burst(100, seed=seed, after=after) for seed in seeds)
        theirs = max(lone_burst(100, seed=seed, after=after, naive=True) for seed in seeds)
        print(f"a lone burst of 100, {words}: sent within {ours:.1f} s (naive {theirs:.1f} s)")
    ours = max(max(scripts(5, 100, seed=seed)) for seed in seeds)
    theirs = max(max(scripts(5, 100, seed=seed, naive=True)) for seed in seeds)
    print(f"five scripts one after another, a burst of 100 each: within {ours:.1f} s (naive {theirs:.1f} s)")
    print(f"{total} missed; {time.monotonic() - began:.0f} s")


def _title(row: Case) -> str:
    title = row.load
    if row.share is not None:
        title += ", share=1/K"
    if row.limit != LIMIT:
        title += f", limit {row.limit} a minute" if row.window == WINDOW else f", limit {row.limit} an hour"
    if row.headers != "as they are":
        title += f", rate headers {row.headers}"
    return title


def _line(row: Case, ours: Result, naive: Result | None) -> str:
    line = f"{row.server:8} {row.processes:4}  {ours.refused:7.3f} {ours.used:7.1f} {ours.first_minute:7}"
    waits = "" if row.load in (ENDLESS, SUDDEN) else f"{ours.median:.2f}/{ours.slowest:.2f}"
    line += f" {waits:>15}"
    if row.share is not None:
        quota = int(row.share * row.limit)
        return line + f"  │ at most {ours.most_in_a_window} of one process in a window, of {quota}"
    if naive is None:
        return line
    waits = "" if row.load in (ENDLESS, SUDDEN) else f"{naive.median:.2f}/{naive.slowest:.2f}"
    return line + f"  │        {naive.refused:6.2f} {naive.first_minute:7} {waits:>12}"


if __name__ == "__main__":
    main()
