"""Compared with the official Python SDK: for the same call, this Client sends the same request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

import pytest
from journyio import account_identified, client, events, httpclient, user_identified
from journyio.results import Success
from journyio.utils import JournyException

from journy_track import AccountIdentified, Client, ClientConfig, Event, UserIdentified

from .api_description import check_request

MOMENT = datetime(2024, 5, 17, 9, 30, 1, 234000, timezone(timedelta(hours=2)))


class Words(NamedTuple):
    """The names of the same classes in both libraries."""

    Event: type
    User: type
    Account: type


OURS = Words(Event, UserIdentified, AccountIdentified)
THEIRS = Words(events.Event, user_identified.UserIdentified, account_identified.AccountIdentified)


def filled(holder, values):
    for key, value in values.items():
        holder[key] = value
    return holder


def properties(**values):
    return filled(client.Properties(), values)


def metadata(**values):
    return filled(events.Metadata(), values)


def both(w):
    return w.User("u1", "jane@acme.com"), w.Account("a1", "acme.com")


VALUES = {"plan": "pro", "seats": 5, "paying": True, "tags": ["a", "b"], "empty": "", "gone": None, "since": MOMENT}
#: Our call and theirs.
CALLS = {
    "an event of a user": (
        lambda c: c.add_event(OURS.Event.for_user("login", OURS.User.by_user_id("u1"))),
        lambda c: c.add_event(THEIRS.Event.for_user("login", THEIRS.User.by_user_id("u1"))),
    ),
    "an event of an account": (
        lambda c: c.add_event(OURS.Event.for_account("paid", OURS.Account.by_domain("acme.com"))),
        lambda c: c.add_event(THEIRS.Event.for_account("paid", THEIRS.Account.by_domain("acme.com"))),
    ),
    "an event of both": (
        lambda c: c.add_event(
            OURS.Event.for_user_in_account("e", *both(OURS)).happened_at(MOMENT).with_metadata({"a": "x", "b": 1})
        ),
        lambda c: c.add_event(
            THEIRS.Event.for_user_in_account("e", *both(THEIRS))
            .happened_at(MOMENT)
            .with_metadata(metadata(a="x", b=1))
        ),
    ),
    "upsert_user": (
        lambda c: c.upsert_user(user_id="u1", email="jane@acme.com", properties=VALUES),
        lambda c: c.upsert_user(THEIRS.User("u1", "jane@acme.com"), properties(**VALUES)),
    ),
    "upsert_account": (
        lambda c: c.upsert_account(account_id="a1", domain="acme.com", properties=VALUES),
        lambda c: c.upsert_account(THEIRS.Account("a1", "acme.com"), properties(**VALUES)),
    ),
    "delete_user": (
        lambda c: c.delete_user(user_id="u1"),
        lambda c: c.delete_user(THEIRS.User.by_user_id("u1")),
    ),
    "delete_account": (
        lambda c: c.delete_account(account_id="a1", domain="acme.com"),
        lambda c: c.delete_account(THEIRS.Account("a1", "acme.com")),
    ),
    "add_users_to_account": (
        lambda c: c.add_users_to_account(OURS.Account.by_account_id("a1"), [OURS.User("u1"), both(OURS)[0]]),
        lambda c: c.add_users_to_account(
            THEIRS.Account.by_account_id("a1"), [THEIRS.User("u1", None), both(THEIRS)[0]]
        ),
    ),
    "link": (
        lambda c: c.link(device_id="device", email="jane@acme.com"),
        lambda c: c.link(THEIRS.User.by_email("jane@acme.com"), "device"),
    ),
    "get_tracking_snippet": (
        lambda c: c.get_tracking_snippet(domain="www.acme.com/a b"),
        lambda c: c.get_tracking_snippet("www.acme.com/a b"),
    ),
    "get_api_key_details": (
        lambda c: c.get_api_key_details(),
        lambda c: c.get_api_key_details(),
    ),
}


@pytest.fixture
def ours(api):
    with Client(None, ClientConfig("a-key-for-tests", base_url=api.url)) as made:
        yield made


@pytest.fixture
def theirs(api):
    return client.Client(httpclient.HttpClientRequests(), client.Config("a-key-for-tests", api.url))


def comparable(value):
    """Return a body without differences that have no meaning: the format of an instant, and empty members."""
    if isinstance(value, dict):
        return {name: comparable(inner) for name, inner in value.items() if inner not in ({}, None) or name == "gone"}
    if isinstance(value, str) and value.startswith("2024-05-17T"):
        return datetime.fromisoformat(value).astimezone(UTC)
    return [comparable(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("call", "sdk_call"), CALLS.values(), ids=list(CALLS))
def test_the_same_call_is_the_same_request(api, ours, theirs, call, sdk_call):
    assert call(ours).success
    assert isinstance(sdk_call(theirs), Success)
    one, other = api.requests
    assert (one.method, one.path, one.query) == (other.method, other.path, other.query)
    assert comparable(one.json) == comparable(other.json)
    assert one.key == other.key
    check_request(one)
    check_request(other)


def test_both_are_told_the_same(ours, theirs):
    key, their_key = ours.get_api_key_details(), theirs.get_api_key_details()
    snippet, their_snippet = ours.get_tracking_snippet(domain="acme.com"), theirs.get_tracking_snippet("acme.com")
    assert list(key.data.permissions) == their_key.data.permissions
    assert (snippet.data.domain, snippet.data.snippet) == (their_snippet.data.domain, their_snippet.data.snippet)
    remaining = [result.calls_remaining for result in (key, their_key, snippet, their_snippet)]
    assert remaining == list(range(remaining[0], remaining[0] - 4, -1))


def test_only_removing_users_fails_there_on_the_empty_answer_to_a_request_that_is_the_same(api, ours, theirs):
    with pytest.raises(JournyException):
        theirs.remove_users_from_account(THEIRS.Account("a1", None), [THEIRS.User("u1", None)])
    assert ours.remove_users_from_account("a1", ["u1"]).success
    one, other = api.requests
    assert (one.method, one.path, one.json, one.status) == (other.method, other.path, other.json, 204)


def test_what_the_sdk_does_to_metadata_does_not_happen_here(ours, api):
    event = Event.for_user("login", UserIdentified("u1"))
    ours.add_event(event.with_metadata({"PlanName": "Pro", "price": 9.5}))
    assert api.events[0].metadata == {"PlanName": "Pro", "price": 9.5}
    assert event.metadata == {}
