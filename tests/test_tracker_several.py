"""A second tracker next to the global one, and trackers that come and go."""

from __future__ import annotations

import gc
import os
import threading

import pytest

import journy_track
from journy_track import ConfigurationError, Tracker, _process


def test_a_second_tracker_has_its_own_settings_and_shares_the_context(api, tracker, balance):
    second = Tracker("another-key", base_url=api.url, metadata={"from": "second"})
    with journy_track.user("u1"):
        second.track("signed_in")
        journy_track.track("signed_out")
    assert second.flush(5)
    assert tracker.flush(5)
    assert {event.name: event.metadata for event in api.events} == {"signed_in": {"from": "second"}, "signed_out": {}}
    assert {request.key for request in api.requests} == {"…-key", "…6789"}
    assert balance(second, captured=1).delivered == balance(tracker, captured=1).delivered == 1
    assert second.shutdown(5)
    assert journy_track.get_tracker() is tracker


def test_a_trackers_decorator_records_with_that_tracker(api, tracker):
    second = Tracker(base_url=api.url, metadata={"from": "second"})

    @second.track_event("signed_in", user="u1")
    def sign_in() -> None: ...

    sign_in()
    assert second.shutdown(5)
    assert api.events[0].metadata == {"from": "second"}
    assert tracker.stats().captured == 0


def test_a_tracker_takes_what_configure_takes_and_checks_it():
    with pytest.raises(ConfigurationError, match="queue_size"):
        Tracker(queue_size=0)


def test_repr_tells_state_and_address_and_no_key(api):
    tracker = Tracker("a-secret-key", base_url=api.url)
    assert repr(tracker) == f"<journy_track.Tracker {api.url} enabled>"
    tracker.shutdown(0)
    assert repr(tracker) == f"<journy_track.Tracker {api.url} shut down>"
    assert repr(Tracker(enabled=False)) == "<journy_track.Tracker https://api.journy.io disabled>"


@pytest.mark.slow
def test_a_hundred_replaced_trackers_leave_nothing_behind(api, balance):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    replaced = []
    for number in range(100):
        replaced.append(journy_track.configure("a-key", base_url=api.url, metadata={"number": number}))
        journy_track.track("signed_in", user="u1")
    assert replaced[-1].flush(10)
    api.wait_for(lambda api: len(api.events) == 100, timeout=20)
    for tracker in replaced[:-1]:
        assert tracker.flush(5)
        assert balance(tracker, captured=1).delivered == 1
    assert replaced[-1].shutdown(5)
    for thread in threading.enumerate():
        if thread.name == "journy_track":
            thread.join(5)
    assert not _process._living
    gc.collect()
    if before:
        # A connection left open would hold two descriptors, ours and the server's. The server may close its own late.
        assert len(os.listdir("/proc/self/fd")) < before + 120


def test_a_shutdown_while_another_thread_makes_the_queue_of_a_forked_child_keeps_it_closed(api):
    class Overtaken(Tracker):
        """Is shut down by another thread whenever its queue is about to be opened or closed."""

        overtaken = False

        @property
        def _closed(self):
            closed = self.closed_
            if self.overtaken:
                self.overtaken = False
                assert self.shutdown(0)
            return closed

        @_closed.setter
        def _closed(self, closed):
            self.closed_ = closed

    tracker = Overtaken("a-key", base_url=api.url)
    tracker.after_fork()
    tracker.overtaken = True
    assert tracker._queue().closed
