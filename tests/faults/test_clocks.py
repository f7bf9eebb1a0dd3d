"""Clocks that jump or stop: delivery does not stall or flood, and each event keeps the time of its capture."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import journy_track
from journy_track import HttpResponse
from journy_track._capture import recorder
from journy_track._transport import rest

from ..delivery.wire import sent, settle, turn, warmed

START = datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def wall(monkeypatch):
    """The wall clock, wherever this library reads it. Tests set `wall.now`."""

    class Wall:
        now = START

        def __call__(self) -> float:
            return self.now

    made = Wall()
    monkeypatch.setattr(recorder, "time", made)
    monkeypatch.setattr(rest, "time", made)
    return made


JUMPS = [3600.0, -3600.0, 10 * 365 * 86400.0, -START + 1]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_wall_clock_that_jumps_neither_stalls_nor_floods_and_gives_nothing_up(desk, wall, jump):
    # Catches: a wait, an age or a window measured with time.time().
    made = warmed(desk, *[503] * 3, max_age=600)
    made.track("before", user="u1")
    turn(made)
    wall.now += jump
    made.track("after", user="u2")
    turn(made)
    assert sent(made) == ["before u1", "after u2"], "neither waits for the other's clock"
    began = made.clock.now
    settle(made)
    stats = made.ledger.stats()
    assert (stats.delivered, stats.given_up, stats.retried) == (3, 0, 3)
    assert made.clock.now - began < 30


@pytest.mark.parametrize("jump", JUMPS)
def test_each_event_keeps_the_time_that_the_clock_said_when_it_was_captured(desk, wall, jump):
    # Catches: triggered_at set at the time of sending, or from the monotonic clock.
    made = warmed(desk, 503)
    made.track("before", user="u1")
    turn(made)
    wall.now += jump
    made.track("after", user="u2")
    settle(made)
    for request in made.script.requests:
        at = START if b'"before"' in request.body else START + jump
        said = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)).isoformat(timespec="milliseconds")
        assert said.replace("+00:00", "Z").encode() in request.body


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_retry_after_that_is_a_date_is_bounded_whatever_our_clock_says(desk, wall, jump):
    # Catches: trusting the Date header: two hours without requests because this machine's clock is behind.
    wall.now += jump
    headers = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "0"}
    date = "Wed, 01 May 2024 12:00:30 GMT"
    made = warmed(desk, HttpResponse(429, {**headers, "Retry-After": date}, b"{}"))
    made.track("one", user="u1")
    began = made.clock.now
    settle(made)
    assert made.ledger.stats().delivered == 2
    assert made.clock.now - began <= 400


@pytest.mark.slow
def test_only_what_says_when_something_happened_looks_at_the_wall_clock():
    # Catches: waits with time.time(), with time.monotonic, which freezegun stops, or with sleep, which is not woken.
    package = Path(journy_track.__file__).parent
    rooms = [*package.glob("_*/**/*.py"), *package.glob("*.py")]
    found: dict[str, set[str]] = {}
    for path in rooms:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = str(path.relative_to(package))
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                found.setdefault(name, set()).update(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
                found.setdefault(name, set()).add(node.attr)
    for clock in ("_model/clock.py", "_delivery/pacing.py"):  # as defaults, which freezegun does not replace
        assert found.pop(clock) == {"monotonic"}
    assert found == {
        "_capture/recorder.py": {"time"},
        "_capture/decorators.py": {"perf_counter"},
        "_transport/rest.py": {"time"},
        "_delivery/inspecting.py": {"time"},
        # The age of what a disk or broker stored for another process.
        "_state/sqlite.py": {"time"},
        "_state/redis.py": {"time"},
        "_stores/sqlite/folder.py": {"time"},
        "_stores/redis/store.py": {"time"},
        "_stores/sqlite/bounds.py": {"thread_time"},  # the CPU time that SQLite uses, not how long it takes
        "_delivery/pipeline.py": {"time"},
        "_delivery/ways.py": {"time"},
        "_relay/relay.py": {"time"},
    }


# ── A clock that stands still ──

#: In a separate process: an event loop that freezegun has stopped for a moment does not continue, and ours serves.
FROZEN = """
import sys, time
import journy_track, freezegun

def real(now=time.monotonic):
    return now()

tracker = journy_track.configure(base_url=sys.argv[1])
began = real()
with freezegun.freeze_time("2024-05-01 12:00:00"):
    for number in range(5):
        journy_track.track(f"event_{number}", user="u1")
    print(tracker.flush(float(sys.argv[2])), tracker.shutdown(float(sys.argv[2])))
    assert time.time() == 1714564800, "else nothing is frozen"
print(real() - began, tracker.stats().delivered)
"""


@pytest.fixture
def frozen(run_program, canary, seen):
    pytest.importorskip("freezegun", reason="freezes time")

    def run(url: str, timeout: float) -> list[str]:
        done = run_program(FROZEN, url, str(timeout), JOURNY_API_KEY=canary)
        seen(done)
        assert done.status == 0, done.err
        return done.out.split()

    return run


def test_a_wait_ends_in_time_while_the_app_has_frozen_time(frozen, hung_server):
    # Catches: `from time import monotonic`, which freezegun replaces: a deadline that is never reached.
    flushed, shut, seconds, delivered = frozen(hung_server, 0.3)
    assert (flushed, shut, delivered) == ("False", "False", "0")
    assert 0.6 <= float(seconds) < 3


def test_events_are_delivered_while_the_app_has_frozen_time(api, frozen):
    # Catches: a worker, pacer or request that waits by the frozen clock; an event time from any other clock.
    api.answer_next(503, headers={"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "999"})
    assert frozen(api.url, 20)[:2] == ["True", "True"]
    assert [event.name for event in api.events] == [f"event_{number}" for number in range(5)]
    assert {event.triggered_at for event in api.events} == {"2024-05-01T12:00:00.000Z"}
