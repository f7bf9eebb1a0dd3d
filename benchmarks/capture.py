"""What one tracked call costs on the app's thread, compared with a bare wrapt call and the floor.

    python -m benchmarks.capture

The floor is a prototype that does what any such library must (a wrapper, the context, the clock, the active
span, a limit check, a process check, an exception guard, a tuple in a deque) and nothing more. The figure to
quote is (ours - bare wrapt) / (floor - bare wrapt) of one run: absolute times depend on the machine.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any

import wrapt
from opentelemetry import trace

import journy_track
from journy_track._model.outcomes import Delivered, Response
from journy_track._transport.rest import HttpTransport

ROUNDS, BURSTS, CALLS = 7, 25, 200


def bare() -> Callable[[], None]:
    """Return a wrapt call that does nothing."""

    @wrapt.decorator
    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    @wrapper
    def call() -> None: ...

    return call


def floor() -> Callable[[], None]:
    """Return a call that does the minimum of such a library."""
    current: ContextVar[Any] = ContextVar("current")
    current.set(("u1", "acme", {"plan": "pro"}))
    items: deque[Any] = deque()
    errors: list[Exception] = []
    limit, pid = 10_000_000, os.getpid()
    append, get, now, getpid, span_now = items.append, current.get, time.time, os.getpid, trace.get_current_span

    @wrapt.decorator
    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        try:
            if len(items) < limit and getpid() == pid:
                append(("event", get(), now(), span_now().get_span_context(), None))
        except Exception as error:  # noqa: BLE001 - the guard is part of the floor
            errors.append(error)
        return result

    @wrapper
    def call() -> None: ...

    return call


def ours() -> Callable[[], None]:
    """Return a `@track_event` function."""

    @journy_track.track_event("benchmarked")
    def call() -> None: ...

    return call


def measure(call: Callable[[], None]) -> float:
    """Return nanoseconds per call: the median of short bursts, with pauses in which a worker can catch up."""
    figures = []
    for _ in range(BURSTS):
        start = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        figures.append((time.perf_counter_ns() - start) / CALLS)
        time.sleep(0.02)
    return statistics.median(figures)


def main() -> None:
    """Measure and print the table."""
    # Delivery is switched off, as for every peer in such a comparison: this measures capture only.
    HttpTransport.send = lambda *_, **__: Delivered(Response(201))  # type: ignore[method-assign]
    journy_track.configure("benchmark-key", base_url="http://127.0.0.1:9", queue_size=10_000_000)
    span = trace.NonRecordingSpan(trace.SpanContext(1 << 100, 1 << 50, is_remote=False))
    calls = {"bare wrapt": bare(), "floor": floor(), "ours": ours()}
    print(f"Python {sys.version.split()[0]}, wrapt {version('wrapt')}; ns a call, median of {ROUNDS} rounds")
    with journy_track.user("u1"), journy_track.account("acme"), journy_track.metadata(plan="pro"):
        for title, context in (("no span", trace.INVALID_SPAN), ("in a span", span)):
            with trace.use_span(context):
                rounds = [{name: measure(call) for name, call in calls.items()} for _ in range(ROUNDS)]
            for name in calls:
                show(f"{title:10} {name}", [figures[name] for figures in rounds], 0)
            ratios = [(r["ours"] - r["bare wrapt"]) / (r["floor"] - r["bare wrapt"]) for r in rounds]
            show(f"{title:10} ratio", ratios, 2)


def show(title: str, figures: list[float], digits: int) -> None:
    """Print one row: the median and the spread."""
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    print(f"{title:22} {middle:8.{digits}f} [{low:.{digits}f}-{high:.{digits}f}]")


if __name__ == "__main__":
    main()
