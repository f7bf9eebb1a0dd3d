"""The Client: each API call, its request and its result."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from journy_track import (
    AccountIdentified,
    Client,
    ClientConfig,
    Event,
    NamedDefinition,
    PropertyDefinition,
    Success,
    UserIdentified,
)

from .api_description import check_request

KEY = "client-key-0123456789"
USER = {"userId": "u1", "email": "jane@acme.com"}
ACCOUNT = {"accountId": "a1", "domain": "acme.com"}
MOMENT = datetime(2024, 5, 17, 9, 30, 1, 234567, UTC)
EVENT = Event.for_user_in_account("signed_in", UserIdentified("u1"), AccountIdentified("a1"))


@pytest.fixture
def client(api):
    with Client(None, ClientConfig(KEY, base_url=api.url)) as client:
        yield client


CALLS = [
    (lambda c: c.get_api_key_details(), "GET", "/validate", None),
    (lambda c: c.upsert_user(user_id="u1"), "POST", "/users/upsert", {"identification": {"userId": "u1"}}),
    (
        lambda c: c.upsert_user(
            user_id="u1", email="jane@acme.com", properties={"Plan": "pro", "x": None, "y": ["a"]}
        ),
        "POST",
        "/users/upsert",
        {"identification": USER, "properties": {"Plan": "pro", "x": None, "y": ["a"]}},
    ),
    (lambda c: c.delete_user(user_id=5), "DELETE", "/users", {"identification": {"userId": "5"}}),
    (
        lambda c: c.upsert_account(account_id="a1", domain="acme.com", properties={"mrr": 1.5}),
        "POST",
        "/accounts/upsert",
        {"identification": ACCOUNT, "properties": {"mrr": 1.5}},
    ),
    (
        lambda c: c.delete_account(domain="acme.com"),
        "DELETE",
        "/accounts",
        {"identification": {"domain": "acme.com"}},
    ),
    (
        lambda c: c.add_users_to_account("a1", [UserIdentified.by_email("jane@acme.com"), 5, UUID(int=1)]),
        "POST",
        "/accounts/users/add",
        {
            "account": {"accountId": "a1"},
            "users": [
                {"identification": {"email": "jane@acme.com"}},
                {"identification": {"userId": "5"}},
                {"identification": {"userId": "00000000-0000-0000-0000-000000000001"}},
            ],
        },
    ),
    (
        lambda c: c.remove_users_from_account(AccountIdentified.by_domain("acme.com"), (u for u in ["u1"])),
        "POST",
        "/accounts/users/remove",
        {"account": {"domain": "acme.com"}, "users": [{"identification": {"userId": "u1"}}]},
    ),
    (
        lambda c: c.link(device_id="device", user_id="u1", email="jane@acme.com"),
        "POST",
        "/link",
        {"deviceId": "device", "identification": USER},
    ),
    (
        lambda c: c.add_event(EVENT.happened_at(MOMENT).with_metadata({"Seats": 5})),
        "POST",
        "/track",
        {
            "identification": {"user": {"userId": "u1"}, "account": {"accountId": "a1"}},
            "name": "signed_in",
            "triggeredAt": "2024-05-17T09:30:01.234Z",
            "metadata": {"Seats": 5},
        },
    ),
    (lambda c: c.get_tracking_snippet(domain="www.journy.io"), "GET", "/tracking/snippet", None),
    (lambda c: c.get_events(), "GET", "/events", None),
    (lambda c: c.get_user_properties(), "GET", "/properties/users", None),
    (lambda c: c.get_account_properties(), "GET", "/properties/accounts", None),
    (lambda c: c.get_user_segments(), "GET", "/segments/users", None),
    (lambda c: c.get_account_segments(), "GET", "/segments/accounts", None),
]


@pytest.mark.parametrize(
    ("call", "method", "path", "body"), CALLS, ids=[f"{method} {path}" for _, method, path, _ in CALLS]
)
def test_a_call_sends_one_request_and_returns_a_success(api, client, call, method, path, body):
    result = call(client)
    [received] = api.requests
    assert (received.method, received.path, received.json) == (method, path, body)
    assert received.key == "…6789"
    check_request(received)
    assert isinstance(result, Success)
    assert result.success is True
    assert result.request_id == received.request_id or received.status == 204  # a 204 has an empty body
    assert (result.calls_remaining, result.calls_limit) == (999_999, 1_000_000)
    assert result.rejected == {}


def test_the_key_tells_its_permissions(client):
    assert client.get_api_key_details().data.permissions == ("TrackData", "GetTrackingSnippet", "ReadUserProfile")


def test_the_snippet_is_that_of_the_domain(api, client):
    data = client.get_tracking_snippet(domain="www.acme.com/a b&c=d").data
    assert api.requests[0].query == {"domain": "www.acme.com/a b&c=d"}
    assert data.domain == "www.acme.com/a b&c=d"
    assert data.snippet.startswith("<script>")


def test_the_api_tells_what_it_has_seen(client):
    client.add_event(EVENT)
    client.upsert_user(user_id="u1", properties={"full_name": "Jane"})
    client.upsert_account(account_id="a1", properties={"mrr": 5})
    assert client.get_events().data == (NamedDefinition("signed_in", "signed_in"),)
    assert client.get_user_properties().data == (PropertyDefinition("full_name", "Full name", False),)
    assert client.get_account_properties().data == (PropertyDefinition("mrr", "Mrr", False),)
    assert client.get_user_segments().data == (NamedDefinition("sample", "A sample segment"),)
    assert client.get_account_segments().data == (NamedDefinition("sample", "A sample segment"),)


def test_a_response_with_groups_is_read(api, client):
    row = {"id": "1", "name": "n", "label": "N", "isComputed": True, "group": {"id": "g", "name": "G"}}
    for _ in range(2):
        api.answer_next(status=200, body={"data": [row], "meta": {"requestId": "r", "status": 200}})
    [segment] = client.get_user_segments().data
    [definition] = client.get_user_properties().data
    assert (segment.id, segment.group.name) == ("1", "G")
    assert (definition.is_computed, definition.group.id) == (True, "g")


def test_an_upsert_tells_which_properties_were_not_taken(client):
    assert client.upsert_user(user_id="u1", properties={"created_at": MOMENT}).rejected == {}
    result = client.upsert_user(user_id="u1", properties={"created_at": True, "plan": "pro"})
    assert result.success
    assert result.rejected == {"created_at": "Expected a date but found a boolean."}


def test_an_event_carries_no_time_unless_it_was_given_one(api, client):
    client.add_event(EVENT)
    assert "triggeredAt" not in api.requests[0].json


def test_a_value_that_cannot_travel_costs_its_key_and_is_warned_of(api, client, caplog):
    assert client.add_event(EVENT.with_metadata({"raw": b"", "plan": "pro"})).success
    assert client.upsert_account(account_id="a1", properties={"raw": b"", "mrr": 5}).success
    assert api.events[0].metadata == {"plan": "pro"}
    assert api.accounts[0].properties == {"mrr": 5}
    assert [record.message.split(":")[0] for record in caplog.records] == ["event 'signed_in'", "upsert_account"]


def test_what_a_result_holds_is_an_attribute_of_its_type(client):
    match client.get_tracking_snippet(domain="unknown.example"):
        case Success():
            pytest.fail("there is no such domain")
        case failure:
            assert (failure.error, failure.status) == ("NotFoundError", 404)
            assert (failure.calls_remaining, failure.calls_limit) == (999_999, 1_000_000)


def test_with_defaults_calls_journy_io_itself():
    with Client.with_defaults(KEY) as client:
        assert client.config == ClientConfig(KEY, base_url="https://api.journy.io", timeout=10.0)


def test_one_connection_serves_many_calls_and_a_closed_client_can_call_again(api):
    client = Client(None, ClientConfig(KEY, base_url=api.url))
    assert all(client.add_event(EVENT).success for _ in range(3))
    client.close()
    client.close()
    assert client.add_event(EVENT).success
    client.close()
    assert len(api.events) == 4
