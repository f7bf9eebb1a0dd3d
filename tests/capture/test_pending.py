"""A scope whose actor has to be looked up: what waits until the actor is known, and how that is counted."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import journy_track
from journy_track import AccountIdentified, UserIdentified, track
from journy_track._capture import request as requests
from journy_track._capture.context import Change, enter, leave
from journy_track._capture.request import NOBODY, PERHAPS_SKIPPED, SKIP_FAILED, SKIPPED, Actor, Cell, Pending
from journy_track._model.frozendict import FrozenDict

JANE = Actor(UserIdentified("jane"), AccountIdentified("acme"), journy_track.current_context().metadata)


class Asked:
    """Returns *actor*, and counts the calls."""

    def __init__(self) -> None:
        self.actor: Actor | None = None
        self.times = 0
        self.on_ask: Callable[[], Any] = lambda: None

    def __call__(self, moment: object) -> Actor | None:
        self.times += 1
        self.on_ask()
        return self.actor


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


def test_an_event_asks_and_what_comes_later_does_not(kept, asked):
    asked.actor = JANE
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
    asked.actor = Actor(user=None, account=AccountIdentified("acme"), lasting=False)
    with request(asked):
        track("seen")
        asked.actor = JANE
        track("signed_in")
    assert kept.users() == [None, "jane"]


def test_who_was_known_in_part_stays_so_when_nobody_can_be_asked_any_more(kept, asked):
    asked.actor = Actor(UserIdentified("jane"), account=None, lasting=False)
    with request(asked) as pending:
        track("first")
        asked.actor = None
        track("waits")
        pending.close(None)
        track("late")
        assert journy_track.current_context().user == UserIdentified("jane")
    assert kept.users() == ["jane"] * 3


def test_who_has_changed_is_not_who_it_was(kept, asked):
    asked.actor = Actor(UserIdentified("jane"), account=None, lasting=False)
    with request(asked) as pending:
        track("first")
        asked.actor = None
        pending.renew()
        pending.close(None)
        track("late", account="acme")
    assert kept.users() == ["jane", None]


def test_what_is_set_in_the_request_wins(kept, asked):
    asked.actor = JANE
    with request(asked):
        journy_track.set_user("joe")
        track("set")
        with journy_track.user("jim"):
            track("in_block")
    assert kept.users() == ["joe", "jim"]


def test_current_asks_too(asked):
    asked.actor = JANE
    with request(asked):
        assert journy_track.current_context().user == UserIdentified("jane")
        with journy_track.scope(inherit=True):
            assert journy_track.current_context().user == UserIdentified("jane")


def test_metadata_of_the_actor_is_beneath_all_other(kept, asked):
    with request(asked) as pending:
        journy_track.add_metadata(plan="of the request")
        track("first")
        track("second", seats=5)
        pending.close(Actor(UserIdentified("jane"), metadata=FrozenDict(plan="asked", seats=1, region="eu")))
    assert [event.metadata for event in kept()] == [
        {"plan": "of the request", "seats": 1, "region": "eu"},
        {"plan": "of the request", "seats": 5, "region": "eu"},
    ]


def test_what_is_captured_while_asking_waits_and_does_not_ask(kept, asked):
    asked.actor = JANE
    asked.on_ask = lambda: track("asking")
    with request(asked):
        track("first")
    assert asked.times == 1
    assert kept.users() == ["jane", "jane"]


def test_without_an_actor_what_waits_is_dropped_for_lack_of_identity(api, tracker, asked, balance):
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


def test_nobody_is_asked_after_the_end_of_a_request_that_did_not_need_to_know(kept, asked):
    asked.actor = JANE
    with request(asked) as pending:
        assert pending.end()
        assert pending.attributes(pending._cell) is not None  # like a thread that found it pending a moment ago
        track("late", account="acme")
    assert asked.times == 0
    assert kept.users() == [None]


def test_a_user_who_changes_is_asked_for_again(kept, asked):
    asked.actor = JANE
    with request(asked) as pending:
        journy_track.set_account("of the request")
        track("first")
        asked.actor = Actor(UserIdentified("joe"))
        pending.renew()
        track("second")
    assert [(event.user.user_id, event.account.account_id) for event in kept()] == [
        ("jane", "of the request"),
        ("joe", "of the request"),
    ]


def test_a_full_room_drops_and_counts_but_lets_go_who_has_an_identity(api, tracker, asked, balance, monkeypatch):
    monkeypatch.setattr(requests, "MAX_WAITING", 3)
    with request(asked) as pending:
        for number in range(5):
            track("nobodys", number=number)
        track("janes", user="jane")
        assert tracker.stats().dropped == {"waiting_room_full": 2}
        pending.close(JANE)
    assert tracker.flush(10)
    assert balance(tracker, captured=6).delivered == 4


@contextmanager
def skippable(asked: Asked) -> Iterator[Pending]:
    cell = Cell()
    cell.pending = Pending(cell, asked, unknown=PERHAPS_SKIPPED, may_skip=True)
    entry = enter(Change(cell=cell))
    try:
        yield cell.pending
    finally:
        leave(entry)


@pytest.mark.parametrize("actor", [SKIPPED, NOBODY], ids=["skipped", "tracked"])
def test_a_scope_in_a_request_that_ends_on_another_thread_meanwhile(api, tracker, asked, balance, actor):
    with skippable(asked) as pending, journy_track.scope():
        asked.on_ask = lambda: pending.close(actor)  # after it was asked, before the item waits
        track("within", user="u9")
        track("later", user="u9")
        journy_track.delete_user("u2")
    assert tracker.flush(10)
    skipped = actor is SKIPPED
    assert dict(balance(tracker, captured=3).dropped) == ({"suppressed": 2} if skipped else {})
    assert [event.name for event in api.events] == ([] if skipped else ["within", "later"])


@pytest.mark.parametrize("actor", [SKIPPED, NOBODY, None], ids=["skipped", "tracked", "unknown"])
def test_a_request_that_ends_after_the_one_around_it(kept, asked, actor):
    inner = Asked()
    with skippable(asked) as around:
        cell = Cell()
        outside = around._cell
        cell.pending = pending = Pending(cell, inner, outside=outside)
        entry = enter(Change(cell=cell))
        track("first")
        around.close(actor)
        pending.close(JANE)
        track("late", user="u9")
        leave(entry)
    assert kept.users() == (["jane", "u9"] if actor is NOBODY else [])


def test_a_lookup_that_fails_is_repeated_and_what_waits_is_not_sent_without_it(kept, asked):
    asked.actor = SKIP_FAILED
    with skippable(asked) as pending:
        track("first", user="u9")
        assert pending.skip_failed
        assert pending.waiting
        asked.actor = NOBODY
        track("second", user="u9")
        assert not pending.skip_failed
        assert not pending.waiting
        pending.renew()
        asked.actor = SKIP_FAILED
        track("third", user="u9")
        pending.close(None)
    assert kept.names() == ["first", "second"]


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("actor", [JANE, None], ids=["an actor", "nobody was asked"])
def test_no_item_stays_behind_when_the_request_ends_in_the_same_moment(api, tracker, balance, actor):
    """Four threads capture while the request ends."""
    for _ in range(50):
        asked = Asked()
        start = threading.Barrier(5)
        with request(asked) as pending:

            def capture(start: threading.Barrier = start) -> None:
                start.wait(10)
                for _ in range(5):
                    track("raced", account="acme")

            threads = [threading.Thread(target=journy_track.in_context(capture)) for _ in range(4)]
            for thread in threads:
                thread.start()
            start.wait(10)
            if actor is not None or not pending.end():
                pending.close(actor)
            for thread in threads:
                thread.join()
            assert not pending.waiting
    assert tracker.flush(30)
    assert balance(tracker, captured=1000).delivered == 1000


# ── A user who changes within a request, as far as that can be detected ──


class Seen:
    """What the actor depends on, and the actor for each value of it."""

    def __init__(self) -> None:
        self.user: object = None
        self.actors: dict[object, Actor | None] = {}
        self.asked: list[object] = []

    def moment(self) -> tuple[object, ...]:
        return (self.user,)

    def __call__(self, moment: tuple[object, ...]) -> Actor | None:
        self.asked.append(moment[0])
        return self.actors.get(moment[0])


@contextmanager
def watched(seen: Seen) -> Iterator[Pending]:
    cell = Cell()
    cell.pending = Pending(cell, seen, seen.moment)
    entry = enter(Change(cell=cell))
    try:
        yield cell.pending
    finally:
        leave(entry)


@pytest.fixture
def seen() -> Seen:
    seen = Seen()
    seen.actors = {name: Actor(UserIdentified(name)) for name in ("jane", "joe")}
    return seen


def test_an_actor_holds_as_long_as_its_moment(kept, seen):
    with watched(seen):
        for seen.user in ("jane", "jane", "joe", "joe", "jane"):
            track("seen")
    assert kept.users() == ["jane", "jane", "joe", "joe", "jane"]
    assert seen.asked == ["jane", "joe", "jane"]


def test_what_waits_gets_the_actor_of_its_own_moment(kept, seen):
    actors, seen.actors = seen.actors, {}
    with watched(seen):
        seen.user = "jane"
        track("first")
        seen.user = "joe"
        track("second")
        seen.actors = actors
        track("third")
    assert [(event.name, event.user.user_id) for event in kept()] == [
        ("first", "jane"),
        ("second", "joe"),
        ("third", "joe"),
    ]


def test_what_waits_since_an_earlier_moment_is_nobodys_when_its_actor_cannot_be_found(kept, seen):
    seen.actors = {}
    with watched(seen) as pending:
        seen.user = "jane"
        track("first", account="acme")
        seen.user = "joe"
        track("second")
        pending.close(Actor(UserIdentified("joe")))
    assert {event.name: event.user and event.user.user_id for event in kept()} == {"first": None, "second": "joe"}


def test_a_user_who_was_not_looked_at_yet_has_not_changed(kept, seen):
    seen.actors = {}
    with watched(seen) as pending:
        track("before_the_authentication")
        seen.user = "jane"
        pending.close(JANE)
    assert kept.users() == ["jane"]


def test_an_actor_that_does_not_hold_any_more_is_not_given_to_what_waits(kept, seen):
    with watched(seen) as pending:
        seen.user = "jane"
        track("first")
        seen.user = "unknown yet"
        track("second", account="acme")
        pending.close(None)
        track("late", account="acme")
    assert kept.users() == ["jane", None, None]
