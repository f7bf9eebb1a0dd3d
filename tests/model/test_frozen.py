"""What is handed to the worker: immutable built-ins, and none of the app's code."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timezone
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

import journy_track
from journy_track._model.values import Refused, frozen, frozen_mapping

from . import samples
from .test_values import REFUSED, TAKEN

BUILT_IN = (str, bool, int, float, type(None), datetime, date, Decimal, UUID, Refused)
ZONES = (type(None), timezone, ZoneInfo)


def crosses_safely(value):
    if type(value) is tuple:
        return all(crosses_safely(element) for element in value)
    return type(value) in BUILT_IN and (type(value) is not datetime or type(value.tzinfo) in ZONES)


@pytest.mark.parametrize("value", [given for given, _ in TAKEN + REFUSED], ids=lambda value: type(value).__name__)
def test_only_immutable_built_ins_are_left_after_freezing(value):
    assert crosses_safely(frozen(value))
    assert crosses_safely(frozen([value, (value,), None]))
    [(key, kept)] = frozen_mapping({samples.Text("key"): value}).items()
    assert type(key) is str
    assert crosses_safely(kept)


def test_a_list_is_copied():
    tags = ["a", ["b"]]
    kept = frozen(tags)
    tags[0] = "z"
    assert kept[0] == "a"
    assert type(kept[1]) is Refused


def test_what_an_iteration_raises_is_a_refusal():
    class Rows(list):
        def __iter__(self):
            raise RuntimeError("the connection is closed")

    assert frozen(Rows()) == Refused("converting a Rows raised RuntimeError")


def test_a_value_is_read_where_it_is_captured_and_as_it_was_then(tracker, api):
    readers = []

    class Lazy(samples.LazyText):
        def __str__(self):
            readers.append(threading.current_thread())
            return self.text

    values = {"lazy": Lazy("then"), "at": datetime(2024, 5, 17, tzinfo=samples.OwnZone())}
    tags = ["then"]
    journy_track.track("signed_in", values, user="u1")
    journy_track.upsert_user(user="u1", tags=tags)
    values["lazy"], tags[0] = "later", "later"
    assert tracker.flush(timeout=5)
    assert api.events[0].metadata == {"lazy": "then", "at": "2024-05-16T23:00:00.000Z"}
    assert api.users[0].properties == {"tags": ["then"]}
    assert readers == [threading.current_thread()]


def test_the_worker_runs_no_code_of_a_key(tracker, api):
    class Key(str):
        __slots__ = ()

        def __str__(self):
            raise AssertionError("the app's code ran")

    journy_track.track("signed_in", {Key("plan"): "pro"}, user="u1")
    journy_track.track("signed_in", {Key("plan"): datetime(2024, 5, 17, tzinfo=UTC)}, user="u1")
    assert tracker.flush(timeout=5)
    assert [list(event.metadata) for event in api.events] == [["plan"], ["plan"]]
