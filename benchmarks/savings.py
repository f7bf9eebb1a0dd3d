"""How many calls merging, `skip_unchanged` and `at_most_every` save, in simulated time, using the library's own code.

    python -m benchmarks.savings

One process, a key with 400 calls per minute, 10 minutes of sessions, and then as long as the backlog takes. A session
is a sign-in (an account upsert and one event) and 5 to 15 pages, about ten seconds apart. On each page a middleware
upserts the user with the section of the app they are in, and another one does so on every third page. Four pages in
ten track `viewed`, and two in ten something else: 1.6 calls per page. Load is the number of captured calls relative
to what the key allows in that time.

A tracker's pipeline runs here as in production, except for its clock, its threads and the network: one connection
with round trips of 20-60 ms. Only this file can disable merging, to show what it saves. `skip_unchanged` compares
with what was confirmed, so during a backlog it saves little by itself.
"""

from __future__ import annotations

import math
import multiprocessing
import random
import time
from contextlib import nullcontext
from dataclasses import dataclass
from unittest.mock import patch

import journy_track
from benchmarks._simulation import WINDOW, Simulation, SlidingLog
from journy_track._capture import recorder
from journy_track._capture.recorder import Recorder
from journy_track._delivery import outbox
from journy_track._delivery.budget import Budget
from journy_track._delivery.pacing import Pacer
from journy_track._delivery.pipeline import Pipeline
from journy_track._model.call import ApiCall
from journy_track._model.config import Config
from journy_track._model.numbers import Stats
from journy_track._model.outcomes import Deferred, Delivered, Outcome, Response
from journy_track._verbs import Verbs

LIMIT, MINUTES, SEED = 400, 10.0, 1
LOADS = (0.5, 0.9, 1.2, 2.0)
USERS, PAGES, THINKING = 2000, (5, 15), 10.0
#: Seconds of sessions before counting begins, so that their pages arrive at the steady rate.
WARM = 600.0
ANOTHER_SECTION, VIEWED, ACTED = 1 / 3, 0.4, 0.2
#: Calls per session: two for the sign-in, and those of its pages.
CALLS = 2 + sum(PAGES) / 2 * (1 + VIEWED + ACTED)
SKIP_UNCHANGED, AT_MOST_EVERY = 3600, 60


# ── The app ──


@dataclass(frozen=True)
class Page:
    """One request to the app at a given time in seconds."""

    at: float
    user: int
    section: int
    signed_in: bool
    viewed: bool
    acted: bool

    @property
    def calls(self) -> int:
        """The number of calls it captures."""
        return 1 + 2 * self.signed_in + self.viewed + self.acted


def workload(load: float, seed: int = SEED, minutes: float = MINUTES) -> list[Page]:
    """Return the requests of *minutes* minutes, in order. *load* is captured calls relative to the key's limit."""
    dice = random.Random(seed)
    until, pages, begins = minutes * WINDOW, [], -WARM
    while (begins := begins + dice.expovariate(load * LIMIT / WINDOW / CALLS)) < until:
        user, section, at, first = dice.randrange(USERS), 0, begins, True
        for _ in range(dice.randint(*PAGES)):
            if dice.random() < ANOTHER_SECTION:
                section += 1
            page = Page(at, user, section, first, dice.random() < VIEWED, dice.random() < ACTED)
            if 0 <= at < until:
                pages.append(page)
            at, first = at + dice.expovariate(1 / THINKING), False
    return sorted(pages, key=lambda page: page.at)


class App(Verbs):
    """An app instrumented as the README shows."""

    def __init__(self, recorder: Recorder, every: float | None) -> None:
        self.recorder = recorder
        self._view = self.track_event("viewed", at_most_every=every)(lambda: None)

    def serve(self, page: Page) -> None:
        """Handle one request."""
        with journy_track.user(f"u{page.user}"), journy_track.account(f"a{page.user // 10}"):
            if page.signed_in:
                self.upsert_account(plan="pro", seats=10)
                self.track("signed_in")
            self.upsert_user(full_name=f"User {page.user}", plan="pro", section=page.section)
            if page.viewed:
                self._view()
            if page.acted:
                self.track("created_task", section=page.section)


# ── One run ──


@dataclass(frozen=True)
class Case:
    """What is simulated."""

    load: float
    merging: bool = False
    skip_unchanged: bool = False
    at_most_every: bool = False
    seed: int = SEED
    minutes: float = MINUTES


@dataclass(frozen=True)
class Result:
    """The result: the tracker's final numbers, what the server counted, and the largest backlog."""

    stats: Stats
    accepted: int
    refused: int
    most_waiting: int

    @property
    def saved(self) -> float:
        """Percentage of the captured calls that were not sent."""
        return 100 * (1 - self.accepted / self.stats.captured)


class Connection:
    """Sends calls one after another to a simulated server. Time passes meanwhile, and the app continues."""

    def __init__(self, simulation: Simulation, dice: random.Random, limit: int = LIMIT) -> None:
        self._simulation, self._dice = simulation, dice
        self._server, self._limit = SlidingLog(limit), limit
        self.accepted = self.refused = 0

    def send(self, call: ApiCall, /, timeout: float | None = None) -> Outcome:
        """Simulate one round trip."""
        takes = self._dice.uniform(0.02, 0.06)
        self._simulation.run(self._simulation.now + takes / 2)
        accepted, left = self._server.ask(self._simulation.now)
        self._simulation.run(self._simulation.now + takes / 2)
        self.accepted += accepted
        self.refused += not accepted
        if accepted:
            return Delivered(Response(201, "r", calls_remaining=left, calls_limit=self._limit))
        response = Response(429, "r", calls_remaining=0, calls_limit=self._limit)
        return Deferred("too many requests", ambiguous=False, response=response)

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Turns:
    """Runs the worker's turns when they are due."""

    def __init__(self, simulation: Simulation, pipeline: Pipeline) -> None:
        self._simulation, self._pipeline = simulation, pipeline
        self._turning, self._due = False, math.inf
        self.most_waiting = 0

    def turn(self) -> None:
        """Take what was captured, and send what may be sent, unless a request is in flight."""
        if self._turning:
            self._pipeline.keep_captured()
            self._pipeline.feed.fetch(self._pipeline.dispatcher)
            self._count()
            return
        self._turning = True
        wait = self._pipeline.worker.step()
        self._turning = False
        self._count()
        if wait is not None and (at := self._simulation.now + max(wait, 0.001)) < self._due:
            self._due = at
            self._simulation.plan(at, self._is_due)

    def _count(self) -> None:
        self.most_waiting = max(self.most_waiting, self._pipeline.queue.outside)

    def _is_due(self) -> None:
        if self._simulation.now >= self._due:
            self._due = math.inf
            self.turn()


def simulate(case: Case) -> Result:
    """Simulate one case until everything is settled. The same case always has the same result."""
    simulation, dice = Simulation(), random.Random(case.seed)
    connection = Connection(simulation, dice)
    skip = SKIP_UNCHANGED if case.skip_unchanged else 0
    config = Config.load("a-key", {"skip_unchanged": skip, "queue_size": 100_000, "max_age": 86400}, environ={})
    pipeline = Pipeline(
        config,
        clock=simulation.clock,
        transport=connection,
        budget=Budget(Pacer(simulation.clock, dice.uniform), simulation.clock),
        inline=True,
    )
    turns = Turns(simulation, pipeline)
    app = App(Recorder(config, lambda: pipeline.queue, None), AT_MOST_EVERY if case.at_most_every else None)

    def arrive(page: Page) -> None:
        app.serve(page)
        turns.turn()

    for page in workload(case.load, case.seed, case.minutes):
        simulation.plan(page.at, lambda page=page: arrive(page))
    without = nullcontext() if case.merging else patch.object(outbox, "merge_key", lambda item: None)
    # The clock that timestamps captured items, which at_most_every compares.
    with without, patch.object(recorder, "time", simulation.clock):
        simulation.run(case.minutes * WINDOW)
        while pipeline.ledger.stats().queued:
            simulation.run(simulation.now + WINDOW)
    return Result(pipeline.ledger.stats(), connection.accepted, connection.refused, turns.most_waiting)


# ── The table ──

COLUMNS = {
    "nothing": {},
    "merging": {"merging": True},
    "skip_unchanged": {"skip_unchanged": True},
    "both": {"merging": True, "skip_unchanged": True},
    "at_most_every": {"at_most_every": True},
    "all three": {"merging": True, "skip_unchanged": True, "at_most_every": True},
}


def main() -> None:
    """Simulate and print the table."""
    began = time.monotonic()
    cases = [Case(load, **options) for load in LOADS for options in COLUMNS.values()]
    with multiprocessing.Pool(2) as pool:
        found = dict(zip(cases, pool.map(simulate, cases, chunksize=1), strict=True))
    saving = list(COLUMNS)[1:]
    print(f"{MINUTES:.0f} minutes, {LIMIT} calls a minute allowed; saved: percent of the captured calls not sent")
    print(f"{'load':>6} {'captured':>8} {'sent with':>9}  │ saved by", end="")
    print("".join(f" {name:>14}" for name in saving), " │ most waiting: with nothing, with merging, with all")
    print(f"{'':6} {'':8} {'nothing':>9}")
    for load in LOADS:
        results = {name: found[Case(load, **options)] for name, options in COLUMNS.items()}
        nothing = results["nothing"]
        captured = nothing.stats.captured
        print(f"{captured / (LIMIT * MINUTES):6.0%} {captured:8} {nothing.accepted:9}  │         ", end="")
        print("".join(f" {results[name].saved:12.1f} %" for name in saving), end="  │ ")
        print(", ".join(str(results[name].most_waiting) for name in ("nothing", "merging", "all three")))
    print(f"{sum(result.refused for result in found.values())} refused; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
