"""Application code that capturing calls: callbacks, values that convert themselves, IDs that create their text."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

import pytest

import journy_track
from journy_track import track, track_event


class Zone(tzinfo):
    """A time zone with decorated methods: converting what they track calls them again."""

    @track_event("asked_zone", metadata=lambda call: {"at": datetime(2026, 1, 1, tzinfo=Zone())})
    def utcoffset(self, at):
        return timedelta(0)

    def dst(self, at):
        return None


class Number:
    @track_event("asked_index", user=lambda call: Number())
    def __index__(self):
        return 5


class Values(Mapping):
    def __getitem__(self, key):
        return 1

    @track_event("asked_mapping", user="u1")
    def __iter__(self):
        return iter(["n"])

    def __len__(self):
        return 1


class Device:
    @track_event("asked_device", user="u1")
    def __eq__(self, other):
        return True

    __hash__ = None


@track_event("asked_callback")
def callback(call):
    return 7


@track_event("worked", user=callback, account=callback, when=callback, metadata=lambda call: {"n": callback(call)})
def work():
    pass


@pytest.mark.parametrize(
    ("capture", "name"),
    [
        (lambda: track("seen", user="u1", at=datetime(2026, 1, 1, tzinfo=Zone())), "seen"),
        (lambda: track("seen", user="u1", n=Number()), "seen"),
        (lambda: track("seen", user=Number()), "seen"),
        (lambda: track("seen", user="u1", happened_at=datetime(2026, 1, 1, tzinfo=Zone())), "seen"),
        (lambda: track("seen", Values(), user="u1"), "seen"),
        (work, "worked"),
    ],
    ids=["time zone", "value", "ID", "time", "mapping", "callbacks"],
)
def test_what_capturing_calls_is_not_captured(kept, capture, name):
    capture()
    assert kept.names() == [name]
    assert dict(kept.tracker.stats().dropped) == {"before_send": 1}


def test_members_and_devices_are_looked_at_without_tracking(kept):
    journy_track.link(Device(), user="u1")
    journy_track.add_users_to_account("acme", [Number(), "u2"])
    assert [user.user_id for user in kept.one().users] == ["5", "u2"]


def test_blocks_and_setters_convert_without_tracking(kept):
    with journy_track.scope(), journy_track.user(Number()), journy_track.metadata(n=Number()):
        journy_track.set_account(Number())
        journy_track.add_metadata(m=Number())
        track("seen")
    event = kept.one()
    assert (event.user.user_id, event.account.account_id, event.metadata) == ("5", "5", {"n": 5, "m": 5})


def test_a_callback_sees_the_context_and_may_set_what_it_likes_in_the_scope(kept):
    seen = []

    def when(call):
        seen.append(journy_track.current_context().user)
        journy_track.set_account("acme")
        return True

    @track_event("worked", when=when)
    def decided():
        pass

    with journy_track.scope():
        journy_track.set_user("jane")
        decided()
        track("later")
    assert [(event.name, event.user.user_id, event.account.account_id) for event in kept()] == [
        ("worked", "jane", "acme"),
        ("later", "jane", "acme"),
    ]
    assert seen == [journy_track.UserIdentified("jane")]


def test_what_a_callback_starts_and_outlives_it_is_captured(kept):
    go = threading.Event()
    threads = []

    def starting(call):
        thread = threading.Thread(target=journy_track.in_context(lambda: go.wait(10) and track("background")))
        thread.start()
        threads.append(thread)
        return "jane"

    @track_event("worked", user=starting)
    def decided():
        pass

    with journy_track.user("joe"):
        decided()
    go.set()
    threads[0].join(10)
    assert kept.users() == ["jane", "joe"]
