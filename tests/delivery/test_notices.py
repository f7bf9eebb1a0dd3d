"""Log lines that external requests can cause: at most a few of each kind per minute, and a count of the rest."""

from __future__ import annotations

import pytest

import journy_track
from journy_track import Event, UserIdentified
from journy_track._delivery.dispatcher import Dispatcher
from journy_track._delivery.feed import Feed
from journy_track._delivery.worker import Worker
from journy_track._model.items import UpsertUser
from journy_track._model.notices import EVERY, MAX_OF_A_KIND, MAX_OF_A_SUBJECT, Notices

UNSENDABLE = float("nan")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def notices(clock) -> Notices:
    return Notices(clock)


def lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_an_event_with_20_000_bad_keys_logs_a_few_lines(tracker, caplog):
    journy_track.track("imported", {f"key {number}": UNSENDABLE for number in range(20_000)}, user="u1")
    assert tracker.flush(30)
    about = [line for line in lines(caplog) if "was left out" in line]
    assert len(about) == MAX_OF_A_SUBJECT


@pytest.mark.slow
def test_3_000_event_names_log_a_few_lines(tracker, caplog):
    for number in range(3_000):
        journy_track.track(f"named {number}", user="u1", value=UNSENDABLE)
    assert tracker.flush(30)
    assert len([line for line in lines(caplog) if "was left out" in line]) == MAX_OF_A_KIND


def test_3_000_event_names_without_a_user_log_a_few_lines(tracker, caplog):
    for number in range(3_000):
        journy_track.track(f"named {number}")
    assert tracker.flush(30)
    assert len([line for line in lines(caplog) if "has neither user nor account" in line]) == MAX_OF_A_KIND


def test_a_client_call_with_many_bad_keys_logs_a_few_lines(api, caplog):
    client = journy_track.Client(None, journy_track.ClientConfig("a-key", base_url=api.url))
    bad = {f"key {number}": UNSENDABLE for number in range(1_000)}
    with client:
        for _ in range(2):
            client.add_event(Event.for_user("imported", UserIdentified("u1")).with_metadata(bad))
    assert len([line for line in lines(caplog) if "was left out" in line]) == MAX_OF_A_SUBJECT


def test_properties_that_journy_io_does_not_take_log_a_few_lines(notices, caplog):
    from journy_track._delivery.reports import Reports
    from journy_track._model.config import Config
    from journy_track._model.outcomes import Response
    from journy_track._stores.store import Job

    job = Job(1, 0.0, 0.0)
    job.item = UpsertUser(UserIdentified("u1"))
    rejected = {f"property {number}": "unknown" for number in range(1_000)}
    Reports(Config.load("key", environ={}), notices).rejected_properties(job, Response(201, rejected=rejected))
    assert len(lines(caplog)) == MAX_OF_A_SUBJECT


def test_what_was_left_out_is_counted_when_the_next_line_is_logged(notices, clock, caplog):
    for number in range(500):
        notices.log(("left out", "event", number), "%d", number)
    clock.now += EVERY
    notices.log(("left out", "event", "another"), "again.")
    assert lines(caplog)[-1] == f"again. ({500 - MAX_OF_A_SUBJECT} more like this since the last one.)"


def test_what_was_left_out_is_counted_when_the_trouble_is_over(notices, caplog):
    for number in range(500):
        notices.log(("deferred", f"reason {number}"), "delayed")
    notices.log_left_out("deferred")
    assert lines(caplog)[-1].startswith(f"{500 - MAX_OF_A_KIND} similar lines were suppressed")


def test_a_flood_of_one_kind_leaves_out_no_line_of_another(notices, caplog):
    for number in range(500):
        notices.log(("left out", number), "flood")
    notices.log("key", "the key is refused")
    notices.log(("given up", "status 422"), "given up")
    assert lines(caplog)[MAX_OF_A_KIND:] == ["the key is refused", "given up"]


def test_a_cause_is_logged_once_a_minute_also_when_others_of_its_kind_come_between(notices, clock, caplog):
    for _ in range(3 * int(EVERY)):
        notices.log(("deferred", "503"), "503")
        notices.log(("deferred", "504"), "504")
        clock.now += 1.0
    assert [line[:3] for line in lines(caplog)] == ["503", "504"] * 3
    assert lines(caplog)[-1] == "504 (59 more like this since the last one.)"


def test_what_is_remembered_is_bounded(notices, clock):
    for number in range(10_000):
        notices.log(("left out", f"name {number}", "key"), "flood")
        clock.now += 1.0
    (kind,) = notices._kinds.values()
    assert len(kind._logged) <= MAX_OF_A_KIND


def test_turns_that_fail_one_after_the_other_are_logged_once_and_without_what_was_raised(
    tracker, caplog, monkeypatch
):
    failed: list[int] = []
    look, rest = Feed.look, Worker._rest

    def failing(feed: Feed, to: Dispatcher) -> None:
        if len(failed) < 3:
            failed.append(1)
            raise LookupError("jane@acme.com")
        look(feed, to)

    monkeypatch.setattr(Feed, "look", failing)
    monkeypatch.setattr(Worker, "_rest", lambda worker, wait: rest(worker, wait) if len(failed) == 3 else None)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(10)
    assert len(failed) == 3
    (line,) = [line for line in lines(caplog) if "hit an error" in line]
    assert "LookupError at " in line
    assert not [record for record in caplog.records if record.exc_info or "jane" in record.getMessage()]


@pytest.mark.parametrize("name", ["x" * 100_000, "evil\nERROR root: \x1b[31mhacked\x1b]0;title\x07\u202e"])
def test_a_hostile_event_name_is_one_short_line_without_control_characters(tracker, caplog, name):
    journy_track.track(name, user="u1", value=UNSENDABLE)
    journy_track.track(name)
    assert tracker.flush(10)
    logged = lines(caplog)
    assert logged
    for line in logged:
        assert len(line) < 400
        assert line.isprintable()
