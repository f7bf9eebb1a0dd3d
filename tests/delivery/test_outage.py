"""An outage: when successive requests fail, everything except a probe pauses."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from journy_track import HttpResponse, NotSent
from journy_track._delivery.outage import MAX_PAUSE, Outage

from .conftest import PLENTY
from .wire import settle, turn, warmed

HTML = HttpResponse(200, {}, b"<html>Under maintenance</html>")
FAILURES = [503, 500, HTML, NotSent("the connection was refused")]


def times_of_requests(made, seconds: float) -> list[float]:
    """Let time pass, with two new events a second. Returns the times of requests."""
    times: list[float] = []
    began = made.clock.now
    captured = 0
    while made.clock.now < began + seconds:
        while captured < 2 * (made.clock.now - began):
            made.track("acted", user=f"u{captured}")
            captured += 1
        before = len(made.script.requests)
        turn(made)
        times += [made.clock.now] * (len(made.script.requests) - before)
        made.clock.now += 0.25
    return times


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_in_an_outage_all_items_together_make_fewer_requests_the_longer_it_lasts(desk, failure):
    made = warmed(desk, *[failure] * 1000)
    times = times_of_requests(made, 180)
    assert len(times) <= 30
    last = [later - earlier for earlier, later in pairwise(times[-4:])]
    assert min(last) >= 7


def test_after_an_outage_everything_goes_at_full_speed_and_the_log_says_how_many(desk, caplog):
    caplog.set_level(logging.INFO)
    made = warmed(desk, *[503] * 1000)
    times_of_requests(made, 115)
    made.script.answers.clear()
    began = made.clock.now
    settle(made)
    assert made.ledger.stats().delivered == 231
    assert made.clock.now - began < MAX_PAUSE + 2
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("delivery has recovered: 230 items in ") for line in lines)
    assert sum("journy.io cannot be reached: the server responded with 503" in line for line in lines) in (1, 2)
    assert any("similar lines were suppressed" in line for line in lines)
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not any("recovered" in line or "suppressed" in line for line in warned)  # no action is needed


def test_an_item_that_the_server_cannot_digest_stops_no_other(desk):
    made = desk()
    send = made.script.send

    def refuse_one(request):
        response = send(request)
        return HttpResponse(500, PLENTY, b"{}") if b"poison" in request.body else response

    made.script.send = refuse_one
    made.track("poison", user="u0")
    for number in range(100):
        made.track("acted", user=f"u{number + 1}")
    turn(made)
    began = made.clock.now
    while made.ledger.stats().delivered < 100:
        made.clock.now += turn(made)
    assert made.clock.now - began < 5


def test_health_and_stats_name_the_outage(desk):
    made = warmed(desk, *[503] * 100)
    for number in range(5):
        made.track("acted", user=f"u{number}")
    turn(made)
    assert made.pipeline.stats().waits_for == "outage"
    assert made.pipeline.stats().responses == {201: 1, 503: 2}
    made.clock.now += 61
    assert not made.pipeline.health().ok


def test_an_outage_takes_failures_of_two_items_and_ends_with_any_response():
    outage = Outage(lambda: 0.0)
    outage.failed(1, "the server responded with 503")
    assert not outage.is_on
    outage.failed(1, "the server responded with 503")
    assert not outage.is_on
    outage.failed(2, "the server responded with 503")
    assert outage.is_on
    assert outage.wait(0) > 0
    outage.responded()
    assert outage.wait(7) == 0


def test_a_429_is_not_an_outage(desk):
    made = warmed(desk, *[429] * 4)
    for number in range(4):
        made.track("acted", user=f"u{number}")
    for _ in range(60):
        turn(made)
        assert made.pipeline.stats().waits_for != "outage"
        made.clock.now += 1
    settle(made)
    assert made.ledger.stats().delivered == 5


# ── What an operator sees ──


def test_items_that_the_budget_holds_back_are_logged_with_who_uses_the_key(desk, caplog):
    full = {"X-RateLimit-Limit": "1800", "X-RateLimit-Remaining": "0"}
    made = desk(*[HttpResponse(201, full, b'{"meta": {"requestId": "r"}}')] * 1000)
    for number in range(50):
        made.track("acted", user=f"u{number}")
    for _ in range(30):
        made.turn()
        made.clock.now += 0.5
    (line,) = [record.getMessage() for record in caplog.records if "held back" in record.getMessage()]
    assert "by this process, 17" in line
    stats = made.pipeline.stats()
    assert stats.waits_for == "budget"
    assert stats.own_requests == stats.delivered
    assert stats.granted_rate is not None


def test_health_is_false_when_the_oldest_item_waits_beyond_max_delay(desk):
    made = warmed(desk, *[503] * 1000, max_delay=20)
    made.track("one", user="u1")
    turn(made)
    made.clock.now += 19
    assert made.pipeline.health().ok
    made.clock.now += 2
    assert made.pipeline.health().reason == "the oldest item waits for 21 s, and max_delay is 20 s"


def test_the_delay_is_measured_from_capture_to_delivery(desk):
    made = warmed(desk, 503)
    made.track("one", user="u1")
    turn(made)
    made.clock.now += 7
    settle(made)
    assert made.pipeline.stats().delay_p50 == pytest.approx(7, abs=0.5)
    assert made.pipeline.health().delay_p99 == made.pipeline.stats().delay_p99
    made.clock.now += 301
    assert made.pipeline.stats().delay_p50 is None
