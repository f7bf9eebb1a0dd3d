"""The sections: what is measured in turn, and what each figure is compared with."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks._peers import NOWHERE, PEERS
from benchmarks._report import Figure, Goal, Report, Row
from benchmarks._server import fast_server, nginx, python_server

Rounds = dict[str, list[dict[str, Any]]]

CAPTURE = "Capture: one event on the calling thread"
FLOOR = "Capture: beside a bare wrapt call and the floor"
DELIVERY = "Delivery, back to back"
EXIT_DEAD = "Exit, 1000 events queued, a server that never answers"
WALL = "µs"


class Plan:
    """How often and for how long to measure, and what runs the measurements."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick

    def of(self, quick: Any, full: Any) -> Any:
        """Return the value for this kind of run."""
        return quick if self.quick else full

    def rounds(
        self, report: Report, jobs: dict[str, Iterable[object]], *, most: int, seconds: float, timeout: float = 60
    ) -> Rounds:
        """Run all *jobs* in turn, *most* times or until *seconds* are over, and return each job's figures by round.

        A job that fails is skipped from then on, and listed in the report.
        """
        found: Rounds = {name: [] for name in jobs}
        left, began = dict(jobs), time.monotonic()
        for number in range(most):
            if number and (time.monotonic() - began) * (number + 1) / number > seconds:
                break
            for name in random.sample(list(left), len(left)):
                figures = ask(*left[name], timeout=timeout)
                if isinstance(figures, str):
                    report.failed.append(f"{name}: {figures}")
                    del left[name], found[name]
                else:
                    found[name].append(figures)
        return found


def ask(*arguments: object, timeout: float) -> dict[str, Any] | str:
    """Return one measurement from a fresh process, or the reason why it failed."""
    try:
        done = subprocess.run(
            command(arguments), env=environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures
    except subprocess.TimeoutExpired:
        return f"it took more than {timeout:.0f} s"
    except (IndexError, ValueError):
        return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def command(arguments: Iterable[object]) -> list[str]:
    """Return the command line of a measurement."""
    return [sys.executable, "-m", "benchmarks._measures", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return the environment without the settings of any measured library."""
    ours = ("JOURNY_", "OTEL_", "SENTRY_", "POSTHOG_", "LOGFIRE_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def figure(rounds: Rounds, name: str, key: str, scale: float = 1.0) -> Figure:
    """Return one figure of one job."""
    return Figure.of([figures[key] * scale for figures in rounds[name]])


def ratio(rounds: Rounds, name: str, beside: str, key: str) -> Figure:
    """Return the ratio of two jobs, round by round."""
    pairs = zip(rounds[name], rounds[beside], strict=False)
    return Figure.of([one[key] / other[key] for one, other in pairs])


# ── Capture ──


def capture(plan: Plan, report: Report) -> None:
    """Compare all libraries, in a burst and 1 ms apart, and ours with the floor."""
    with python_server() as url:
        jobs = {name: ("capture", name, url, plan.of(8, 25)) for name in PEERS}
        found = plan.rounds(report, jobs, most=plan.of(3, 9), seconds=plan.of(34, 200))
    rows = []
    for name in sorted(found, key=lambda name: figure(found, name, "wall").median):
        figures = {
            WALL: figure(found, name, "wall", 1e-3),
            "thread CPU µs": figure(found, name, "cpu", 1e-3),
            "µs, 1 ms apart": figure(found, name, "sparse", 1e-3),
        }
        if name != "ours" and "ours" in found:
            times = ratio(found, name, "ours", "wall")
            figures["times ours"] = times
            least = PEERS[name].times
            report.goals.append(Goal(f"burst: {PEERS[name].title} costs more, times ours", times, least=least))
        rows.append(Row(PEERS[name].title, PEERS[name].setup, figures))
    if rows:
        report.tables[CAPTURE] = rows


def floor(plan: Plan, report: Report) -> None:
    """Compare ours with a prototype that does the minimum of such a library, and with a bare wrapt call."""
    found = plan.rounds(
        report,
        {"floor": ("floor", plan.of(8, 25)), "threads": ("threads", plan.of(40_000, 160_000))},
        most=plan.of(3, 9),
        seconds=plan.of(20, 80),
    )
    if found.get("floor"):
        threads = {key: figure(found, "threads", f"{key}_clock") for key in ("floor", "ours") if found.get("threads")}
        report.tables[FLOOR] = [
            Row(
                title,
                setup,
                {column: figure(found, "floor", key + more, 1e-3) for column, more in SPANS.items()}
                | ({"rate of 8 threads / 1": threads[key]} if key in threads else {}),
            )
            for title, key, setup in (
                ("bare wrapt", "bare", "a wrapt decorator that only calls"),
                ("floor", "floor", "a prototype: context, clock, span, limit, process, guard, a tuple in a deque"),
                ("journy_track", "ours", "@track_event, user + account + metadata in context"),
            )
        ]
        for title, key, most in (
            ("(ours − bare wrapt) / (floor − bare wrapt)", "ratio", 1.7),
            ("the same within a span", "ratio_span", 1.7),
            ("calls 1 ms apart, beside its own burst", "apart_ratio", 3.5),
            ("not configured, beside a bare wrapt call", "unconfigured", 1.1),
            ("disabled, beside a bare wrapt call", "disabled", 1.1),
        ):
            report.goals.append(Goal(title, figure(found, "floor", key), most=most))
    if found.get("threads"):
        report.goals.append(
            Goal("8 threads, beside one thread's total rate", figure(found, "threads", "ratio"), least=0.8)
        )


SPANS = {"µs": "", "µs in a span": "_span", "µs, 1 ms apart": "_apart"}


# ── Delivery ──

SENDERS = {
    "ours": ("journy_track", "defaults: requests, up to 8 connections; capture included"),
    "official_sdk": ("official SDK", "Client.add_event, one connection a call"),
    "session": ("requests.Session", "session.post(json=…), kept alive"),
    "http_client": ("http.client", "one connection, kept alive"),
    "raw": ("raw socket", "one connection, kept alive: the floor"),
}


def delivery(plan: Plan, report: Report) -> None:
    """Measure CPU and rate with one request per event, and at 30 events per second."""
    server = "to nginx" if nginx() else "to a Python server, as nginx is not here (it takes more of the machine)"
    with fast_server() as url:
        jobs = {name: ("delivery", name, url, plan.of(400, 1500)) for name in SENDERS}
        found = plan.rounds(report, jobs, most=plan.of(3, 7), seconds=plan.of(15, 80))
        names = ("ours", "session", "official_sdk")
        slow = plan.rounds(
            report,
            {name: ("paced", name, url, plan.of(3, 10)) for name in names},
            most=plan.of(2, 5),
            seconds=plan.of(20, 120),
        )
    rows = []
    for name in found:
        figures = {"CPU µs/event": figure(found, name, "cpu"), "events/s": figure(found, name, "rate")}
        if slow.get(name):
            figures["30/s: CPU %"] = figure(slow, name, "percent")
        rows.append(Row(SENDERS[name][0], SENDERS[name][1], figures, server if name == "ours" else ""))
    if rows:
        report.tables[DELIVERY] = rows
    if found.get("ours") and found.get("official_sdk"):
        report.goals.append(
            Goal(
                "CPU of a delivered event, beside the official SDK's",
                ratio(found, "ours", "official_sdk", "cpu"),
                0.40,
            )
        )
    if slow.get("ours") and slow.get("session"):
        report.goals.append(
            Goal("CPU at 30 events/s, beside a requests.Session loop", ratio(slow, "ours", "session", "percent"), 0.7)
        )


def latency(plan: Plan, report: Report) -> None:
    """Measure the throughput over 8 connections to a server that takes 100 ms."""
    with python_server(latency=0.1) as url:
        jobs = {name: ("latency", name, url, plan.of(150, 500)) for name in ("many", "one")}
        found = plan.rounds(report, jobs, most=plan.of(2, 5), seconds=plan.of(10, 70))
    for name, title in (("many", "in accounts of their own"), ("one", "all in one account")):
        if found.get(name):
            rate = figure(found, name, "rate")
            report.goals.append(Goal(f"events/s at 100 ms, 8 connections, users {title}", rate, least=70))


# ── The app ──

BESIDE = {
    "nothing": ("nothing", "the control: what the machine does by itself"),
    "ours": ("journy_track", "track() in the loop"),
    "session_thread": ("queue + thread", "a thread of one's own with requests.Session"),
    "official_sdk": ("official SDK", "Client.add_event in the loop: it blocks"),
}


def loop(plan: Plan, report: Report) -> None:
    """Run a loop of pure Python, alternately with and without 30 events per second."""
    with fast_server() as url:
        jobs = {name: ("loop", name, url, plan.of(2, 5)) for name in BESIDE}
        found = plan.rounds(report, jobs, most=plan.of(2, 4), seconds=plan.of(22, 110), timeout=120)
    rows = [Row(*BESIDE[name], {"time with / without": figure(found, name, "slowdown")}) for name in found]
    if rows:
        report.tables["A CPU-bound loop that captures 30 events a second"] = rows


def imports(plan: Plan, report: Report) -> None:
    """Measure what importing each library costs."""
    modules = {name: peer.module for name, peer in PEERS.items() if name != "queue_handler"} | REQUIRED
    code = {name: f"import {module}" for name, module in modules.items()} | STEPS
    jobs = {name: ("imports", text) for name, text in code.items()}
    found = plan.rounds(report, jobs, most=plan.of(3, 9), seconds=plan.of(20, 75))
    rows = []
    for name in sorted(found, key=lambda name: figure(found, name, "cpu").median):
        figures = {"CPU ms": figure(found, name, "cpu"), "modules": Figure.of([found[name][0]["modules"]])}
        if name in STEPS:
            rows.append(Row(f"journy_track, {name}", "in all", figures))
            continue
        title = PEERS[name].title if name in PEERS else f"{name} alone, for comparison"
        rows.append(Row(title, code[name], figures))
    if rows:
        report.tables["Import"] = rows
    if found.get("ours") and found.get("official_sdk"):
        report.goals.append(Goal("import, beside journyio.client", ratio(found, "ours", "official_sdk", "cpu"), 0.7))
        loads = Figure.of([float(figures["requests"]) for figures in found["ours"]])
        report.goals.append(Goal("import: whether it loads requests", loads, most=0.0))


_DECORATED = "import journy_track\n@journy_track.track_event('benchmarked')\ndef call(): ...\n"
#: What follows the import. Names are imported on first use, which has a cost.
STEPS = {
    "and a function decorated": _DECORATED,
    "and configured": f"{_DECORATED}journy_track.configure('benchmark-key', base_url='{NOWHERE}')",
}
#: The dependencies of ours, each imported by itself.
REQUIRED = {"wrapt": "wrapt", "requests": "requests", "opentelemetry-api": "opentelemetry.trace"}
#: The libraries with a queue, without Sentry, which holds at most 100 events. Mixpanel and the SDK hold none.
QUEUES = ("queue_handler", "snowplow", "otel_log", "otel_span", "segment", "rudder", "amplitude", "posthog")


def memory(plan: Plan, report: Report) -> None:
    """Measure the bytes of a waiting event. tracemalloc counts exactly, so once is enough."""
    count = plan.of(3000, 10_000)
    jobs: dict[str, Iterable[object]] = {name: ("memory", name, count) for name in QUEUES}
    jobs |= {place: ("memory_of_ours", place, 10_000) for place in ("queue", "outbox")}
    found = plan.rounds(report, jobs, most=1, seconds=60, timeout=120)
    titles = {
        "queue": ("journy_track, queued", "own user, account, metadata and trace IDs each"),
        "outbox": ("journy_track, outbox", "the same, taken by the worker"),
    }
    titles |= {name: (PEERS[name].title, "its server stalled; its batch on the way included") for name in QUEUES}
    rows = [Row(*titles[name], {"bytes": figure(found, name, "bytes")}) for name in titles if found.get(name)]
    if rows:
        report.tables["Memory of an event that waits"] = sorted(rows, key=lambda row: row.figures["bytes"].median)
    for place, most in (("queue", 700), ("outbox", 1500)):
        if found.get(place):
            report.goals.append(
                Goal(f"bytes of an item, {place}, trace IDs", figure(found, place, "bytes"), most=most)
            )


# ── Exit ──

LEAVING = ("ours", "posthog", "sentry", "segment", "otel_span", "rudder")


def exits(plan: Plan, report: Report) -> None:
    """Measure how long a process takes to exit, and what arrives. Waiting costs nothing, so all wait in parallel."""
    cap = plan.of(8.0, 60.0)
    with python_server(hang=True) as url:
        dead = _leave(LEAVING, url, 1000, cap)
    report.tables[EXIT_DEAD] = [
        Row(PEERS[name].title, "defaults", {"exit s": Figure.of([seconds])}, "" if ended else "still there: ended")
        for name, (seconds, ended) in dead.items()
    ]
    report.goals.append(Goal("exit s, server dead (shutdown_timeout 5 s)", Figure.of([dead["ours"][0]]), most=5.5))
    rows = []
    for name in LEAVING:
        figures = {}
        for count in (100, 1000):
            with python_server() as url:
                ((seconds, ended),) = _leave((name,), url, count, cap).values()
                arrived = int(urllib.request.urlopen(f"{url}/marks", timeout=10).read())
            figures |= {f"{count}: exit s": Figure.of([seconds]), f"{count}: arrived": Figure.of([arrived])}
            if name == "ours" and count == 100:
                report.goals.append(Goal("exit, good server, 100 queued: arrived", Figure.of([arrived]), least=100))
        rows.append(Row(PEERS[name].title, "defaults", figures, "" if ended else "still there: ended"))
    report.tables["Exit, a good server"] = rows


def _leave(names: Iterable[str], url: str, count: int, cap: float) -> dict[str, tuple[float, bool]]:
    """Return the seconds from the end of main to the end of the process, and whether it ended within *cap*."""
    running = {
        name: subprocess.Popen(
            command(("leave", name, url, count)),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for name in names
    }
    began, ended = {}, {}
    for name, process in running.items():
        assert process.stdout is not None
        began[name] = json.loads(process.stdout.readline())["at"]
    while len(ended) < len(running) and time.monotonic() < max(began.values()) + cap:
        for name, process in running.items():
            if name not in ended and process.poll() is not None:
                ended[name] = time.monotonic()
        time.sleep(0.01)
    now = time.monotonic()
    for process in running.values():
        process.kill()
        process.wait()
    return {name: (ended.get(name, now) - began[name], name in ended) for name in running}


SECTIONS: dict[str, Callable[[Plan, Report], None]] = {
    "capture": capture,
    "floor": floor,
    "delivery": delivery,
    "latency": latency,
    "loop": loop,
    "import": imports,
    "memory": memory,
    "exit": exits,
}
