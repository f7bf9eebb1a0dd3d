"""The official Python SDK works with the inspector as it does with journy.io."""

from datetime import UTC, datetime

import pytest
from journyio.account_identified import AccountIdentified
from journyio.client import Client, Config, Properties
from journyio.events import Event, Metadata
from journyio.httpclient import HttpClientRequests
from journyio.results import Failure, Success
from journyio.user_identified import UserIdentified
from journyio.utils import APIError, JournyException

USER = UserIdentified("u1", "jane@acme.com")
ACCOUNT = AccountIdentified("a1", "acme.com")


@pytest.fixture
def sdk(api):
    return Client(HttpClientRequests(), Config("a-key-for-tests", api.url))


def properties(**values):
    made = Properties()
    for name, value in values.items():
        made[name] = value
    return made


def an_event():
    metadata = Metadata()
    metadata["plan"] = "pro"
    happened = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)
    return Event.for_user_in_account("signed_in", USER, ACCOUNT).happened_at(happened).with_metadata(metadata)


CALLS = [
    lambda sdk: sdk.add_event(an_event()),
    lambda sdk: sdk.add_event(Event.for_user("signed_in", USER)),
    lambda sdk: sdk.add_event(Event.for_account("paid_invoice", ACCOUNT)),
    lambda sdk: sdk.upsert_user(USER, properties(age=41, registered_at=datetime(2024, 5, 17), tags=["a"])),
    lambda sdk: sdk.delete_user(USER),
    lambda sdk: sdk.upsert_account(ACCOUNT, properties(plan="pro", gone=None)),
    lambda sdk: sdk.delete_account(ACCOUNT),
    lambda sdk: sdk.add_users_to_account(ACCOUNT, [USER, UserIdentified.by_user_id("u2")]),
    lambda sdk: sdk.link(USER, "device-1"),
    lambda sdk: sdk.get_tracking_snippet("acme.com"),
    lambda sdk: sdk.get_api_key_details(),
]


@pytest.mark.parametrize("ask", CALLS)
def test_every_call_of_the_sdk_succeeds(api, sdk, ask):
    result = ask(sdk)
    assert isinstance(result, Success)
    assert result.calls_remaining == 1799
    assert result.request_id == api.requests[0].request_id


def test_an_event_of_the_sdk_arrives_whole(api, sdk):
    sdk.add_event(an_event())
    [event] = api.events
    assert event.name == "signed_in"
    assert event.user == {"email": "jane@acme.com", "userId": "u1"}
    assert event.account == {"domain": "acme.com", "accountId": "a1"}
    assert (event.metadata, event.triggered_at) == ({"plan": "pro"}, "2024-05-17T09:30:00+00:00")


def test_the_sdk_chokes_on_the_empty_response_to_a_removal_which_did_happen(api, sdk):
    with pytest.raises(JournyException):
        sdk.remove_users_from_account(ACCOUNT, [USER])
    assert [received.status for received in api.requests] == [204]
    assert len(api.accounts[0].removed) == 1


def test_the_sdk_sees_its_failures(api):
    result = Client(HttpClientRequests(), Config("disabled", api.url)).get_api_key_details()
    assert isinstance(result, Failure)
    assert result.error is APIError.ForbiddenError
