"""before_send, on_error, and other code that runs on the library's own threads."""

from __future__ import annotations

import dataclasses
import threading

import pytest

import journy_track
from journy_track import Event, UserIdentified


def configure(api, before_send, **settings):
    return journy_track.configure("a-key", base_url=api.url, before_send=before_send, **settings)


def test_before_send_sees_items_with_their_values_converted_on_the_workers_thread(api):
    seen = []
    tracker = configure(api, lambda item: seen.append((item, threading.current_thread().name)) or item)
    journy_track.track("signed_in", user=7, nothing=None, tags=None, theme="dark")
    journy_track.upsert_account(account="acme", tags=[1, True])
    assert tracker.flush(5)
    (event, where), (upsert, _) = seen
    assert (event.user, event.metadata, where) == (UserIdentified("7"), {"theme": "dark"}, "journy_track")
    assert list(upsert.properties["tags"]) == ["1", "true"]


def test_before_send_changes_what_is_sent(api, balance):
    def scrub(item):
        return item.with_metadata({"email": "…", "added": 1}) if isinstance(item, Event) else item

    tracker = configure(api, scrub)
    journy_track.track("signed_in", user="u1", email="jane@acme.com")
    assert tracker.flush(5)
    assert api.events[0].metadata == {"email": "…", "added": 1}
    assert balance(tracker, captured=1).delivered == 1


def test_the_identity_that_before_send_answers_is_the_one_used(api):
    tracker = configure(api, lambda item: dataclasses.replace(item, user=UserIdentified("hashed")))
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert api.events[0].user == {"userId": "hashed"}


def test_what_before_send_answers_is_validated_again(api, caplog):
    tracker = configure(api, lambda item: item.with_metadata({"nan": float("nan"), "list": [1], "kept": 1}))
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert api.events[0].metadata == {"kept": 1}
    assert "event 'signed_in': the value of 'nan' was left out" in caplog.text


def test_before_send_drops_what_it_answers_none_for(api, balance):
    tracker = configure(api, lambda item: None if item.name == "ping" else item)
    journy_track.track("ping", user="u1")
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert [event.name for event in api.events] == ["signed_in"]
    assert balance(tracker, captured=2).dropped == {"before_send": 1}


class Scrubber:
    def forgets(self, item):
        item.with_metadata({})

    def __call__(self, item):
        if item.name == "ping":
            return
        item.with_metadata({})  # returns None


def forgets_to_return(item):
    item.with_metadata({})


@pytest.mark.parametrize("hook", [forgets_to_return, Scrubber().forgets, Scrubber(), lambda item: None])
def test_before_send_that_never_returns_an_item_is_logged_once(api, caplog, hook):
    tracker = configure(api, hook)
    for _ in range(3):
        journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert tracker.stats().dropped == {"before_send": 3}
    assert caplog.text.count("before_send never returns an item") == 1


@pytest.mark.parametrize(
    "hook", [lambda item: None if item.name else item, lambda item: item and None, [].append, lambda item: [].clear()]
)
def test_before_send_that_may_return_one_is_not(api, caplog, hook):
    tracker = configure(api, hook)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert tracker.stats().dropped == {"before_send": 1}
    assert "never returns" not in caplog.text


class Cancelled(BaseException):
    pass


@pytest.mark.parametrize(
    "raised", [ValueError("jane@acme.com"), SystemExit(1), GeneratorExit(), Cancelled()], ids=repr
)
def test_before_send_that_raises_fails_closed(api, caplog, balance, raised):
    def scrub(item):
        if item.name == "signed_in":
            raise raised
        return item

    tracker = configure(api, scrub)
    journy_track.track("signed_in", user="u1", email="jane@acme.com")
    journy_track.track("signed_out", user="u1")
    assert tracker.flush(5)
    assert [event.name for event in api.events] == ["signed_out"]
    assert balance(tracker, captured=2).dropped == {"before_send_failed": 1}
    assert f"before_send raised {type(raised).__name__}" in caplog.text
    assert "jane@acme.com" not in caplog.text


@pytest.mark.parametrize("answer", [True, {"name": "signed_in"}, "signed_in", Event], ids=repr)
def test_before_send_that_answers_no_item_fails_closed(api, caplog, balance, answer):
    tracker = configure(api, lambda item: answer)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert not api.requests
    assert balance(tracker, captured=1).dropped == {"before_send_failed": 1}
    assert "before_send returned a" in caplog.text


def test_before_send_may_answer_another_item(api, balance):
    tracker = configure(api, lambda item: journy_track.UpsertUser(item.user, {"seen": True}))
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert api.users[0].properties == {"seen": True}
    assert balance(tracker, captured=1).delivered == 1


def test_what_is_captured_in_our_own_hooks_is_counted_and_never_sent(api, caplog, balance):
    def echo(item):
        journy_track.track("echo", user="u1")
        return item

    tracker = configure(api, echo)
    journy_track.track("signed_in", user="u1")
    journy_track.track("signed_out", user="u1")
    assert tracker.flush(5)
    assert [event.name for event in api.events] == ["signed_in", "signed_out"]
    assert balance(tracker, captured=4).dropped == {"own_code": 2}
    assert "captured in journy_track's own threads or hooks" in caplog.text


def test_a_log_handler_that_captures_events_starts_no_endless_loop(api, balance, monkeypatch):
    # Catches: a worker without the guard: one event became 65 requests in 3 seconds, without end.
    import logging

    send = journy_track.RequestsHttpClient.send

    def logged(self, request):  # as HTTP libraries log each request
        logging.getLogger("urllib3").debug("POST")
        return send(self, request)

    class Tracks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            journy_track.track("logged", user="u1")

    monkeypatch.setattr(journy_track.RequestsHttpClient, "send", logged)
    tracker = configure(api, None)
    root, handler = logging.getLogger(), Tracks(logging.DEBUG)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        journy_track.track("signed_in", user="u1")
        assert tracker.flush(5)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert [event.name for event in api.events] == ["signed_in"]
    assert tracker.stats().dropped["own_code"] >= 1


@pytest.mark.parametrize("hook", ["before_send", "on_error"])
def test_waiting_in_a_hook_answers_false_at_once(api, hook):
    answers = []

    def wait(item):
        answers.append((journy_track.flush(30), journy_track.shutdown(30)))
        return item

    tracker = journy_track.configure("a-key", base_url=api.url, **{hook: wait})
    api.answer_next(400)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert answers == [(False, False)]
    assert not tracker.closed


@pytest.mark.parametrize(
    "metadata",
    [
        {"text": "x" * 70_000},
        {"text": "ü" * 33_000},
        {"text": "\x01" * 11_000},
        {f"key {number:0100}": 1 for number in range(700)},
        {f"n{number}": 10**300 for number in range(220)},
    ],
    ids=["text", "two bytes a character", "escaped", "keys", "numbers"],
)
def test_an_item_larger_than_64_kib_is_refused_and_counted(api, tracker, caplog, balance, metadata):
    journy_track.track("signed_in", metadata, user="u1")
    assert tracker.flush(5)
    assert not api.requests
    assert balance(tracker, captured=1).dropped == {"too_large": 1}
    assert "event 'signed_in' is larger than 65536 bytes" in caplog.text


def test_an_item_of_nearly_64_kib_is_sent(api, tracker):
    journy_track.track("signed_in", user="u1", text="x" * 65_000)
    assert tracker.flush(5)
    assert len(api.events) == 1


def test_members_with_long_ids_are_refused_when_they_exceed_64_kib(api, tracker, balance):
    journy_track.add_users_to_account("acme", [f"{number}" + "x" * 1000 for number in range(100)])
    assert tracker.flush(5)
    assert balance(tracker, captured=1).dropped == {"too_large": 1}


def test_whoever_waits_for_an_item_waits_for_on_error_to_be_told(api):
    told, go_on = threading.Event(), threading.Event()

    def on_error(undelivered):
        told.set()
        assert go_on.wait(10)

    tracker = journy_track.configure("a-key", base_url=api.url, on_error=on_error)
    api.answer_next(400)
    journy_track.track("signed_in", user="u1")
    assert told.wait(5)
    assert not tracker.flush(0.05)
    go_on.set()
    assert tracker.flush(5)
