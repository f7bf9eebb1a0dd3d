"""Concurrent requests: as many as are allowed, and never two with the same ordering lock."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from urllib.parse import urlsplit

import pytest

import journy_track
from journy_track import HttpRequest, HttpResponse
from journy_track._delivery.dispatcher import NEXT_SENDER_DELAY, Dispatcher
from journy_track._delivery.feed import Feed
from journy_track._delivery.pipeline import Pipeline

PLENTY = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}
TAKEN = HttpResponse(201, PLENTY, b'{"meta": {"requestId": "r", "status": 201}}')


class Hall:
    """An HTTP client that holds requests while its doors are shut, and records which are held at the same time."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.shut = False
        #: Users and accounts whose requests return although the doors are shut.
        self.passes: set[str] = set()
        self.inside: list[str] = []
        self.came: list[str] = []
        self.most = 0
        #: Responses by path; other requests are accepted.
        self.answers: dict[str, HttpResponse] = {}
        self.together: list[list[str]] = []

    def send(self, request: HttpRequest, /) -> HttpResponse:
        body = json.loads(request.body or b"{}")
        known = body.get("identification", {"userId": "the key"})
        who = known.get("user", known).get("userId") or known.get("account", known)["accountId"]
        with self.changed:
            self.inside.append(who)
            self.came.append(f"{who} {body.get('name', request.url.rsplit('/', 1)[-1])}")
            self.most = max(self.most, len(self.inside))
            self.together.append(list(self.inside))
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: not self.shut or who in self.passes, 60)
            self.inside.remove(who)
            self.changed.notify_all()
        return self.answers.get(urlsplit(request.url).path, TAKEN)

    def close(self) -> None:
        """Do nothing: no connection is kept open."""

    def wait_for(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, 10), self.inside

    def doors(self, *, shut: bool) -> None:
        with self.changed:
            self.shut = shut
            self.changed.notify_all()


@pytest.fixture
def hall() -> Iterator[Hall]:
    made = Hall()
    yield made
    made.doors(shut=False)


def tracker_in(hall: Hall, **settings: object) -> journy_track.Tracker:
    """Make a tracker that knows from three responses that it has budget, and then shut the doors."""
    tracker = journy_track.configure("a-key", http_client=hall, **settings)  # type: ignore[arg-type]
    for _ in range(3):
        journy_track.track("first", user="warmed")
    assert tracker.flush(10)
    hall.came.clear()
    hall.doors(shut=True)
    return tracker


@pytest.mark.parametrize("account", [None, "acme"])
@pytest.mark.parametrize("most", [1, 3, 8])
def test_up_to_max_connections_requests_of_different_users_are_made_at_once(hall, most, account):
    tracker = tracker_in(hall, max_connections=most)
    for number in range(3 * most):
        journy_track.track("acted", user=f"u{number}", account=account)
    hall.wait_for(lambda: len(hall.inside) == most)
    stats = tracker.stats()
    assert (stats.in_flight, stats.queued) == (most, 2 * most)
    hall.doors(shut=False)
    assert tracker.flush(10)
    assert hall.most == most
    assert len(hall.came) == 3 * most


def test_never_two_of_one_user_and_always_in_order(hall):
    tracker = tracker_in(hall)
    for number in range(20):
        for user in ("u1", "u2", "u3"):
            journy_track.track(f"event_{number}", user=user, account="acme")
    hall.wait_for(lambda: len(hall.inside) == 3)
    hall.doors(shut=False)
    assert tracker.flush(10)
    assert all(len(set(inside)) == len(inside) for inside in hall.together)
    for user in ("u1", "u2", "u3"):
        assert [came for came in hall.came if came.startswith(user)] == [f"{user} event_{n}" for n in range(20)]


def test_what_waited_for_an_accounts_upsert_goes_side_by_side_after_it(hall):
    tracker = tracker_in(hall, max_connections=4)
    journy_track.upsert_account(account="acme", plan="pro")
    for number in range(4):
        journy_track.track("acted", user=f"u{number}", account="acme")
    hall.wait_for(lambda: hall.inside == ["acme"])
    assert tracker.stats().queued == 4
    with hall.changed:
        hall.passes.add("acme")
        hall.changed.notify_all()
    hall.wait_for(lambda: len(hall.inside) == 4)
    assert sorted(hall.inside) == ["u0", "u1", "u2", "u3"]
    hall.doors(shut=False)
    assert tracker.flush(10)
    assert hall.came[0] == "acme upsert"


def test_who_settles_what_held_several_back_wakes_the_worker_for_the_others(hall, monkeypatch):
    tracker = journy_track.configure("a-key", http_client=hall)
    engine = tracker._pipeline()
    engine.queue.with_worker()  # the worker's own thread does not run: it would also find them by polling
    for _ in range(3):
        journy_track.track("first", user="warmed")
        engine.worker.step()
        assert engine.ledger.wait(engine.ledger.checkpoint(), 10)
    hall.doors(shut=True)
    journy_track.upsert_account(account="acme", plan="pro")
    for number in range(2):
        journy_track.track("acted", user=f"u{number}", account="acme")
    engine.worker.step()
    hall.wait_for(lambda: hall.inside == ["acme"])
    rung: list[str] = []
    monkeypatch.setattr(engine.dispatcher, "_wake", lambda: rung.append("by the sender"))
    with hall.changed:
        hall.passes.add("acme")
        hall.changed.notify_all()
    hall.wait_for(lambda: hall.inside == ["u0"])
    assert rung
    hall.doors(shut=False)
    assert tracker.flush(10)


def test_threads_that_capture_while_others_send_lose_nothing(hall):
    tracker = tracker_in(hall)
    hall.doors(shut=False)
    start = threading.Barrier(4)

    def capture(user: str) -> None:
        start.wait()
        for number in range(100):
            journy_track.track(f"event_{number}", user=user)
            journy_track.upsert_user(user=user, plan=number)

    threads = [threading.Thread(target=capture, args=(f"u{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tracker.flush(30)
    stats = tracker.stats()
    assert (stats.captured, stats.delivered + stats.coalesced) == (803, 803)
    assert stats.delivered == len(hall.came) + 3
    assert all(len(set(inside)) == len(inside) for inside in hall.together)


@pytest.mark.slow
@pytest.mark.parametrize("accepted", [True, False])
def test_requests_that_are_refused_at_the_same_time_ask_for_the_key_once(hall, accepted):
    tracker = tracker_in(hall, max_connections=4)
    refused = HttpResponse(403, PLENTY, TAKEN.body)
    hall.answers = {"/validate": TAKEN if accepted else refused, "/track": refused}
    for number in range(4):
        journy_track.track("acted", user=f"u{number}")
    hall.wait_for(lambda: len(hall.inside) == 4)
    hall.passes |= {f"u{number}" for number in range(4)}
    with hall.changed:
        hall.changed.notify_all()
    hall.wait_for(lambda: hall.inside == ["the key"] and tracker.stats().in_flight <= 1)
    hall.doors(shut=False)
    assert tracker.flush(10 if accepted else 0) == accepted
    assert hall.came.count("the key validate") == 1
    assert tracker.stats().given_up == (4 if accepted else 0)


# ── The worker dies ──


def dies_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next turn of a worker kill its thread."""
    keep, deaths = Pipeline.keep_captured, iter([SystemExit])

    def dying(pipeline: Pipeline) -> None:
        for death in deaths:
            raise death
        keep(pipeline)

    monkeypatch.setattr(Pipeline, "keep_captured", dying)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


DIED = "journy_track's worker thread ended with SystemExit; a new one takes over"


def test_a_worker_that_died_is_replaced_at_once_and_says_so(hall, caplog, monkeypatch):
    worker = tracker_in(hall)._pipeline().worker
    hall.doors(shut=False)
    monkeypatch.setattr(worker, "_clock", lambda: monotonic() + 5)  # it has lived for a while
    dies_once(monkeypatch)
    journy_track.track("one", user="u1")
    hall.wait_for(lambda: hall.came == ["u1 one"])
    assert worker.alive
    assert said(caplog) == [DIED]


def test_a_worker_that_died_young_is_replaced_with_the_next_item(hall, caplog, monkeypatch):
    worker = tracker_in(hall)._pipeline().worker
    hall.doors(shut=False)
    monkeypatch.setattr(worker, "_clock", lambda: 0.0)
    dead = worker._thread
    dies_once(monkeypatch)
    journy_track.track("one", user="u1")
    dead.join(10)
    assert not worker.alive
    journy_track.track("two", user="u1")
    hall.wait_for(lambda: hall.came == ["u1 one", "u1 two"])
    assert worker.alive
    assert said(caplog) == [DIED]


def test_a_turn_that_fails_does_not_end_the_worker(hall, caplog, monkeypatch):
    tracker = tracker_in(hall)
    hall.doors(shut=False)
    failed = threading.Event()
    look = Feed.look

    def failing(feed: Feed, to: Dispatcher) -> None:
        if not failed.is_set():
            failed.set()
            raise ValueError("a mistake of ours")
        look(feed, to)

    monkeypatch.setattr(Feed, "look", failing)
    journy_track.track("one", user="u1")
    assert tracker.flush(10)
    assert failed.is_set()
    assert "hit an error and continues" in caplog.text


# ── How many senders take part ──


@pytest.fixture
def senders(desk):
    """Yields a tracker with a simulated clock, whose threads make its requests, and its hall."""
    hall = Hall()
    made = desk(http_client=hall, max_connections=3)
    made.dispatcher.inline = False
    for number in range(3):  # now the remaining budget is known, and how fast it is used
        made.track("warmed", user=f"w{number}")
        made.turn()
        assert made.ledger.wait(made.ledger.checkpoint(), 10)
        made.clock.now += 1.0
    yield made, hall
    hall.doors(shut=False)
    made.dispatcher.stop()
    made.dispatcher.join(10)


def test_where_answers_come_at_once_one_sender_does_it_all(senders):
    # Catches: a thread for each request, which would only compete for the interpreter.
    made, hall = senders
    for number in range(6):  # the pacer allows all of them at once
        made.track("signed_in", user=f"u{number}")
    made.turn()
    assert made.ledger.wait(made.ledger.checkpoint(), 10)
    assert hall.most == 1


def test_where_an_answer_takes_time_another_joins_in_a_moment_later(senders):
    made, hall = senders
    hall.doors(shut=True)
    for number in range(5):
        made.track("signed_in", user=f"u{number}")
    for busy in (1, 2, 3):
        wait = made.turn()
        hall.wait_for(lambda busy=busy: len(hall.inside) == busy)
        if busy < 3:
            assert wait == pytest.approx(NEXT_SENDER_DELAY)
            made.clock.now += NEXT_SENDER_DELAY
    assert made.turn() > 1  # the maximum number: the first sender to finish looks for more work
    hall.doors(shut=False)
    assert made.ledger.wait(made.ledger.checkpoint(), 10)
    assert hall.most == 3
