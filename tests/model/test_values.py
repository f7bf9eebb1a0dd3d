"""Which values metadata and properties accept, and how they are serialised."""

from __future__ import annotations

import enum
import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from journy_track._model.values import frozen_mapping, plain_metadata, plain_properties

from . import samples

TAKEN = [
    ("text", "text"),
    ("", ""),
    ("naïve ✓ \U0001f600 \x00 \n", "naïve ✓ \U0001f600 \x00 \n"),
    (True, True),
    (False, False),
    (0, 0),
    (-7, -7),
    (10**300, 10**300),
    (1.5, 1.5),
    (5e-324, 5e-324),
    (datetime(2024, 5, 17, 9, 30, 1, 234567, UTC), "2024-05-17T09:30:01.234Z"),
    (datetime(2024, 5, 17, 9, 30, tzinfo=timezone(timedelta(hours=2))), "2024-05-17T07:30:00.000Z"),
    (datetime(2024, 5, 17, 9, 30, tzinfo=ZoneInfo("Europe/Brussels")), "2024-05-17T07:30:00.000Z"),
    (datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Brussels"), fold=1), "2024-10-27T01:30:00.000Z"),
    (datetime(2024, 5, 17, tzinfo=samples.OwnZone()), "2024-05-16T23:00:00.000Z"),
    (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
    (date(2024, 5, 17), "2024-05-17"),
    (Decimal("19.99"), 19.99),
    (Decimal(20), 20),
    (Decimal("20.00"), 20),
    (Decimal(12345678901234567890), 12345678901234567890),
    (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (samples.Plan.PRO, "pro"),
    (samples.Plan.SINCE, "2024-05-17"),
    (enum.IntEnum("Level", "LOW").LOW, 1),
    (enum.StrEnum("Colour", "RED").RED, "red"),
    (samples.Text("exact"), "exact"),
    (samples.Whole(5), 5),
    (samples.Part(1.5), 1.5),
    (samples.NumpyInteger(), 42),
    (samples.NumpyFloat(), 0.25),
    (samples.NumpyBool(), True),
    (Fraction(1, 4), 0.25),
    (samples.LazyText("translated"), "translated"),
    (samples.Standing("proxied"), "proxied"),
    (samples.Standing(True), True),
    (samples.FakeDatetime(2024, 5, 17, tzinfo=UTC), "2024-05-17T00:00:00.000Z"),
    (samples.FakeDate(2024, 5, 17), "2024-05-17"),
    (PurePosixPath("/a/b"), "/a/b"),
    ("\ud83d\ude00", "\U0001f600"),
    ("a\ud800b", "a\ufffdb"),
    ("\udc00", "\ufffd"),
]

REFUSED = [
    (math.nan, "finite"),
    (math.inf, "finite"),
    (-math.inf, "finite"),
    (Decimal("NaN"), "finite"),
    (Decimal("sNaN"), "finite"),
    (Decimal("-Infinity"), "finite"),
    (Decimal("1e400"), "too large"),
    (10**400, "too large"),
    (-(10**400), "too large"),
    (10**5000, "too large"),
    (Fraction(10**400), "OverflowError"),
    (b"bytes", "decode"),
    (bytearray(b"bytes"), "decode"),
    (memoryview(b"bytes"), "decode"),
    ({"a": 1}, "nested"),
    (object(), "object is not accepted"),
    (1j, "complex is not accepted"),
    (timedelta(1), "timedelta is not accepted"),
    (len, "not accepted"),
    (samples.NumpyDate(), "not accepted"),
    (samples.Broken(), "raised RuntimeError"),
    (samples.Standing(None), "raised"),
    (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "out of range"),
    (datetime(9999, 12, 31, 23, tzinfo=samples.OwnZone(-5)), "raised OverflowError"),
]


def kind_and_value(value):
    return type(value), value


@pytest.mark.parametrize(("given", "travels"), TAKEN, ids=[type(given).__name__ for given, _ in TAKEN])
def test_a_value_travels_in_metadata_and_in_properties(given, travels):
    for plain in (plain_metadata, plain_properties):
        taken, problems = plain(frozen_mapping({"key": given}))
        assert kind_and_value(taken["key"]) == kind_and_value(travels)
        assert problems == []


@pytest.mark.parametrize(("given", "reason"), REFUSED, ids=[type(given).__name__ for given, _ in REFUSED])
def test_a_value_that_cannot_travel_leaves_its_key_out_and_says_why(given, reason):
    for plain in (plain_metadata, plain_properties):
        taken, problems = plain(frozen_mapping({"key": given, "other": 1}))
        assert taken == {"other": 1}
        [(key, told)] = problems
        assert key == "key"
        assert reason in told


def test_none_is_left_out_of_metadata_and_deletes_a_property():
    assert plain_metadata({"gone": None, "plan": ""}) == ({"plan": ""}, [])
    assert plain_properties({"gone": None, "plan": ""}) == ({"gone": None, "plan": ""}, [])


def test_metadata_takes_no_lists():
    taken, [(key, reason)] = plain_metadata(frozen_mapping({"tags": ["a"], "plan": "pro"}))
    assert (taken, key) == ({"plan": "pro"}, "tags")
    assert "not accept lists" in reason


@pytest.mark.parametrize(
    ("given", "travels"),
    [
        (["a", 1, 1.5, True, False, None], ("a", "1", "1.5", "true", "false")),
        (("a",), ("a",)),
        ([], ()),
        ({"b", "a"}, ("a", "b")),
        (frozenset({2, 1}), ("1", "2")),
        ([date(2024, 5, 17), Decimal("1.10"), samples.Plan.PRO], ("2024-05-17", "1.1", "pro")),
    ],
)
def test_a_list_among_properties_travels_as_texts(given, travels):
    taken, problems = plain_properties(frozen_mapping({"tags": given}))
    assert (taken, problems) == ({"tags": travels}, [])


def test_an_element_that_cannot_travel_leaves_only_itself_out():
    taken, problems = plain_properties(frozen_mapping({"tags": ["a", b"b", ["c"], {"d": 1}, math.nan]}))
    assert taken == {"tags": ("a",)}
    assert [key for key, _ in problems] == ["tags"] * 4


def test_properties_that_were_converted_convert_to_themselves():
    once, _ = plain_properties(frozen_mapping({"tags": ["a", 1], "at": datetime(2024, 5, 17, tzinfo=UTC), "n": None}))
    assert plain_properties(once) == (once, [])


class Key(enum.StrEnum):
    PLAN = "plan"


@pytest.mark.parametrize(
    ("key", "travels"),
    [
        (Key.PLAN, "plan"),
        (samples.Text("plan"), "plan"),
        (enum.Enum("Name", {"A": "plan"}).A, "plan"),
        (5, "5"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_a_key_with_a_text_form_travels_also_past_the_freezing(key, travels):
    for values in ({key: 1}, frozen_mapping({key: 1})):
        assert plain_metadata(values) == plain_properties(values) == ({travels: 1}, [])


@pytest.mark.parametrize("key", ["", None, True, 1.5, b"plan", ("a",), object(), samples.Plan])
def test_a_key_without_one_is_left_out(key):
    for plain in (plain_metadata, plain_properties):
        taken, problems = plain(frozen_mapping({key: 1, "other": 2}))
        assert taken == {"other": 2}
        assert len(problems) == 1


def test_a_naive_datetime_is_local_time_and_warned_of_once():
    code = (
        "import time, os; os.environ['TZ'] = 'America/New_York'; time.tzset()\n"
        "from datetime import datetime\n"
        "from journy_track._model.values import plain\n"
        "print(plain(datetime(2024, 1, 17, 9, 30)), plain(datetime(2024, 7, 17, 9, 30)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env={**os.environ}
    )
    assert done.stdout.split() == ["2024-01-17T14:30:00.000Z", "2024-07-17T13:30:00.000Z"]
    assert done.stderr.count("without a time zone was taken as local time") == 1


def test_a_zone_without_an_offset_counts_as_none():
    class Unknown(tzinfo):
        def utcoffset(self, when):
            return None

    moment = datetime(2024, 5, 17, 9, 30)
    taken, _ = plain_metadata(frozen_mapping({"given": moment.replace(tzinfo=Unknown()), "naive": moment}))
    assert taken["given"] == taken["naive"]


def test_a_key_of_thousands_of_digits_is_left_out_and_the_rest_goes():
    taken, problems = plain_metadata(frozen_mapping({10**5000: 1, 10**20: 2, "plan": "pro"}))
    assert taken == {"1" + "0" * 20: 2, "plan": "pro"}
    assert problems == [("int", "the key is a number that is too long")]


def test_what_is_wrong_with_a_number_is_short_however_long_that_is():
    # Catches: a log line as long as a client chooses.
    for kind in ("NaN", "sNaN", "-NaN"):
        ((_, reason),) = plain_metadata({"a": Decimal(kind + "1" * 10_000)})[1]
        assert len(reason) < 150
