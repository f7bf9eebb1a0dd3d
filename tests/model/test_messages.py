"""Items are converted to text and back without loss."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journy_track import AccountIdentified, UserIdentified
from journy_track._model.items import (
    ITEM_KINDS,
    AddUsersToAccount,
    DeleteAccount,
    DeleteUser,
    Event,
    Link,
    RemoveUsersFromAccount,
    UpsertAccount,
    UpsertUser,
)
from journy_track._model.messages import captured_at_of, item_of, message_of

JANE, ACME = UserIdentified("u1", "jane@acme.com"), AccountIdentified("a1", "acme.com")
BY_EMAIL, BY_DOMAIN = UserIdentified(email="jane@acme.com"), AccountIdentified(domain="acme.com")
AT = datetime(2026, 11, 23, 21, 4, 5, 123000, tzinfo=UTC)
ITEMS = [
    Event("signed_in", JANE, ACME, AT, {"theme": "dark", "count": 3, "ratio": 0.5, "ok": True}),
    Event("signed_in", None, BY_DOMAIN),
    UpsertUser(BY_EMAIL, {"tags": ("a", "b"), "gone": None, "empty": ""}),
    UpsertUser(JANE),
    DeleteUser(JANE),
    UpsertAccount(ACME, {"mrr": 10}),
    DeleteAccount(BY_DOMAIN),
    AddUsersToAccount(ACME, (JANE, BY_EMAIL)),
    RemoveUsersFromAccount(BY_DOMAIN, (JANE,)),
    Link("device", JANE),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.operation)
def test_an_item_comes_back_as_it_was(item):
    back = item_of(message_of(item))
    assert back == item
    assert json.dumps(back.body()) == json.dumps(item.body())


def test_every_kind_of_item_is_tried_here():
    assert {type(item) for item in ITEMS} == set(ITEM_KINDS)


VALUES = st.text() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()


@pytest.mark.slow
@given(st.text(min_size=1).map(lambda text: "u" + text), st.dictionaries(st.text(min_size=1), VALUES))
def test_whatever_an_event_says_comes_back(user, metadata):
    converted, _ = Event("signed_in", UserIdentified(user), metadata=metadata).converted()
    assert item_of(message_of(converted)).body() == converted.body()


@pytest.mark.parametrize(
    "message",
    ["", "{", "null", "[]", "{}", '{"operation": "validate", "body": {}}', '{"operation": "track", "body": {}}',
     '{"operation": "track", "body": {"name": "x", "identification": {}}}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_item_is_refused(message):
    with pytest.raises(ValueError, match=r"not an item|Expecting|Extra data"):
        item_of(message)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "[1e999]", "NaN", "Infinity"])
def test_a_number_that_json_cannot_carry_is_refused(number):
    message = message_of(Event("signed_in", JANE, metadata={"n": 7}))
    with pytest.raises(ValueError, match="JSON"):
        item_of(message.replace('"n":7', f'"n":{number}'))


OUT_OF_RANGE = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999999Z"]


@pytest.mark.parametrize("said", OUT_OF_RANGE)
def test_a_time_of_capture_that_cannot_be_written_again_is_none(said):
    assert captured_at_of(json.dumps({"captured_at": said})) is None


@given(st.datetimes(timezones=st.sampled_from([timezone(timedelta(hours=hours)) for hours in (-14, 0, 14)])))
def test_a_time_of_capture_that_is_read_can_be_written(moment):
    at = captured_at_of(json.dumps({"captured_at": moment.isoformat()}))
    assert at is None or captured_at_of(message_of(ITEMS[0], at)) == pytest.approx(at, abs=0.002)
