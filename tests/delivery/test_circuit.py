"""A refused key stops everything except probes; a missing permission stops one operation."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

import journy_track
from journy_track import Tracker
from journy_track._delivery.reports import Reports
from journy_track._model.config import Config
from journy_track._model.notices import Notices
from journy_track._model.outcomes import Response
from journy_track._transport.rest import RestTransport

from .wire import HTML_404, sent, settle, turn, warmed

KEY = "a-key"


def errors(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


# ── The key is refused ──


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_asked_for_once_and_items_are_kept(desk, caplog, status):
    made = warmed(desk, status, 401)
    made.track("one", user="u1")
    made.track("two", user="u2")
    turn(made)
    assert sent(made) == ["one u1", "validate"]
    assert made.dispatcher.circuit == "open"
    stats = made.ledger.stats()
    assert (stats.queued, stats.given_up) == (2, 0)
    (line,) = errors(caplog)
    assert "journy.io refuses the API key (status 401, request ID r)" in line
    assert "The key is unknown" in line
    assert KEY not in line


def test_probes_come_with_growing_pauses_up_to_five_minutes(desk, caplog):
    made = warmed(desk, *[401] * 13)
    made.track("one", user="u1")
    times: list[float] = []
    while len(sent(made)) < 13:
        before, now = len(sent(made)), made.clock.now
        wait = made.turn()
        times += [now] * (len(sent(made)) - before)
        made.clock.now += max(wait, 0.01)
    assert sent(made) == ["one u1", *["validate"] * 12]
    pauses = [round(later - earlier) for earlier, later in pairwise(times[1:])]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300]
    assert made.ledger.stats().queued == 1
    assert all("refuses the API key" in line or "items have been waiting for" in line for line in errors(caplog))


def test_when_the_key_works_again_everything_is_delivered_in_order(desk, caplog):
    caplog.set_level(logging.INFO)
    made = warmed(desk, 401, 401, 401)
    for number in range(3):
        made.track(f"event_{number}", user="u1")
    settle(made)
    assert sent(made) == ["event_0 u1", *["validate"] * 3, "event_0 u1", "event_1 u1", "event_2 u1"]
    assert made.dispatcher.circuit == "closed"
    assert made.ledger.stats().delivered == 4
    (line,) = [record for record in caplog.records if "accepts the API key again" in record.getMessage()]
    assert line.levelno == logging.INFO  # no action is needed


def test_the_pauses_begin_anew_after_the_key_worked(desk):
    made = warmed(desk, 401, 401, 401, 401)
    made.track("one", user="u1")
    settle(made)
    made.script.answers[:] = [401, 401]
    made.track("two", user="u1")
    turn(made)
    began = made.clock.now
    settle(made)
    assert made.clock.now - began < 7


def test_a_probe_without_a_verdict_leaves_the_circuit_open(desk):
    made = warmed(desk, 401, 401, 503, HTML_404, 500)
    made.track("one", user="u1")
    turn(made)
    for _ in range(3):
        made.clock.now += turn(made)
        assert made.dispatcher.circuit == "open"
    settle(made)
    assert made.ledger.stats().delivered == 2


def test_waiting_for_the_key_is_no_deferral(desk):
    made = warmed(desk, *[401] * 15)
    made.track("one", user="u1")
    made.track("two", user="u1")
    settle(made)
    assert sent(made) == ["one u1", *["validate"] * 15, "one u1", "two u1"]


def test_items_that_wait_for_the_key_are_given_up_after_max_age(desk):
    told = []
    made = warmed(desk, *[401] * 100, max_age=60, on_error=told.append)
    made.track("one", user="u1")
    made.track("two", user="u1")
    settle(made)
    assert [(lost.item.name, lost.reason) for lost in told] == [("one", "max_age"), ("two", "max_age")]
    assert not [request for request in sent(made)[1:] if request != "validate"]


@pytest.mark.slow
def test_the_key_can_be_refused_and_accepted_over_the_wire(api, caplog):
    tracker = journy_track.configure("a-key", base_url=api.url)
    body = {"message": "no", "meta": {"requestId": "r1", "status": 401}}
    api.answer_next(401, body, count=2)
    journy_track.track("one", user="u1")
    api.wait_for(lambda api: len(api.requests) == 2)
    assert not tracker.flush(0.2)
    health = tracker.health()
    assert (health.ok, health.reason, health.circuit) == (False, "the API key is refused", "open")
    tracker._pipeline().dispatcher.ways[0].circuit.try_at = 0.0  # end the pause
    assert tracker.flush(10)
    assert [(request.path, request.status) for request in api.requests] == [
        *(("/track", 401), ("/validate", 401), ("/validate", 200), ("/track", 201)),
    ]
    assert (tracker.health().ok, tracker.health().circuit) == (True, "closed")


# ── A permission is missing ──


def test_a_missing_permission_suspends_only_that_operation(desk, caplog):
    told = []
    made = warmed(desk, 403, on_error=told.append)
    for number in range(3):
        made.upsert_user(user=f"u{number}", plan="pro")
        made.track("acted", user=f"u{number}")
    settle(made)
    assert sent(made) == ["upsert u0 {'plan': 'pro'}", "validate", "acted u0", "acted u1", "acted u2"]
    assert [(lost.reason, lost.item.operation) for lost in told] == [("missing permission", "upsert_user")] * 3
    assert [lost.status for lost in told] == [403, None, None]
    (line,) = errors(caplog)
    assert "lacks the permission for upsert_user (status 403, request ID r)" in line
    assert KEY not in line
    assert made.dispatcher.circuit == "closed"


def test_a_suspended_operation_is_tried_again_after_five_minutes(desk):
    made = warmed(desk, 403)
    made.upsert_user(user="u1", plan="pro")
    settle(made)
    made.clock.now += 299
    made.upsert_user(user="u1", plan="pro")
    settle(made)
    assert made.ledger.stats().given_up == 2
    made.clock.now += 1
    made.upsert_user(user="u1", plan="pro")
    settle(made)
    assert (made.ledger.stats().given_up, made.ledger.stats().delivered) == (2, 2)


def test_without_a_verdict_on_the_key_item_and_key_are_asked_again_ever_more_slowly(desk):
    made = warmed(desk, *[403, 503] * 5)
    made.track("one", user="u1")
    waits = []
    while (wait := turn(made)) is not None:
        waits.append(round(wait))
        made.clock.now += wait
    assert waits == [2, 4, 8, 16, 32]
    assert sent(made) == ["one u1", "validate"] * 5 + ["one u1"]
    assert made.ledger.stats().delivered == 2


# ── Whether a response is from journy.io ──


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 418, 422])
@pytest.mark.parametrize("body", [b"<html>no</html>", b"", b"{}", b'{"meta": {"requestId": 7}}'], ids=repr)
def test_an_answer_without_a_request_id_is_nobodys_verdict(desk, status, body):
    made = warmed(desk, journy_track.HttpResponse(status, {}, body))
    made.track("one", user="u1")
    turn(made)
    assert (made.ledger.stats().queued, sent(made)) == (1, ["one u1"])
    made.clock.now += 120
    settle(made)
    assert made.ledger.stats().delivered == 2
    assert made.dispatcher.circuit == "closed"


@pytest.mark.parametrize(
    "body", [b"Under maintenance, back soon", b'{"status": "maintenance"}', b"<html>log in</html>", b"[]"], ids=repr
)
@pytest.mark.parametrize("on_ambiguous", ["retry", "drop"])
def test_a_success_of_nobodys_is_none_and_may_be_one(desk, body, on_ambiguous):
    made = warmed(desk, *[journy_track.HttpResponse(200, {}, body)] * 2, on_ambiguous=on_ambiguous)
    made.track("one", user="u1")
    made.upsert_user(user="u2", plan="pro")
    settle(made)
    stats = made.ledger.stats()
    assert (stats.delivered, stats.given_up) == ((3, 0) if on_ambiguous == "retry" else (2, 1))


def test_a_success_without_a_body_is_journy_ios(desk):
    made = warmed(desk, journy_track.HttpResponse(204, {}, b""))
    made.remove_users_from_account("acme", ["u1"])
    turn(made)
    assert made.ledger.stats().delivered == 2


def test_an_answer_of_nobodys_is_tried_until_max_age(desk):
    # Catches: a 404 that counts as journy.io's verdict, whatever server it comes from.
    told = []
    made = warmed(desk, *[HTML_404] * 100, max_age=600, on_error=told.append)
    made.track("one", user="u1")
    began = made.clock.now
    settle(made)
    assert [lost.reason for lost in told] == ["max_age: a proxy or another server responded with 404"]
    assert 200 < made.clock.now - began <= 600


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_settles(desk, status):
    made = warmed(desk, status)
    made.track("one", user="u1")
    turn(made)
    assert made.ledger.stats().delivered == 2


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"meta": {"requestId": "r"}}'], ids=repr)
def test_a_redirect_is_a_failure_and_not_followed(desk, status, body):
    headers = {
        "Location": "https://elsewhere.example/track",
        "X-RateLimit-Limit": "9999",
        "X-RateLimit-Remaining": "9",
    }
    made = warmed(desk, journy_track.HttpResponse(status, headers, body))
    made.track("one", user="u1")
    settle(made)
    assert sent(made) == ["one u1"]
    (_, receipt) = made.ledger.recent()
    assert receipt.outcome == f"a redirect ({status}), which is never followed: check base_url"


# ── What health() reports ──


def test_health_is_well_while_nothing_is_wrong(api, tracker):
    assert tracker.health() == journy_track.Health(ok=True)
    journy_track.track("one", user="u1")
    assert tracker.flush(5)
    health = tracker.health()
    assert (health.ok, health.reason, health.oldest_waiting, health.circuit) == (True, None, None, "closed")
    assert 0 <= health.since_success < 10


def test_health_names_what_disables_it():
    assert Tracker(enabled=False).health().reason == "disabled: enabled is false"
    assert Tracker().health() == journy_track.Health(ok=False, reason="disabled: no API key")


def test_health_names_the_permission_that_is_missing(desk):
    made = warmed(desk, 403, 200)
    made.track("one", user="u1")
    made.upsert_user(user="u2", plan="pro")
    turn(made)
    assert made.ledger.stats().delivered == 2  # the upsert: other operations of the key continue
    health = made.pipeline.health()
    assert (health.ok, health.circuit) == (False, "closed")
    assert health.reason == "the API key lacks the permission for track: such items are given up"
    made.clock.now += 301
    assert made.pipeline.health().ok


def test_health_says_when_items_were_given_up_within_a_minute(desk):
    redirected = journy_track.HttpResponse(302, {"Location": "https://elsewhere.example"}, b"")
    made = warmed(desk, redirected, 400)
    made.clock.now += 61
    made.track("one", user="u1")
    turn(made)
    health = made.pipeline.health()
    assert not health.ok
    assert health.reason == (
        "items were given up within the last 60 s; "
        "the last: a redirect (302), which is never followed: check base_url"
    )
    made.clock.now += 61
    assert made.pipeline.health().ok  # no problem within the last minute
    made.track("refused", user="u1")
    made.track("taken", user="u2")
    turn(made)
    assert made.ledger.stats().given_up == 2
    assert not made.pipeline.health().ok  # other items are delivered, but the loss has to be noticed
    made.clock.now += 61
    assert made.pipeline.health().ok


def test_health_names_a_shutdown(api, tracker):
    tracker.shutdown()
    assert (tracker.health().ok, tracker.health().reason) == (False, "shut down")


def test_health_names_a_stall(gate):
    tracker = journy_track.configure(KEY, http_client=gate)
    journy_track.track("one", user="u1")
    assert gate.entered.wait(5)
    assert tracker.health().ok
    ledger = tracker._pipeline().ledger
    now = ledger._clock
    ledger._clock = lambda: now() + 61
    health = tracker.health()
    ledger._clock = now
    assert not health.ok
    assert health.reason == "items have been waiting for 61 s and nothing was delivered meanwhile"
    assert 61 <= health.oldest_waiting < 70


def test_a_refusal_without_a_request_id_names_none(caplog):
    Reports(Config(), Notices()).key_refused(RestTransport.key, Response(403, request_id=""))
    assert "journy.io refuses the API key (status 403): nothing is delivered" in caplog.text
    assert "The key is disabled." in caplog.text
