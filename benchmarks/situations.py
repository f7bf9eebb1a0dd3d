"""Everyday situations of a key, in simulated time, compared with a perfect scheduler.

    python -m benchmarks.situations [NAME …]

One process alone, a script, a small limit, a slow server, a neighbour that does not pace: takes about two minutes.
Each figure is shown for three seeds. The line below it is the oracle's, for the first seed: a scheduler that sees the
server's log and knows what the neighbour will send, which no real process can.
"""

from __future__ import annotations

import math
import random
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks._simulation import (
    LIMIT,
    WINDOW,
    Neighbour,
    Pace,
    Process,
    Record,
    Simulation,
    SlidingLog,
)
from journy_track._delivery.pacing import Pacer

SEEDS = (1, 2, 3)


def usual(dice: random.Random) -> float:
    """Return about 80 ms."""
    return 0.08 * dice.uniform(0.6, 1.4)


class Scene:
    """A key, and the processes that use it."""

    def __init__(
        self,
        seed: int,
        limit: int = LIMIT,
        *,
        latency: Callable[[random.Random], float] = usual,
        refusing: int = 0,
        perfect: bool = False,
    ) -> None:
        self.simulation, self.dice = Simulation(), random.Random(seed)
        self.server = _Refusing(limit, refusing) if refusing else SlidingLog(limit)
        self.latency = latency
        self.neighbour = Neighbour(self.simulation, self.server)
        self.record = Record()
        self.processes: list[Process] = []
        self._oracle = Oracle(self) if perfect else None

    def process(self, *, yields_to: float = 0.0, **options: object) -> Process:
        """Add a process of ours. The oracle makes it yield to *yields_to* live events per second."""
        dice = random.Random(self.dice.random())
        bulk = bool(options.pop("bulk", False))
        share = options.pop("share", None)
        pace: Pace = Pacer(self.simulation.clock, dice.uniform, share=share, bulk=bulk)  # type: ignore[arg-type]
        if self._oracle is not None:
            pace = OfOracle(self._oracle, yields_to)
        made = Process(
            self.simulation,
            self.server,
            pace,
            dice,
            self.record,
            latency=self.latency,
            **options,  # type: ignore[arg-type]
        )
        self.processes.append(made)
        return made

    def poisson(self, process: Process, rate: float, begin: float = 0.0) -> None:
        """Let events arrive at random, at *rate* per second."""
        dice = random.Random(self.dice.random())

        def arrive() -> None:
            process.arrive()
            self.simulation.plan(self.simulation.now + dice.expovariate(rate), arrive)

        self.simulation.plan(begin + dice.expovariate(rate), arrive)

    def run(self, until: float) -> None:
        """Let time pass until *until*."""
        self.simulation.run(until)

    def refused(self) -> float:
        """Return the percentage of our requests that were refused."""
        mine = self.record.requests
        return 100 * sum(refused for _, refused in mine) / max(1, len(mine))

    def delays(self, begin: float = 0.0, processes: Sequence[Process] | None = None) -> list[float]:
        """Return seconds from capture to acceptance, or until now if still waiting, for captures from *begin* on."""
        found = []
        for process in self.processes if processes is None else processes:
            found += [at - arrived for arrived, at in process.accepted if arrived >= begin]
            found += [self.simulation.now - arrived for arrived in process.waiting if arrived >= begin]
        return sorted(found)

    def rate(self, begin: float, end: float) -> float:
        """Return our accepted requests per second."""
        return sum(begin <= at < end for p in self.processes for _, at in p.accepted) / (end - begin)

    def neighbours_worst_minute(self) -> float:
        """Return the percentage of the neighbour's requests that were refused, in its worst minute."""
        worst = 0.0
        for minute in range(int(self.simulation.now // WINDOW)):
            begin, end = minute * WINDOW, (minute + 1) * WINDOW
            no = sum(begin <= at < end for at in self.neighbour.refused)
            yes = sum(begin <= at < end for at in self.neighbour.accepted)
            worst = max(worst, 100 * no / max(1, no + yes))
        return worst


class _Refusing(SlidingLog):
    """Refuses the first *count* requests, whatever is left of the limit."""

    def __init__(self, limit: int, count: int) -> None:
        super().__init__(limit)
        self._left = count

    def ask(self, now: float) -> tuple[bool, int]:
        if self._left:
            self._left -= 1
            return False, 0
        return super().ask(now)


class Oracle:
    """Sees the server's log, and knows what the neighbour will send."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.in_flight = 0

    def ready_at(self, yields_to: float) -> float:
        """Return now if the coming minute still has room for the neighbour and *yields_to* live events per second."""
        now, server = self._scene.simulation.now, self._scene.server
        accepted = server.accepted(now)
        neighbour = self._scene.neighbour
        kept = neighbour.rate if neighbour.rate * WINDOW < server.limit else 0.0  # otherwise nothing is reserved
        theirs = len(neighbour.accepted) - bisect_right(neighbour.accepted, now - WINDOW)
        free = server.limit - len(accepted) - self.in_flight
        kept_free = WINDOW * (kept + yields_to) - (theirs if kept else 0)
        if free > max(0.0, kept_free):
            return now
        return max(now + 0.05, accepted[0] + WINDOW) if not kept_free and accepted else now + 0.1


class OfOracle:
    """The pace of one process that follows the oracle."""

    def __init__(self, oracle: Oracle, yields_to: float) -> None:
        self._oracle, self._yields_to = oracle, yields_to

    def ready_at(self, in_flight: int) -> float:
        return self._oracle.ready_at(self._yields_to)

    def sent(self) -> None:
        self._oracle.in_flight += 1

    def answered(
        self, *, limit: int | None, remaining: int | None, refused: bool = False, retry_after: float | None = None
    ) -> None:
        self._oracle.in_flight -= 1


def at(sorted_values: list[float], part: float) -> float:
    """Return a percentile."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * part))] if sorted_values else math.nan


# ── The situations: each returns its figures ──

Figures = dict[str, float]


class Run(Protocol):
    """One situation, which returns its figures."""

    def __call__(self, seed: int, *, perfect: bool = False) -> Figures: ...


def alone(size: int, **options: object) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, **options, perfect=perfect)  # type: ignore[arg-type]
        scene.process().arrive(size)
        scene.run(120.0)
        return {"seconds": max(scene.delays()), "refused": len(scene.processes[0].refused)}

    return run


def after_refusals(count: int, retry_after: float | None) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, refusing=count, perfect=perfect)
        scene.process(retry_after=retry_after).arrive(40)
        scene.run(120.0)
        return {"seconds": max(scene.delays())}

    return run


def no_headers(seed: int, *, perfect: bool = False) -> Figures:
    scene = Scene(seed, perfect=perfect)
    scene.process(headers=lambda now, limit, remaining: (None, None)).arrive(300)
    scene.run(600.0)
    return {"seconds": max(scene.delays()), "most in a second": _most_in_a_second(scene)}


def _most_in_a_second(scene: Scene) -> int:
    seconds: dict[int, int] = {}
    for when in scene.processes[0].arrivals:
        seconds[int(when)] = seconds.get(int(when), 0) + 1
    return max(seconds.values())


def slow(seconds: float) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, latency=lambda dice: seconds, perfect=perfect)
        scene.process().arrive(2000)
        scene.run(150.0)
        begun = sum(at < 28 - seconds / 2 for at in scene.processes[0].arrivals)
        return {"part of connections/latency": scene.rate(30, 150) / (8 / seconds), "in 30 s": begun}

    return run


def beside(neighbour: float, processes: int, rate: float, until: float = 600.0, begin: float = 0.0) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, perfect=perfect)
        scene.neighbour.send(neighbour, 0.0, until)
        for _ in range(processes):
            scene.poisson(scene.process(), rate, begin)
        scene.run(until)
        delays = scene.delays(begin + 120.0)
        return {
            "a second": scene.rate(begin + 120, until),
            "a second, before": scene.rate(begin, begin + 120),
            "p50": at(delays, 0.5),
            "p99": at(delays, 0.99),
            "refused %": scene.refused(),
            "neighbour refused, worst minute %": scene.neighbours_worst_minute(),
        }

    return run


def endless_beside(neighbour: float, processes: int, until: float = 480.0, begin: float = 100.0) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, perfect=perfect)
        scene.neighbour.send(neighbour, 0.0, until)
        for _ in range(processes):
            scene.simulation.plan(begin + scene.dice.random(), scene.process().never_rest)
        scene.run(until)
        return {
            "a second": scene.rate(begin + 80, until),
            "refused %": scene.refused(),
            "neighbour refused, worst minute %": scene.neighbours_worst_minute(),
        }

    return run


def after_the_neighbour(processes: int) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, perfect=perfect)
        scene.neighbour.send(28.0, 0.0, 230.0)
        for _ in range(processes):
            process = scene.process()
            scene.poisson(process, 2.0)
            scene.simulation.plan(200.0, lambda process=process: process.arrive(3600 // processes))
        scene.run(300.0)
        return {"used in the minute %": 100 * scene.rate(230, 290) * 60 / LIMIT, "refused %": scene.refused()}

    return run


def fleet(seed: int, *, perfect: bool = False) -> Figures:
    scene = Scene(seed, perfect=perfect)
    for _ in range(8):
        scene.poisson(scene.process(), 27 / 8)
    scene.run(120.0)
    medians = [at(scene.delays(0.0, [process]), 0.5) for process in scene.processes]
    delays = scene.delays()
    return {
        "first minute a second": scene.rate(0, 60),
        "p99": at(delays, 0.99),
        "worst process p50": max(medians),
        "refused %": scene.refused(),
    }


def scripts(limit: int) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, limit, perfect=perfect)
        for number in range(60):
            script = scene.process()
            scene.simulation.plan(number / 6, lambda script=script: script.arrive(20))
        scene.run(900.0)
        delays = scene.delays()
        late = sum(delay > 5 for delay in delays)
        return {"slowest": delays[-1], "late %": 100 * late / len(delays), "refused %": scene.refused()}

    return run


def low(limit: int, processes: int) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, limit, perfect=perfect)
        for _ in range(processes):
            scene.simulation.plan(scene.dice.uniform(0, 5), scene.process().never_rest)
        scene.run(600.0)
        requests = scene.record.requests
        early = [refused for at, refused in requests if at < 60]
        return {
            "refused %": scene.refused(),
            "first minute refused %": 100 * sum(early) / len(early),
            "used %": 100 * scene.rate(120, 600) * 60 / limit,
        }

    return run


def three_scripts(seed: int, *, perfect: bool = False) -> Figures:
    scene = Scene(seed, 60, perfect=perfect)
    for number in range(3):
        script = scene.process()
        scene.simulation.plan(number * 3.0, lambda script=script: script.arrive(4))
    scene.run(120.0)
    return {"slowest": scene.delays()[-1], "refused": scene.refused()}


def nightly(**options: object) -> Run:
    def run(seed: int, *, perfect: bool = False) -> Figures:
        scene = Scene(seed, perfect=perfect)
        web = [scene.process() for _ in range(2)]
        for process in web:
            scene.poisson(process, 2.5)
        script = scene.process(yields_to=5.0, **options)
        scene.simulation.plan(60.0, lambda: script.arrive(5000))
        scene.run(360.0)
        return {
            "web p99": at(scene.delays(60.0, web), 0.99),
            "web max": scene.delays(60.0, web)[-1],
            "nightly in 5 min": len(script.accepted),
            "refused %": scene.refused(),
        }

    return run


@dataclass(frozen=True)
class Situation:
    """One row: what runs, and what is expected."""

    name: str
    run: Run
    must: str


SITUATIONS = [
    Situation("alone 300", alone(300), "5 s"),
    Situation("alone 1000", alone(1000), "12 s"),
    Situation("alone 1500", alone(1500), "50 s"),
    Situation("one 429", after_refusals(1, None), "6 s"),
    Situation("two 429 with Retry-After 1", after_refusals(2, 1.0), "12 s"),
    Situation("no headers", no_headers, "20 s, 30 a second"),
    Situation("slow 2.2", slow(2.2), "0.9; 90"),
    Situation("slow 3", slow(3.0), "0.9"),
    Situation("neighbour 28, 1.5", beside(28, 1, 1.5), "1.4, p99 10"),
    Situation("neighbour 28, 1.5 comes later", beside(28, 1, 1.5, begin=100.0), "(1.4)"),
    Situation("neighbour 25, 1.5 comes later", beside(25, 1, 1.5, begin=100.0), "1.4"),
    Situation("neighbour 20, 4 x 2", beside(20, 4, 2.0), "p99 5"),
    Situation("neighbour 40, 2", beside(40, 1, 2.0), "0.71, 10 %"),
    Situation("neighbour 40, 4 x 2", beside(40, 4, 2.0), "2.5, 10 %"),
    Situation("neighbour stops, 1", after_the_neighbour(1), "80"),
    Situation("neighbour stops, 4", after_the_neighbour(4), "80"),
    Situation("endless beside 10, 1", endless_beside(10, 1), "1 %"),
    Situation("endless beside 10, 8", endless_beside(10, 8), "1 %"),
    Situation("endless beside 20, 4", endless_beside(20, 4), "1 %"),
    Situation("endless beside 28, 4", endless_beside(28, 4), "1 %"),
    Situation("fleet of 8", fleet, "27, p99 2"),
    Situation("60 scripts, 1800", scripts(1800), "5 s"),
    Situation("60 scripts, 600", scripts(600), ""),
    Situation("60 scripts, 120", scripts(120), ""),
    Situation("60 at 120", low(120, 60), "1 %"),
    Situation("30 at 60", low(60, 30), "1 %"),
    Situation("128 at 600", low(600, 128), "1 %"),
    Situation("three scripts, 60", three_scripts, "3 s"),
    Situation("nightly", nightly(), "(1 s)"),
    Situation("nightly share", nightly(share=0.5), "1 s"),
    Situation("nightly bulk", nightly(bulk=True), "1 s"),
]


def main() -> None:
    """Run the situations and print the table."""
    wanted = sys.argv[1:]
    for situation in SITUATIONS:
        if wanted and not any(word in situation.name for word in wanted):
            continue
        found = [situation.run(seed) for seed in SEEDS]
        text = "; ".join(f"{name} " + "/".join(f"{figures[name]:.4g}" for figures in found) for name in found[0])
        print(f"{situation.name:28} must: {situation.must:18} {text}", flush=True)
        best = situation.run(SEEDS[0], perfect=True)
        text = "; ".join(f"{name} {figure:.4g}" for name, figure in best.items())
        print(f"{'':28} {'':>10}oracle:        {text}", flush=True)


if __name__ == "__main__":
    main()
