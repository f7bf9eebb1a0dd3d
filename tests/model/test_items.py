"""Events and the other items: immutable values that know their method, path and body."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest

import journy_track
from journy_track import (
    AccountIdentified,
    AddUsersToAccount,
    DeleteAccount,
    DeleteUser,
    Event,
    InvalidArgument,
    Link,
    RemoveUsersFromAccount,
    UpsertAccount,
    UpsertUser,
    UserIdentified,
)
from journy_track._model import reads

from ..api_description import BODIES, QUERIES, check
from . import samples

USER = UserIdentified("u1", "jane@acme.com")
ACCOUNT = AccountIdentified("a1", "acme.com")
U = {"userId": "u1", "email": "jane@acme.com"}
A = {"accountId": "a1", "domain": "acme.com"}
MOMENT = datetime(2024, 5, 17, 9, 30, 1, 234567, UTC)

WRITES = [
    (
        Event("signed_in", USER, ACCOUNT, MOMENT, {"plan": "pro"}),
        "POST",
        "/track",
        {
            "identification": {"user": U, "account": A},
            "name": "signed_in",
            "triggeredAt": "2024-05-17T09:30:01.234Z",
            "metadata": {"plan": "pro"},
        },
    ),
    (
        UpsertUser(USER, {"plan": None, "tags": ["a"]}),
        "POST",
        "/users/upsert",
        {"identification": U, "properties": {"plan": None, "tags": ("a",)}},
    ),
    (UpsertUser(USER), "POST", "/users/upsert", {"identification": U}),
    (DeleteUser(USER), "DELETE", "/users", {"identification": U}),
    (
        UpsertAccount(ACCOUNT, {"mrr": 1.5}),
        "POST",
        "/accounts/upsert",
        {"identification": A, "properties": {"mrr": 1.5}},
    ),
    (DeleteAccount(ACCOUNT), "DELETE", "/accounts", {"identification": A}),
    (
        AddUsersToAccount(ACCOUNT, (USER, UserIdentified("u2"))),
        "POST",
        "/accounts/users/add",
        {"account": A, "users": [{"identification": U}, {"identification": {"userId": "u2"}}]},
    ),
    (
        RemoveUsersFromAccount(ACCOUNT, [5]),
        "POST",
        "/accounts/users/remove",
        {"account": A, "users": [{"identification": {"userId": "5"}}]},
    ),
    (Link("device", USER), "POST", "/link", {"deviceId": "device", "identification": U}),
]
READS = [
    (reads.GetApiKeyDetails(), "/validate"),
    (reads.GetTrackingSnippet("acme.com"), "/tracking/snippet"),
    (reads.GetEvents(), "/events"),
    (reads.GetUserProperties(), "/properties/users"),
    (reads.GetAccountProperties(), "/properties/accounts"),
    (reads.GetUserSegments(), "/segments/users"),
    (reads.GetAccountSegments(), "/segments/accounts"),
]
ITEMS = pytest.mark.parametrize("item", [item for item, *_ in WRITES], ids=lambda item: type(item).__name__)


@pytest.mark.parametrize(("item", "method", "path", "body"), WRITES)
def test_an_item_knows_its_method_path_and_body(item, method, path, body):
    item, problems = item.converted()
    assert (item.method, item.path, item.body(), item.query(), problems) == (method, path, body, {}, [])
    check(json.loads(json.dumps(item.body())), BODIES[method, path])


@pytest.mark.parametrize(("call", "path"), READS)
def test_a_question_has_a_path_and_a_query_and_no_body(call, path):
    assert (call.method, call.path, call.body()) == ("GET", path, None)
    check(call.query(), QUERIES["GET", path])


@ITEMS
def test_an_item_is_a_value(item):
    assert pickle.loads(pickle.dumps(item)) == item
    assert copy.copy(item) == copy.deepcopy(item) == item
    assert hash(pickle.loads(pickle.dumps(item))) == hash(item)
    for field in dataclasses.fields(item):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(item, field.name, None)


@ITEMS
def test_converting_an_item_twice_changes_nothing(item):
    once, _ = item.converted()
    assert once.converted() == (once, [])
    assert hash(once) == hash(once.converted()[0])


def test_the_metadata_of_an_event_cannot_be_changed():
    given = {"plan": "pro"}
    event = Event.for_user("signed_in", USER).with_metadata(given)
    given["plan"] = "free"
    assert event.metadata == {"plan": "pro"}
    for change in (
        lambda: event.metadata.update(plan="free"),
        lambda: event.metadata.__setitem__("plan", "free"),
        lambda: event.metadata.pop("plan"),
        event.metadata.clear,
    ):
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    assert event.metadata.copy() == {"plan": "pro"}


def test_events_are_made_for_a_user_an_account_or_both():
    assert Event.for_user("e", USER) == Event("e", user=USER)
    assert Event.for_account("e", ACCOUNT) == Event("e", account=ACCOUNT)
    assert Event.for_user_in_account("e", USER, ACCOUNT) == Event("e", USER, ACCOUNT)


def test_happened_at_and_with_metadata_make_new_events():
    first = Event.for_user("e", USER)
    then = first.happened_at(MOMENT)
    more = then.with_metadata({"a": 1, "b": 1}).with_metadata({"b": 2})
    assert (first.triggered_at, first.metadata) == (None, {})
    assert (then.triggered_at, then.metadata) == (MOMENT, {})
    assert (more.triggered_at, more.metadata) == (MOMENT, {"a": 1, "b": 2})
    assert "triggeredAt" not in first.body()


def test_the_same_instant_is_the_same_event():
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5)))
    own = MOMENT.astimezone(samples.OwnZone())
    event = Event.for_user("e", USER)
    assert event.happened_at(MOMENT) == event.happened_at(elsewhere) == event.happened_at(own)
    assert event.happened_at(samples.FakeDatetime(2024, 5, 17, tzinfo=UTC)).body()["triggeredAt"][:10] == "2024-05-17"


def test_a_naive_moment_is_local_time_and_warned_of_once(caplog):
    moment = datetime(2024, 5, 17, 9, 30)
    events = [Event.for_user("e", USER).happened_at(moment) for _ in range(2)]
    assert events[0].triggered_at == moment.astimezone(UTC)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_values_that_cannot_travel_are_left_out_when_it_is_converted():
    event, problems = Event.for_user("e", USER).with_metadata({"a": math.nan, "b": b"", "c": 1}).converted()
    assert event.metadata == {"c": 1}
    assert [key for key, _ in problems] == ["a", "b"]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Event("", USER), "name"),
        (lambda: Event(" ", USER), "name"),
        (lambda: Event(None, USER), "name"),
        (lambda: Event(b"e", USER), "name"),
        (lambda: Event("e"), "user"),
        (lambda: Event("e", "u1"), "user"),
        (lambda: Event("e", USER, "a1"), "account"),
        (lambda: Event("e", USER, USER), "account"),
        (lambda: Event.for_user("e", None), "user"),
        (lambda: Event.for_user("e", ACCOUNT), "user"),
        (lambda: Event.for_account("e", None), "account"),
        (lambda: Event.for_user_in_account("e", USER, None), "account"),
        (lambda: Event.for_user_in_account("e", None, ACCOUNT), "user"),
        (lambda: Event.for_user("e", USER).happened_at("2024-05-17"), "moment"),
        (lambda: Event.for_user("e", USER).happened_at(None), "moment"),
        (lambda: Event("e", USER, triggered_at=MOMENT.date()), "triggered_at"),
        (
            lambda: Event.for_user("e", USER).happened_at(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))),
            "UTC",
        ),
        (lambda: Event.for_user("e", USER).with_metadata(None), "metadata"),
        (lambda: Event.for_user("e", USER).with_metadata([("a", 1)]), "metadata"),
        (lambda: UpsertUser("u1"), "user"),
        (lambda: UpsertUser(USER, "properties"), "properties"),
        (lambda: UpsertAccount(USER), "account"),
        (lambda: DeleteUser(None), "user"),
        (lambda: DeleteAccount(None), "account"),
        (lambda: Link("", USER), "device_id"),
        (lambda: Link(None, USER), "device_id"),
        (lambda: Link("d", None), "user"),
        (lambda: AddUsersToAccount(ACCOUNT, []), "users"),
        (lambda: AddUsersToAccount(ACCOUNT, "u1"), "users"),
        (lambda: AddUsersToAccount(ACCOUNT, USER), "users"),
        (lambda: AddUsersToAccount(ACCOUNT, {"u1": 1}), "users"),
        (lambda: AddUsersToAccount(ACCOUNT, 5), "users"),
        (lambda: AddUsersToAccount(ACCOUNT, range(101)), "100"),
        (lambda: AddUsersToAccount(None, ["u1"]), "account"),
        (lambda: reads.GetTrackingSnippet(""), "domain"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(make, argument):
    with pytest.raises(InvalidArgument, match=argument):
        make()


def test_before_send_may_hand_an_item_back_as_it_is_or_changed(api):
    def tagged(item):
        return (
            item if item.user.user_id == "u1" else dataclasses.replace(item, properties={**item.properties, "n": 1})
        )

    journy_track.configure("key", base_url=api.url, before_send=tagged)
    journy_track.upsert_user(user="u1", tags=["a", "b"])
    journy_track.upsert_user(user="u2", tags=["a", "b"])
    assert journy_track.flush(timeout=5)
    assert [user.properties for user in api.users] == [{"tags": ["a", "b"]}, {"tags": ["a", "b"], "n": 1}]
