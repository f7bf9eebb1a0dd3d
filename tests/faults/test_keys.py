"""The key is refused or lacks a permission: items are kept, and all are delivered when the key works again."""

from __future__ import annotations

import logging

import pytest

import journy_track

from ..delivery.wire import sent, turn, warmed

NO = {"message": "no", "meta": {"requestId": "r1", "status": 401}}


def over(tracker) -> None:
    """End the pause before the next probe."""
    tracker._pipeline().dispatcher.ways[0].circuit.try_at = 0.0


@pytest.mark.slow
def test_what_was_captured_while_the_key_was_refused_leaves_when_it_works(api, configure, agreed, canary, caplog):
    # Catches: a 401 that gives items up; one error for each item; an error that contains the key.
    tracker = configure(max_connections=1)
    api.answer_next(401, NO, count=3)
    journy_track.track("event_0", user="u1")
    api.wait_for(lambda api: len(api.requests) == 2)  # the event and the probe
    for number in range(1, 10):
        journy_track.track(f"event_{number}", user="u1")
    assert not tracker.flush(0.1)
    assert tracker.health().reason == "the API key is refused"
    over(tracker)
    api.wait_for(lambda api: len(api.requests) == 3)  # refused again
    assert not tracker.flush(0.1)
    assert not api.events
    over(tracker)
    assert tracker.flush(20)
    assert [event.name for event in api.events] == [f"event_{number}" for number in range(10)]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    agreed()


def test_one_permission_that_is_missing_costs_its_own_calls_alone(api, configure, agreed, caplog):
    # Catches: a 403 that opens the circuit for all operations; a 403 that each item runs into again.
    told = []
    tracker = configure(max_connections=1, on_error=told.append)
    api.answer_next(403, {"message": "no", "meta": {"requestId": "r1", "status": 403}})
    for number in range(3):
        journy_track.upsert_account(account=f"a{number}", plan="pro")
        journy_track.track("acted", user=f"u{number}")
    assert tracker.flush(20)
    assert [lost.reason for lost in told] == ["missing permission"] * 3
    assert (tracker.stats().delivered, tracker.stats().given_up, len(api.events)) == (3, 3, 3)
    assert [request.path for request in api.requests] == [
        "/accounts/upsert",
        "/validate",
        "/track",
        "/track",
        "/track",
    ]
    assert caplog.text.count("lacks the permission for upsert_account") == 1
    agreed()


def test_a_refused_key_holds_no_more_than_the_queue_does(desk):
    # Catches: items that wait for the key without counting towards the bound: memory grows until someone notices.
    made = warmed(desk, *[401] * 1000, queue_size=10)
    for number in range(100):
        made.track("acted", user=f"u{number}")
        made.clock.now += 1
        turn(made)
    stats = made.ledger.stats()
    assert (stats.queued, stats.dropped, stats.captured) == (10, {"queue_full": 90}, 101)
    assert set(sent(made)[1:]) == {"validate"}
