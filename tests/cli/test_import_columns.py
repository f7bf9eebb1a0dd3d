"""How cells become calls: by documented rules, never by guessing."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from journy_track.cli.importing.columns import Columns, RowFault
from journy_track.cli.typed import Mistyped, typed


def bodies(columns, **cells):
    return [call.body() for call in columns.calls(cells)]


def fault(columns, **cells):
    with pytest.raises(RowFault) as raised:
        columns.calls(cells)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" 007 ", "text", " 007 "),
        (" 007 ", "int", 7),
        ("-3", "int", -3),
        ("9.50", "float", 9.5),
        ("1e3", "float", 1000.0),
        ("Yes", "bool", True),
        ("0", "bool", False),
        ("2026-05-17", "date", datetime(2026, 5, 17).date()),
        ("2026-05-17T09:30:00+02:00", "datetime", datetime(2026, 5, 17, 7, 30, tzinfo=UTC)),
        ("1770000000", "epoch", datetime(2026, 2, 2, 2, 40, tzinfo=UTC)),
        ("1770000000000", "epoch_ms", datetime(2026, 2, 2, 2, 40, tzinfo=UTC)),
        ("a, b,,c", "list", ["a", "b", "c"]),
    ],
)
def test_a_text_reads_as_the_type_it_is_said_to_be(text, kind, value):
    assert typed(text, kind) == value
    assert type(typed(text, kind)) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "int"), ("1_000", "int"), ("1.0", "int"), ("٣", "int"), ("0x10", "int"), ("9" * 301, "int"),
        ("1,5", "float"), ("nan", "float"), ("inf", "float"), ("1e999", "float"),
        ("on", "bool"), ("", "bool"), ("17.05.2026", "date"), ("2026-02-30", "date"), ("20260517", "date"),
        ("2026-05-17T09:30:00", "datetime"), ("yesterday", "datetime"), ("1e99", "epoch"), ("now", "epoch"),
    ],
)  # fmt: skip
def test_a_text_that_does_not_is_refused(text, kind):
    with pytest.raises(Mistyped):
        typed(text, kind)


def test_a_zone_is_given_to_datetimes_that_name_none_and_to_no_others():
    brussels = ZoneInfo("Europe/Brussels")
    assert typed("2026-07-01T12:00", "datetime", brussels) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert typed("2026-07-01T12:00Z", "datetime", brussels) == datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_cells_are_text_unless_said_otherwise():
    columns = Columns("users", types={"age": "int", "tags": "list"})
    assert bodies(columns, id="u1", email="a@b.c", age="41", zip="01234", active="true", tags="a,b") == [
        {
            "identification": {"userId": "u1", "email": "a@b.c"},
            "properties": {"age": 41, "zip": "01234", "active": "true", "tags": ("a", "b")},
        }
    ]


def test_json_keeps_its_own_types():
    columns = Columns("accounts")
    cells = {"accountId": 7, "mrr": 399.5, "seats": 3, "paying": True, "tags": ["a", 1], "note": ""}
    assert bodies(columns, **cells) == [
        {
            "identification": {"accountId": "7"},
            "properties": {"mrr": 399.5, "seats": 3, "paying": True, "tags": ("a", "1"), "note": ""},
        }
    ]


@pytest.mark.parametrize(
    ("empty", "properties"),
    [("omit", {}), ("delete", {"plan": None, "note": None}), ("text", {"plan": "", "note": ""})],
)
def test_empty_cells_are_left_out_unless_said_otherwise(empty, properties):
    body = bodies(Columns("users", empty=empty), id="u1", email=None, plan=None, note=None)[0]
    assert body["identification"] == {"userId": "u1"}
    assert body.get("properties", {}) == properties


def test_a_user_with_an_account_joins_it():
    user, joins = bodies(Columns("users"), user_id="u1", account_id="acme", account_domain="acme.com", plan="pro")
    assert user == {"identification": {"userId": "u1"}, "properties": {"plan": "pro"}}
    assert joins == {
        "account": {"accountId": "acme", "domain": "acme.com"},
        "users": [{"identification": {"userId": "u1"}}],
    }


def test_columns_are_mapped_to_fields_to_other_names_or_to_nothing():
    columns = Columns("users", mapping={"uid": "user_id", "id": "crm_id", "Mail": "email", "secret": ""})
    assert bodies(columns, uid="u1", id="9", Mail="a@b.c", secret="x") == [
        {"identification": {"userId": "u1", "email": "a@b.c"}, "properties": {"crm_id": "9"}}
    ]


def test_of_two_columns_for_one_field_the_plain_name_wins_and_the_other_is_a_property():
    assert bodies(Columns("users"), user_id="u1", id="9")[0]["properties"] == {"id": "9"}
    said = fault(Columns("users", mapping={"uid": "user_id"}), uid="u1", user_id="u2")
    assert said == "has two columns for 'user_id': leave one out, as in --map user_id="


def test_an_event_has_a_name_a_time_and_metadata():
    columns = Columns("events", mapping={"ts": "happened_at"}, types={"ts": "epoch", "amount": "float"})
    assert bodies(columns, event="paid", userId="u1", account_id="acme", ts="1770000000", amount="3.5") == [
        {
            "identification": {"user": {"userId": "u1"}, "account": {"accountId": "acme"}},
            "name": "paid",
            "triggeredAt": "2026-02-02T02:40:00.000Z",
            "metadata": {"amount": 3.5},
        }
    ]


def test_properties_and_metadata_may_be_nested_once():
    columns = Columns("events")
    body = bodies(columns, name="paid", user_id="u1", happened_at="2026-01-01T00:00:00Z", metadata={"amount": 3})[0]
    assert body["metadata"] == {"amount": 3}
    assert bodies(Columns("users"), id="u1", properties={"plan": "pro"})[0]["properties"] == {"plan": "pro"}


AT = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("kind", "cells", "said"),
    [
        ("users", {"plan": "pro"}, "has neither"),
        ("users", {"id": " "}, "user_id is empty"),
        ("users", {"id": "u1", "email": "nope"}, "'email' is malformed: 'nope'"),
        ("users", {"id": 1.5}, "'id' must be text or a whole number; it is '1.5'"),
        ("users", {"id": "u1", "address": {"city": "x"}}, "'address' is an object"),
        ("users", {"id": "u1", "tags": [["a"]]}, "'tags' must be a list of texts and numbers"),
        ("users", {"id": "u1", "n": 10**400}, "'n' cannot be sent"),
        ("users", {"id": "u1", "note": "x" * 70_000}, "larger than 64 KiB"),
        ("accounts", {"domain": "https://acme.com"}, "'domain' is malformed"),
        ("events", {"user_id": "u1", "happened_at": AT}, "has no name"),
        ("events", {"name": "a", "happened_at": AT}, "has neither"),
        ("events", {"name": "a", "user_id": "u1"}, "has no happened_at"),
        ("events", {"name": "a", "user_id": "u1", "happened_at": "2026-01-01"}, "with its offset"),
        ("events", {"name": "a", "user_id": "u1", "happened_at": AT, "l": ["a"]}, "'l' cannot be sent"),
    ],
)
def test_what_cannot_be_sent_is_at_fault(kind, cells, said):
    assert said in fault(Columns(kind), **cells)


def test_a_cell_of_another_type_is_at_fault_and_named():
    columns = Columns("users", types={"age": "int", "flag": "bool"})
    assert fault(columns, id="u1", age="old") == "'age' must be a whole number, such as 42; it is 'old'"
    assert fault(columns, id="u1", age=True) == "'age' must be int, and is true"
    assert fault(columns, id="u1", age=[1]) == "'age' must be int, and is a list"
    assert bodies(columns, id="u1", age=3, flag=1)[0]["properties"] == {"age": 3, "flag": True}


def test_an_undated_event_is_taken_when_that_is_meant():
    assert "triggeredAt" not in bodies(Columns("events", undated=True), name="a", user_id="u1")[0]
