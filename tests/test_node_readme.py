"""Every snippet of the official Node SDK's README, translated one to one into Python."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from journy_track import (
    AccountIdentified,
    Client,
    ClientConfig,
    Event,
    InvalidArgument,
    RequestsHttpClient,
    UserIdentified,
)

from .api_description import check_request

DATE = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)
SENT = "2024-05-17T09:30:00.000Z"


@pytest.fixture
def client(api):
    """`new Client(http, { apiKey: "your-api-key" })`"""
    http = RequestsHttpClient()
    with Client(http, ClientConfig(api_key="your-api-key", base_url=api.url)) as client:
        yield client
    http.close()


@pytest.fixture
def sent(api):
    """Returns the only request that arrived as method, path and body, once the API is known to accept it."""

    def sent():
        [received] = api.requests
        check_request(received)
        assert 200 <= received.status < 300
        return received.method, received.path, received.json

    return sent


def test_configuration():
    client = Client.with_defaults("your-api-key")
    assert client.config.base_url == "https://api.journy.io"


def test_get_api_key_details(client, sent):
    result = client.get_api_key_details()

    assert result.success
    assert "TrackData" in result.data.permissions
    assert isinstance(result.calls_remaining, int)
    assert sent() == ("GET", "/validate", None)


def test_create_or_update_user(client, sent):
    client.upsert_user(
        user_id="userId",
        email="john@doe.tld",
        properties={
            "full_name": "John Doe",
            "first_name": "John",
            "last_name": "Doe",
            "phone": "123",
            "registered_at": DATE,
            "is_admin": True,
            "array_of_values": ["value1", "value2"],
            "key_with_empty_value": "",
            "this_property_will_be_deleted": None,
        },
    )
    method, path, body = sent()
    assert (method, path) == ("POST", "/users/upsert")
    assert body["identification"] == {"userId": "userId", "email": "john@doe.tld"}
    assert body["properties"] == {
        "full_name": "John Doe",
        "first_name": "John",
        "last_name": "Doe",
        "phone": "123",
        "registered_at": SENT,
        "is_admin": True,
        "array_of_values": ["value1", "value2"],
        "key_with_empty_value": "",
        "this_property_will_be_deleted": None,
    }


def test_delete_user(client, sent):
    client.delete_user(user_id="userId", email="john@doe.tld")
    assert sent() == ("DELETE", "/users", {"identification": {"userId": "userId", "email": "john@doe.tld"}})


def test_create_or_update_account(client, sent):
    client.upsert_account(
        account_id="accountId",
        domain="acme-inc.com",
        properties={
            "name": "ACME, Inc",
            "mrr": 399,
            "plan": "Pro",
            "registered_at": DATE,
            "is_paying": True,
            "array_of_values": ["value1", "value2"],
            "key_with_empty_value": "",
            "this_property_will_be_deleted": None,
        },
    )
    method, path, body = sent()
    assert (method, path) == ("POST", "/accounts/upsert")
    assert body["identification"] == {"accountId": "accountId", "domain": "acme-inc.com"}
    assert body["properties"] == {
        "name": "ACME, Inc",
        "mrr": 399,
        "plan": "Pro",
        "registered_at": SENT,
        "is_paying": True,
        "array_of_values": ["value1", "value2"],
        "key_with_empty_value": "",
        "this_property_will_be_deleted": None,
    }


def test_delete_account(client, sent):
    client.delete_account(account_id="accountId", domain="test.com")
    assert sent() == ("DELETE", "/accounts", {"identification": {"accountId": "accountId", "domain": "test.com"}})


MEMBERSHIP = {
    "account": {"accountId": "accountId"},
    "users": [{"identification": {"userId": "userId1"}}, {"identification": {"email": "user2@domain.tld"}}],
}


def test_add_users_to_an_account(client, sent):
    client.add_users_to_account(
        AccountIdentified.by_account_id("accountId"),
        [UserIdentified.by_user_id("userId1"), UserIdentified.by_email("user2@domain.tld")],
    )
    assert sent() == ("POST", "/accounts/users/add", MEMBERSHIP)


def test_remove_users_from_an_account(client, sent):
    client.remove_users_from_account(
        AccountIdentified.by_account_id("accountId"),
        [UserIdentified.by_user_id("userId1"), UserIdentified.by_email("user2@domain.tld")],
    )
    assert sent() == ("POST", "/accounts/users/remove", MEMBERSHIP)


def test_link_web_activity_to_a_user(client, sent):
    user = SimpleNamespace(id="userId", email="john@doe.tld")
    request = SimpleNamespace(cookies={"__journey": "device-id"}, user=user)

    if request.cookies["__journey"]:
        result = client.link(
            device_id=request.cookies["__journey"],
            user_id=request.user.id,
            email=request.user.email,
        )
        assert result.success
    body = {"deviceId": "device-id", "identification": {"userId": "userId", "email": "john@doe.tld"}}
    assert sent() == ("POST", "/link", body)


def test_add_event_of_a_user(client, sent):
    event = Event.for_user("login", UserIdentified.by_user_id("userId"))
    client.add_event(event)
    assert sent() == ("POST", "/track", {"identification": {"user": {"userId": "userId"}}, "name": "login"})


def test_add_event_that_happened_before(client, sent):
    event = Event.for_user("some_historic_event", UserIdentified.by_user_id("userId")).happened_at(DATE)
    client.add_event(event)
    assert sent() == (
        "POST",
        "/track",
        {"identification": {"user": {"userId": "userId"}}, "name": "some_historic_event", "triggeredAt": SENT},
    )


def test_add_event_of_an_account_with_metadata(client, sent):
    event = Event.for_account("reached_monthly_volume", AccountIdentified.by_account_id("accountId")).with_metadata(
        {
            "number": 1313,
            "string": "string",
            "boolean": True,
        }
    )
    client.add_event(event)
    assert sent() == (
        "POST",
        "/track",
        {
            "identification": {"account": {"accountId": "accountId"}},
            "name": "reached_monthly_volume",
            "metadata": {"number": 1313, "string": "string", "boolean": True},
        },
    )


def test_add_event_of_a_user_in_an_account(client, sent):
    event = Event.for_user_in_account(
        "updated_settings",
        UserIdentified.by_user_id("userId"),
        AccountIdentified.by_account_id("accountId"),
    )
    client.add_event(event)
    assert sent() == (
        "POST",
        "/track",
        {
            "identification": {"user": {"userId": "userId"}, "account": {"accountId": "accountId"}},
            "name": "updated_settings",
        },
    )


def test_get_tracking_snippet(api, client, sent):
    result = client.get_tracking_snippet(domain="www.journy.io")

    assert result.success
    assert result.data.snippet.startswith("<script>")
    assert result.data.domain == "www.journy.io"
    assert sent() == ("GET", "/tracking/snippet", None)
    assert api.requests[0].query == {"domain": "www.journy.io"}


def test_handling_errors(api, client):
    api.answer_next(status=404)
    result = client.get_tracking_snippet(domain="www.journy.io")

    assert not result.success
    assert result.error == "NotFoundError"
    assert result.request_id == api.requests[0].request_id


def test_an_empty_required_argument_raises(api, client):
    with pytest.raises(InvalidArgument, match="domain"):
        client.get_tracking_snippet(domain="")
    assert api.requests == []
