"""What an operator sees of delivery: log lines, `health()` and `stats()`."""

from __future__ import annotations

import os
import re
import signal
import threading

import pytest

import journy_track
from journy_track import HttpResponse
from journy_track._delivery import signs

from ..timing import eventually

SUSPENDED = """
import logging, signal, sys, threading, time
import journy_track
from journy_track._delivery import signs

def eventually(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)

signs.STALL = 3.0
logging.basicConfig(level=logging.INFO)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])  # it wakes us all the same, and can be awaited
tracker = journy_track.configure("a-key", base_url=sys.argv[1], max_delay=3, timeout=60, shutdown_timeout=0)
journy_track.track("signed_in", user="u1")
at_work = tracker._pipeline().worker
eventually(lambda: journy_track.stats().in_flight and at_work._rests_until is not None)
print("waits", flush=True)
assert signal.sigtimedwait([signal.SIGCONT], 60)
at_desk = tracker._pipeline().signs
looked_at = at_desk._look_at
health = journy_track.health()
print(health.ok, health.reason, flush=True)
eventually(lambda: at_desk._look_at > looked_at + signs.LOOK)  # it has looked at least once since
"""


def test_a_suspended_process_raises_no_alarm_when_it_goes_on(start_program, hung_server):
    process = start_program(SUSPENDED, hung_server)
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    threading.Event().wait(4.5)  # the pause itself
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=30)
    assert out == "True None\n"
    assert "nothing was delivered" not in err


def lines(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if word in record.getMessage()]


@pytest.fixture
def impatient(monkeypatch):
    """Reasons are logged after half a second instead of ten."""
    monkeypatch.setattr(signs, "HELD", 0.5)
    monkeypatch.setattr(signs, "LOOK", 0.05)


def test_a_slow_server_is_logged_with_what_a_response_takes(api, tracker, caplog, impatient):
    tracker.track("warmed", user="u0")
    assert tracker.flush(10)
    api.answer_next(None, delay=1.0, count=40)
    for number in range(40):
        tracker.track("signed_in", user=f"u{number}")
    eventually(lambda: lines(caplog, "the server is slow"))
    assert tracker.stats().waits_for == "connections"
    (line,) = lines(caplog, "the server is slow")
    assert re.search(r"A response takes \d\.\d s or more, and 8 requests wait for one each\.", line)


def test_a_first_request_without_a_response_is_a_slow_server_and_no_full_budget(gate, caplog, impatient):
    tracker = journy_track.Tracker("a-key", http_client=gate)
    tracker.track("signed_in", user="u1")
    tracker.track("signed_in", user="u2")
    eventually(lambda: lines(caplog, "have been waiting"))
    assert tracker.health().waits_for == "connections"
    gate.opened.set()
    assert tracker.flush(10)
    tracker.shutdown(5)
    (line,) = lines(caplog, "have been waiting")
    assert re.search(r"the server is slow\. A response takes (0\.[4-9]|[1-9]).* and 1 request waits for one\.", line)


def test_health_is_false_while_an_item_waits_longer_than_max_delay(gate):
    tracker = journy_track.Tracker("a-key", http_client=gate, max_delay=0.3)
    tracker.track("signed_in", user="u1")
    assert tracker.health().ok
    eventually(lambda: not tracker.health().ok)
    assert re.fullmatch(r"the oldest item waits for \d s, and max_delay is 0\.3 s", tracker.health().reason)
    gate.opened.set()
    assert tracker.flush(10)
    assert tracker.health().ok
    tracker.shutdown(5)


def test_stats_and_health_show_the_same_numbers_of_the_key(api, tracker):
    for number in range(5):
        tracker.track("signed_in", user=f"u{number}")
    assert tracker.flush(10)
    stats, health = tracker.stats(), tracker.health()
    assert 0 < stats.delay_p50 <= stats.delay_p99 < 10
    assert stats.responses == {201: 5}
    assert stats.own_requests == 5
    assert 1 <= stats.calls_limit - stats.calls_remaining <= 5  # responses may arrive in a different order
    assert stats.granted_rate > 0
    assert (stats.waits_for, stats.seconds_to_drain) == (None, 0.0)
    for name in ("delay_p50", "delay_p99", "responses", "own_requests", "calls_limit", "calls_remaining"):
        assert getattr(health, name) == getattr(stats, name)
    assert health.granted_rate > 0
    assert (health.waits_for, health.seconds_to_drain) == (None, None)


def test_what_waits_is_shown_with_its_reason_and_how_long_it_takes(api, tracker):
    api.answer_next(None, delay=1.0, count=20)
    for number in range(20):
        tracker.track("signed_in", user=f"u{number}")
    eventually(lambda: tracker.stats().delivered)
    stats = tracker.stats()
    assert stats.waits_for in ("connections", "budget")
    assert stats.seconds_to_drain == pytest.approx(stats.queued / stats.granted_rate, rel=0.5)
    assert tracker.health().waits_for in ("connections", "budget")
    assert tracker.health().seconds_to_drain > 0


def test_a_state_that_lasts_is_logged_once_a_minute_and_without_a_count_of_looks(desk, caplog):
    full = {"X-RateLimit-Limit": "1800", "X-RateLimit-Remaining": "0"}
    made = desk(*[HttpResponse(201, full, b'{"meta": {"requestId": "r"}}')] * 1000)
    for number in range(50):
        made.track("acted", user=f"u{number}")
    for _ in range(300):
        made.turn()
        made.clock.now += 0.5
    held = lines(caplog, "held back")
    assert len(held) == 3
    assert not [line for line in held + lines(caplog, "nothing was delivered") if "more like this" in line]
