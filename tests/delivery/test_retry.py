"""What each outcome means: delivered, retried or given up."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from fnmatch import fnmatchcase
from typing import ClassVar

import pytest

import journy_track
from journy_track import HttpResponse, MaybeSent, NotSent, Undelivered
from journy_track._model.retry import backoff
from journy_track.inspector import Inspector

from .wire import sent, settle, turn, warmed


def answer(status: int, body: bytes = b'{"meta": {"requestId": "r"}}', **headers: str) -> HttpResponse:
    return HttpResponse(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


# ── Over the wire ──


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_an_event_is_delivered_once_after_a_temporary_answer(api, tracker, balance, status):
    api.answer_next(status)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert len(api.events) == 1
    assert [request.status for request in api.requests] == [status, 201]
    stats = balance(tracker, captured=1)
    assert (stats.delivered, stats.retried) == (1, 1)


@pytest.mark.slow
def test_an_event_is_delivered_after_a_connection_that_was_dropped(api, tracker, balance):
    api.answer_next(drop=True)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert len(api.events) == 1
    assert balance(tracker, captured=1).retried == 1


@pytest.mark.slow
def test_an_event_is_delivered_once_the_server_is_there(balance, caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    tracker = journy_track.configure(base_url=f"http://127.0.0.1:{port}")
    journy_track.track("signed_in", user="u1")
    assert not tracker.flush(0.3)
    assert "the connection was refused" in caplog.text
    with Inspector(port=port) as api:
        assert tracker.flush(10)
        assert len(api.events) == 1
    assert balance(tracker, captured=1).delivered == 1


@pytest.mark.slow
def test_what_the_api_refuses_is_given_up_and_told_to_on_error(api, caplog, balance):
    told: list[Undelivered] = []
    tracker = journy_track.configure("a-key", base_url=api.url, on_error=told.append)
    meta = {"requestId": "req-1", "status": 400}
    body = {"message": "no", "errors": {"fields": {"metadata.plan": "too long"}}, "meta": meta}
    api.answer_next(400, body)
    journy_track.track("signed_in", user="u1", plan="secret plan")
    journy_track.track("signed_out", user="u1")
    assert tracker.flush(5)

    (undelivered,) = told
    assert (undelivered.item.name, undelivered.item.metadata) == ("signed_in", {"plan": "secret plan"})
    assert (undelivered.status, undelivered.request_id, undelivered.attempts) == (400, "req-1", 1)
    assert undelivered.fields == {"metadata.plan": "too long"}
    assert undelivered.reason == "400 no"
    assert "event 'signed_in' was given up: 400 no (request ID req-1; metadata.plan: too long)" in caplog.text
    assert "secret plan" not in caplog.text
    stats = balance(tracker, captured=2)
    assert (stats.given_up, stats.delivered, stats.retried) == (1, 1, 0)


@pytest.mark.parametrize("status", [400, 404, 405, 413, 422, 302])
def test_an_item_that_can_never_be_taken_is_tried_once(desk, status):
    made = desk(status)
    made.put()
    made.turn()
    assert made.turn() is None
    assert (made.ledger.stats().given_up, len(made.script.requests)) == (1, 1)


@pytest.mark.slow
def test_properties_that_were_rejected_are_logged_with_the_request_id(api, tracker, caplog, balance):
    meta = {"requestId": "req-2", "status": 201}
    api.answer_next(201, {"message": "ok", "rejected": {"created_at": "Expected a date."}, "meta": meta})
    journy_track.upsert_user(user="u1", created_at=True)
    assert tracker.flush(5)
    assert "did not accept the property 'created_at': Expected a date. (request ID req-2)" in caplog.text
    assert balance(tracker, captured=1).delivered == 1
    assert tracker.recent()[0].rejected == {"created_at": "Expected a date."}


@pytest.mark.slow
def test_receipts_tell_attempts_status_and_request_id(api, tracker):
    api.answer_next(503)
    api.answer_next(422, {"message": "no", "meta": {"requestId": "req-3", "status": 422}})
    journy_track.track("signed_in", user="u1")
    journy_track.track("signed_out", user="u1")
    journy_track.track("nobody_did")
    assert tracker.flush(5)
    dropped, given_up, delivered = tracker.recent()
    assert (dropped.label, dropped.outcome, dropped.attempts) == ("an item that was never built", "no_identity", 0)
    assert (given_up.outcome, given_up.attempts, given_up.request_id) == ("422 no", 2, "req-3")
    assert (delivered.label, delivered.outcome, delivered.status) == ("event 'signed_out'", "delivered", 201)
    assert delivered.request_id == api.requests[-1].request_id


def test_the_budget_of_calls_is_what_the_api_said_last(api, tracker):
    assert (tracker.stats().calls_remaining, tracker.stats().calls_limit) == (None, None)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    stats = tracker.stats()
    assert (stats.calls_remaining, stats.calls_limit) == (stats.calls_limit - 1, 1_000_000)


# ── With simulated time ──


def test_the_wait_before_a_retry_grows_to_a_minute_and_is_all_jitter():
    assert [backoff(attempts, uniform=lambda low, high: high) for attempts in (1, 2, 3, 7, 1000)] == [
        *(1.0, 2.0, 4.0, 60.0, 60.0)
    ]
    assert backoff(5, uniform=lambda low, high: low) == 0.0


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("7", 7, 10), ("1", 1, 4), ("99999", 300, 400), ("-5", 0.5, 4), ("soon", 0.5, 4), ("nan", 0.5, 4)],
)
def test_retry_after_is_a_floor_for_the_wait_and_bounded(desk, header, low, high):
    # Catches: a Retry-After that is followed whatever its value, or ignored.
    made = desk(answer(429, retry_after=header))
    made.put()
    wait = made.turn()
    assert low <= wait <= high
    made.clock.now += wait - 0.01
    assert made.turn() == pytest.approx(0.01)
    assert len(made.script.requests) == 1
    made.clock.now += 0.01
    made.turn()
    assert made.ledger.stats().delivered == 1


def test_an_item_is_given_up_when_its_next_attempt_would_be_later_than_max_age(desk):
    told: list[Undelivered] = []
    made = desk(*[503] * 10, max_age=5, on_error=told.append)
    made.put()
    for _ in range(2):
        made.turn()
        made.clock.now += made.turn() or 0
    assert made.turn() is None
    assert [undelivered.reason for undelivered in told] == ["max_age: the server responded with 503"]
    assert (told[0].attempts, told[0].status) == (2, 503)
    assert made.ledger.stats().given_up == 1


AMBIGUOUS = [500, 502, 504, MaybeSent("no response in time", timed_out=True), OSError("whatever a client raises")]


@pytest.mark.parametrize("outcome", AMBIGUOUS, ids=str)
def test_an_ambiguous_event_is_dropped_when_asked_to(desk, outcome):
    made = desk(outcome, on_ambiguous="drop")
    made.put()
    made.turn()
    assert made.turn() is None
    assert (made.ledger.stats().given_up, len(made.script.requests)) == (1, 1)
    assert made.ledger.recent()[0].outcome.startswith("ambiguous: ")


@pytest.mark.parametrize("outcome", AMBIGUOUS, ids=str)
def test_an_ambiguous_event_is_tried_again_unless_asked_otherwise(desk, outcome):
    made = desk(outcome)
    made.put()
    made.turn()
    made.clock.now += made.turn() or 0
    made.turn()
    assert made.ledger.stats().delivered == 1


@pytest.mark.parametrize("outcome", [429, 408, 425, NotSent("refused")], ids=str)
def test_an_event_that_was_surely_not_processed_is_tried_again_whatever_was_asked(desk, outcome):
    made = desk(outcome, on_ambiguous="drop")
    made.put()
    made.turn()
    made.clock.now += made.turn() or 0
    made.turn()
    assert made.ledger.stats().delivered == 1


def test_a_call_that_can_be_repeated_is_tried_again_whatever_was_asked(desk):
    made = desk(500, on_ambiguous="drop")
    made.upsert_user(user="u1", plan="pro")
    made.turn()
    made.clock.now += made.turn() or 0
    made.turn()
    assert made.ledger.stats().delivered == 1


def test_a_proxys_page_in_place_of_an_answer_is_no_delivery(desk):
    made = desk(answer(200, b"<html>Sign in to the Wi-Fi</html>"))
    made.put()
    made.turn()
    assert made.ledger.stats().delivered == 0
    made.clock.now += made.turn() or 0
    made.turn()
    assert made.ledger.stats().delivered == 1


@pytest.mark.parametrize("raised", [SystemExit(1), GeneratorExit(), ValueError("boom")], ids=repr)
def test_a_client_that_raises_anything_at_all_costs_one_attempt(desk, raised):
    made = desk(raised)
    made.put()
    made.clock.now += made.turn() or 0
    assert made.ledger.stats().in_flight == 0
    made.turn()
    assert made.ledger.stats().delivered == 1


@pytest.mark.slow
@pytest.mark.parametrize("raised", [ValueError("boom"), SystemExit(1)], ids=repr)
def test_on_error_that_raises_costs_nothing(api, caplog, balance, raised):
    def on_error(undelivered: Undelivered) -> None:
        raise raised

    tracker = journy_track.configure("a-key", base_url=api.url, on_error=on_error)
    api.answer_next(400)
    journy_track.track("signed_in", user="u1")
    journy_track.track("signed_out", user="u1")
    assert tracker.flush(5)
    assert f"on_error raised {type(raised).__name__}" in caplog.text
    assert balance(tracker, captured=2).delivered == 1


def test_delays_are_said_once_a_minute(desk, caplog):
    made = desk(*[503] * 4)
    made.put()
    for _ in range(3):
        made.turn()
        made.clock.now += made.turn() or 0
    assert len([record for record in caplog.records if "is delayed" in record.getMessage()]) == 1


IN_DEBUG_MODE = (
    """event 'signed_in' {"identification": {"user": {"userId": "u1"}}, "name": "signed_in", "triggeredAt": "*", """
    """"metadata": {"plan": "pro"}}: Delivered(response=Response(status=201, request_id=*"""
)


def test_debug_mode_logs_each_item_and_its_answer(api, caplog):
    tracker = journy_track.configure("a-key", base_url=api.url, debug=True)
    with caplog.at_level(logging.INFO, "journy_track"):
        journy_track.track("signed_in", user="u1", plan="pro")
        assert tracker.flush(5)
    (line,) = [record for record in caplog.records if record.levelno == logging.INFO]
    assert fnmatchcase(line.getMessage(), IN_DEBUG_MODE)


@pytest.mark.parametrize("setting", ["", "import logging; logging.basicConfig()"])
def test_debug_mode_is_seen_also_where_nobody_has_set_up_logging(api, run_program, setting):
    program = f"""
        {setting}
        import journy_track
        journy_track.configure("a-key")
        journy_track.track("signed_in", user="u1", plan="pro")
    """
    done = run_program(program, JOURNY_BASE_URL=api.url, JOURNY_DEBUG="1")
    assert fnmatchcase(done.err, f"journy_track: {IN_DEBUG_MODE}")


# ── Ctrl-C while the caller's own thread sends ──


def test_a_request_that_ctrl_c_ended_is_made_again(desk):
    made = warmed(desk, KeyboardInterrupt())
    made.track("one", user="u1")
    with pytest.raises(KeyboardInterrupt):
        turn(made)
    stats = made.ledger.stats()
    assert (stats.queued, stats.in_flight) == (1, 0)
    settle(made)
    assert sent(made) == ["one u1", "one u1"]
    assert made.ledger.stats().delivered == 2


def test_an_event_whose_request_ctrl_c_ended_is_ambiguous(desk):
    made = warmed(desk, KeyboardInterrupt(), on_ambiguous="drop")
    made.track("one", user="u1")
    with pytest.raises(KeyboardInterrupt):
        turn(made)
    assert made.ledger.stats().given_up == 1
    assert made.ledger.recent()[-1].outcome == "ambiguous: the request was interrupted"


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([403, KeyboardInterrupt(), 403, 401], ["one u1", "validate", "one u1", "validate", "validate", "one u1"]),
        ([401, 401, KeyboardInterrupt()], ["one u1", "validate", "validate", "validate", "one u1"]),
    ],
    ids=["the question for the key", "a probe"],
)
def test_ctrl_c_while_the_key_is_asked_for_leaves_the_question_open(desk, answers, requests):
    made = warmed(desk, *answers)
    made.track("one", user="u1")
    with pytest.raises(KeyboardInterrupt):
        settle(made)
    settle(made)
    assert sent(made) == requests
    assert (made.ledger.stats().delivered, made.dispatcher.circuit) == (2, "closed")


@pytest.mark.slow
def test_a_flush_without_threads_works_again_after_ctrl_c(monkeypatch):
    def no_threads(thread):
        raise RuntimeError("can't start new thread")

    class Interrupted:
        bodies: ClassVar[list] = []

        def send(self, request):
            self.bodies.append(request.body)
            if len(self.bodies) == 1:
                signal.raise_signal(signal.SIGINT)
            return answer(201)

        def close(self): ...

    monkeypatch.setattr(threading.Thread, "start", no_threads)
    tracker = journy_track.configure("a-key", http_client=Interrupted())
    for _ in range(3):
        journy_track.track("signed_in", user="u1")
    with pytest.raises(KeyboardInterrupt):
        tracker.flush(10)
    assert tracker.flush(10)
    assert tracker.stats().delivered == 3
    assert len(Interrupted.bodies) == 4
