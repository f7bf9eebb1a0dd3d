"""Arguments that the Client rejects before it sends anything."""

from __future__ import annotations

import pytest

from journy_track import (
    AccountIdentified,
    Client,
    ClientConfig,
    ConfigurationError,
    InvalidArgument,
    RequestsHttpClient,
    UserIdentified,
)


@pytest.fixture
def client(api):
    with Client(None, ClientConfig("key", base_url=api.url)) as client:
        yield client
    assert api.requests == []


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda c: c.upsert_user(), "user_id"),
        (lambda c: c.upsert_user(user_id=""), "user_id"),
        (lambda c: c.upsert_user(email=""), "email"),
        (lambda c: c.upsert_user(user_id="u1", properties="plan"), "properties"),
        (lambda c: c.delete_user(), "user_id"),
        (lambda c: c.delete_user(user_id=None, email=None), "user_id"),
        (lambda c: c.upsert_account(), "account_id"),
        (lambda c: c.upsert_account(domain=""), "domain"),
        (lambda c: c.delete_account(), "account_id"),
        (lambda c: c.add_users_to_account(None, ["u1"]), "account"),
        (lambda c: c.add_users_to_account("", ["u1"]), "account"),
        (lambda c: c.add_users_to_account(UserIdentified("u1"), ["u1"]), "account"),
        (lambda c: c.add_users_to_account("a1", []), "users"),
        (lambda c: c.add_users_to_account("a1", None), "users"),
        (lambda c: c.add_users_to_account("a1", "u1"), "users must be a list"),
        (lambda c: c.remove_users_from_account("a1", "u1"), "users must be a list"),
        (lambda c: c.remove_users_from_account("a1", b"u1"), "users must be a list"),
        (lambda c: c.remove_users_from_account("a1", UserIdentified("u1")), "users must be a list"),
        (lambda c: c.remove_users_from_account("a1", [None]), "^users holds None: user_id"),
        (lambda c: c.add_users_to_account("a1", ["u1", 1.5]), r"^users holds float 1\.5: user_id"),
        (lambda c: c.remove_users_from_account("a1", [AccountIdentified("a1")]), "user_id"),
        (lambda c: c.add_users_to_account("a1", range(101)), "at most 100, got 101"),
        (lambda c: c.link(device_id="", user_id="u1"), "device_id"),
        (lambda c: c.link(device_id=None, user_id="u1"), "device_id"),
        (lambda c: c.link(device_id="device"), "user_id"),
        (lambda c: c.add_event(None), "event must be an Event"),
        (lambda c: c.add_event("signed_in"), "event must be an Event"),
        (lambda c: c.get_tracking_snippet(domain=""), "domain"),
        (lambda c: c.get_tracking_snippet(domain=None), "domain"),
    ],
)
def test_an_argument_that_is_missing_empty_or_no_such_thing_is_named(client, call, argument):
    with pytest.raises(InvalidArgument, match=argument):
        call(client)


def test_a_hundred_users_go_in_one_call(api):
    with Client(None, ClientConfig("key", base_url=api.url)) as client:
        assert client.add_users_to_account("a1", range(100)).success
    assert len(api.accounts[0].members) == 100


@pytest.mark.parametrize("make", [Client.with_defaults, ClientConfig])
@pytest.mark.parametrize("key", ["", None, 5, "two words"])
def test_a_key_that_is_none_is_refused(make, key):
    with pytest.raises(ConfigurationError, match="api_key"):
        make(key)


@pytest.mark.parametrize("timeout", [0, -1, "5", float("nan"), True])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(ConfigurationError, match="timeout"):
        ClientConfig("key", timeout=timeout)


def test_the_environment_does_not_configure_a_client(monkeypatch):
    monkeypatch.setenv("JOURNY_BASE_URL", "nonsense")
    monkeypatch.setenv("JOURNY_API_KEY", "other")
    assert ClientConfig("key").base_url == "https://api.journy.io"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((None, "key"), "config must be a ClientConfig"),
        ((None, None), "config must be a ClientConfig"),
        ((object(), ClientConfig("key")), "http_client"),
        ((RequestsHttpClient, ClientConfig("key")), "http_client"),
    ],
)
def test_a_client_is_made_of_an_http_client_and_a_config(arguments, named):
    with pytest.raises(InvalidArgument, match=named):
        Client(*arguments)
