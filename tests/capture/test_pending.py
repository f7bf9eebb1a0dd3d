"""A scope whose user has to be asked for: what waits for the answer, and how it is counted."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import journy_track
from journy_track import AccountIdentified, UserIdentified, track
from journy_track._capture import pending as room
from journy_track._capture.context import Cell, Change, enter, leave
from journy_track._capture.pending import NOBODY, Answer, Pending

JANE = Answer(UserIdentified("jane"), AccountIdentified("acme"), journy_track.current().metadata)


class Asked:
    """Answers what it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.times = 0
        self.on_ask: Callable[[], Any] = lambda: None

    def __call__(self) -> Answer | None:
        self.times += 1
        self.on_ask()
        return self.answer


@pytest.fixture
def asked() -> Asked:
    return Asked()


@contextmanager
def request(asked: Asked) -> Iterator[Pending]:
    cell = Cell()
    cell.pending = Pending(cell, asked)
    entry = enter(Change(cell=cell))
    try:
        yield cell.pending
    finally:
        leave(entry)


def test_an_event_asks_and_what_comes_later_asks_no_more(kept, asked):
    asked.answer = JANE
    with request(asked):
        track("first")
        track("second")
    assert kept.users() == ["jane", "jane"]
    assert asked.times == 1


def test_who_is_not_known_yet_is_waited_for_in_order(kept, asked):
    with request(asked) as pending:
        track("first", at=1)
        track("second", user="joe")
        assert kept.tracker.stats().queued == 2
        assert kept() == []
        pending.close(JANE)
    events = kept()
    assert [(event.name, event.user.user_id, event.account.account_id) for event in events] == [
        ("first", "jane", "acme"),
        ("second", "joe", "acme"),
    ]
    assert events[0].metadata == {"at": 1}


def test_nobody_is_asked_for_again(kept, asked):
    asked.answer = Answer(user=None, account=AccountIdentified("acme"), lasting=False)
    with request(asked):
        track("seen")
        asked.answer = JANE
        track("signed_in")
    assert kept.users() == [None, "jane"]


def test_who_was_known_in_part_stays_so_when_nobody_can_be_asked_any_more(kept, asked):
    asked.answer = Answer(UserIdentified("jane"), account=None, lasting=False)
    with request(asked) as pending:
        track("first")
        asked.answer = None
        track("waits")
        pending.close(None)
        track("late")
        assert journy_track.current().user == UserIdentified("jane")
    assert kept.users() == ["jane"] * 3


def test_who_has_changed_is_not_who_it_was(kept, asked):
    asked.answer = Answer(UserIdentified("jane"), account=None, lasting=False)
    with request(asked) as pending:
        track("first")
        asked.answer = None
        pending.renew()
        pending.close(None)
        track("late", account="acme")
    assert kept.users() == ["jane", None]


def test_what_is_set_in_the_request_wins(kept, asked):
    asked.answer = JANE
    with request(asked):
        journy_track.set_user("joe")
        track("set")
        with journy_track.user("jim"):
            track("in_block")
    assert kept.users() == ["joe", "jim"]


def test_current_asks_too(asked):
    asked.answer = JANE
    with request(asked):
        assert journy_track.current().user == UserIdentified("jane")
        with journy_track.scope(inherit=True):
            assert journy_track.current().user == UserIdentified("jane")


def test_metadata_of_the_answer_stands_beneath_all_other(kept, asked):
    with request(asked) as pending:
        journy_track.add_metadata(plan="of the request")
        track("first")
        track("second", seats=5)
        pending.close(Answer(UserIdentified("jane"), metadata=room.FrozenDict(plan="asked", seats=1, region="eu")))
    assert [event.metadata for event in kept()] == [
        {"plan": "of the request", "seats": 1, "region": "eu"},
        {"plan": "of the request", "seats": 5, "region": "eu"},
    ]


def test_what_is_captured_while_asking_waits_and_does_not_ask(kept, asked):
    asked.answer = JANE
    asked.on_ask = lambda: track("asking")
    with request(asked):
        track("first")
    assert asked.times == 1
    assert kept.users() == ["jane", "jane"]


def test_without_an_answer_what_waits_is_dropped_for_lack_of_identity(api, tracker, asked, balance):
    with request(asked) as pending:
        track("nobodys")
        track("janes", user="jane")
        pending.close(NOBODY)
    assert tracker.flush(10)
    assert dict(balance(tracker, captured=2).dropped) == {"no_identity": 1}
    assert [event.name for event in api.events] == ["janes"]


def test_what_comes_after_the_end_waits_for_nothing(kept, asked):
    with request(asked) as pending:
        pending.close(NOBODY)
        track("late", user="jane")
        assert not pending.waiting
    assert kept.users() == ["jane"]


def test_a_user_who_changes_is_asked_for_again(kept, asked):
    asked.answer = JANE
    with request(asked) as pending:
        journy_track.set_account("of the request")
        track("first")
        asked.answer = Answer(UserIdentified("joe"))
        pending.renew()
        track("second")
    assert [(event.user.user_id, event.account.account_id) for event in kept()] == [
        ("jane", "of the request"),
        ("joe", "of the request"),
    ]


def test_a_full_room_drops_and_counts_but_lets_go_who_has_an_identity(api, tracker, asked, balance, monkeypatch):
    monkeypatch.setattr(room, "MOST_WAITING", 3)
    with request(asked) as pending:
        for number in range(5):
            track("nobodys", number=number)
        track("janes", user="jane")
        assert tracker.stats().dropped == {"waiting_room_full": 2}
        pending.close(JANE)
    assert tracker.flush(10)
    assert balance(tracker, captured=6).delivered == 4


def test_what_waits_takes_its_place_in_the_queues_bound(api, asked, balance):
    tracker = journy_track.configure("test-key-0123456789", base_url=api.url, queue_size=3)
    with request(asked) as pending:
        for number in range(5):
            track("waits", number=number)
        assert tracker.stats().dropped == {"queue_full": 2}
        assert tracker.stats().queued == 3
        pending.close(JANE)
    assert tracker.flush(10)
    assert balance(tracker, captured=5).delivered == 3


def test_large_items_that_wait_take_their_bytes(api, asked, balance):
    tracker = journy_track.configure("test-key-0123456789", base_url=api.url, queue_bytes=64 * 1024)
    with request(asked) as pending:
        for _ in range(3):
            track("waits", text="x" * 25_000)
        assert tracker.stats().dropped == {"queue_full": 1}
        pending.close(JANE)
    assert tracker.flush(10)
    with journy_track.user("jane"):
        for _ in range(2):
            track("large", text="x" * 25_000)  # there is room again
    assert tracker.flush(10)
    assert balance(tracker, captured=5).delivered == 4


def test_a_shutdown_counts_what_still_waits_once(api, tracker, asked, balance):
    with request(asked) as pending:
        track("waits")
        assert tracker.shutdown(5) is False
        assert dict(balance(tracker, captured=1).dropped) == {"shutdown": 1}
        pending.close(JANE)
        assert dict(balance(tracker, captured=1).dropped) == {"shutdown": 1}
    assert api.events == []


def test_a_forked_child_leaves_what_waits_to_its_parent(kept, asked):
    with request(asked) as pending:
        track("waits")
        child = os.fork()
        if child == 0:
            pending.close(JANE)
            os._exit(0 if journy_track.stats().captured == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        pending.close(JANE)
    assert kept.users() == ["jane"]


def test_no_item_stays_behind_when_the_answer_comes_in_the_same_moment(api, tracker, balance):
    """Four threads capture while the request ends."""
    for _ in range(50):
        asked = Asked()
        start = threading.Barrier(5)
        with request(asked) as pending:

            def capture(start: threading.Barrier = start) -> None:
                start.wait(10)
                for _ in range(5):
                    track("raced")

            threads = [threading.Thread(target=journy_track.in_context(capture)) for _ in range(4)]
            for thread in threads:
                thread.start()
            start.wait(10)
            pending.close(JANE)
            for thread in threads:
                thread.join()
            assert not pending.waiting
    assert tracker.flush(30)
    assert balance(tracker, captured=1000).delivered == 1000
