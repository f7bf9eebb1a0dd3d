"""Senders: threads that start when needed and end when idle. Delivery also works where none can be started."""

from __future__ import annotations

import threading

import pytest

from journy_track._delivery import senders
from journy_track._delivery.senders import Senders

from ..timing import keeps_to

JOIN = 5.0


@pytest.fixture
def refuse_senders(monkeypatch):
    """Make every start of a sender thread fail from now on."""
    start = threading.Thread.start

    def refused(thread):
        if thread.name.startswith("journy_track sender"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)


def test_an_idle_sender_ends(monkeypatch):
    monkeypatch.setattr(senders, "IDLE", 0.01)
    done = threading.Event()
    some = Senders(2, lambda _: done.set(), lambda: None)
    assert some.hand("work")
    some.join(JOIN)
    assert done.is_set()
    assert not some.alive


def test_stop_ends_the_idle_senders_at_once():
    some = Senders(2, lambda _: None, lambda: None)
    assert some.hand("work")
    some.stop()
    some.join(JOIN)
    assert not some.alive
    assert not some.hand("more")


def test_a_busy_sender_ends_after_its_work():
    gate = threading.Event()
    some = Senders(1, lambda _: gate.wait(JOIN) and None, lambda: None)
    some.hand("work")
    some.stop()
    assert some.alive
    gate.set()
    some.join(JOIN)
    assert not some.alive


def test_no_more_than_the_most_start():
    gate = threading.Event()
    some = Senders(2, lambda _: gate.wait(JOIN) and None, lambda: None)
    assert [some.hand(number) for number in range(3)] == [True, True, False]
    gate.set()
    some.stop()
    some.join(JOIN)


def test_join_takes_one_time_for_all_senders():
    gate = threading.Event()
    some = Senders(8, lambda _: gate.wait(JOIN) and None, lambda: None)
    for number in range(8):
        some.hand(number)
    keeps_to(0.2, lambda: some.join(0.2))
    gate.set()
    some.stop()
    some.join(JOIN)


def test_without_a_thread_to_be_had_the_work_is_refused_and_the_next_tries_again(monkeypatch):
    some = Senders(1, lambda _: None, lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("can't start")))
        assert not some.hand("work")
    assert some.hand("work")
    some.stop()
    some.join(JOIN)


def test_the_worker_sends_by_itself_where_no_sender_can_start(api, tracker, refuse_senders, balance):
    for number in range(20):
        tracker.track("signed_in", user=f"u{number}")
    assert tracker.flush(10)
    assert balance(tracker, 20).delivered == 20
    assert len(api.events) == 20


def test_whoever_joins_while_a_thread_is_being_started_does_not_fail(monkeypatch):
    start = threading.Thread.start
    done = threading.Event()
    some = Senders(1, lambda _: done.set(), lambda: None)

    def joined_first(thread):
        some.join(0)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", joined_first)
    assert some.hand("work")
    assert done.wait(JOIN)
    some.stop()
    some.join(JOIN)
