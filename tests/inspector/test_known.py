"""The users, accounts and events that accepted requests leave behind."""

import pytest


def upsert_account(call, identification, **properties):
    return call("POST", "/accounts/upsert", {"identification": identification, "properties": properties})


def members(call, action, account, *users):
    body = {"account": account, "users": [{"identification": user} for user in users]}
    return call("POST", f"/accounts/users/{action}", body)


def test_properties_merge_and_the_later_value_wins(api, call):
    call.upsert({"plan": "free", "age": 41, "tags": ["a"]})
    call.upsert({"plan": "pro", "empty": ""})
    [user] = api.users
    assert user.properties == {"plan": "pro", "age": 41, "tags": ["a"], "empty": ""}


def test_null_deletes_a_property_and_then_it_may_have_another_type(api, call):
    call.upsert({"plan": "free"})
    assert "rejected" not in call.upsert({"plan": None}).json()
    assert api.users[0].properties == {}
    assert "rejected" not in call.upsert({"plan": 3}).json()
    assert api.users[0].properties == {"plan": 3}


@pytest.mark.parametrize(
    ("stored", "sent", "reason"),
    [
        ("2024-05-17T09:30:00.000Z", True, "Expected a date but found a boolean."),
        ("2024-05-17T09:30:00Z", "soon", "Expected a date but found a string."),
        ("soon", "2024-05-17T09:30:00Z", "Expected a string but found a date."),
        (1, True, "Expected a number but found a boolean."),
        ("1", 1, "Expected a string but found a number."),
        (["a"], "a", "Expected a list but found a string."),
    ],
)
def test_a_property_that_changes_its_type_is_rejected_and_the_rest_is_stored(api, call, stored, sent, reason):
    call.upsert({"created_at": stored})
    response = call.upsert({"created_at": sent, "plan": "pro"})
    assert response.status_code == 201
    assert response.json()["rejected"] == {"created_at": reason}
    assert api.users[0].properties == {"created_at": stored, "plan": "pro"}


def test_whole_and_fractional_numbers_are_one_type(call):
    call.upsert({"mrr": 9})
    assert "rejected" not in call.upsert({"mrr": 9.5}).json()


def test_a_user_is_found_by_id_or_else_by_email(api, call):
    for identification in (
        {"email": "jane@acme.com"},
        {"userId": "u1", "email": "jane@acme.com"},
        {"userId": "u1"},
    ):
        call("POST", "/users/upsert", {"identification": identification})
    call("POST", "/users/upsert", {"identification": {"userId": "u2", "email": "jane@acme.com"}})
    assert [(user.user_id, user.email) for user in api.users] == [
        ("u1", "jane@acme.com"),
        ("u2", "jane@acme.com"),
    ]


def test_a_new_email_replaces_the_old_one(api, call):
    for email in ("old@acme.com", "new@acme.com"):
        call("POST", "/users/upsert", {"identification": {"userId": "u1", "email": email}})
    call("POST", "/users/upsert", {"identification": {"email": "old@acme.com"}})
    assert [(user.user_id, user.email) for user in api.users] == [
        ("u1", "new@acme.com"),
        (None, "old@acme.com"),
    ]


def test_an_account_is_found_by_id_or_else_by_domain(api, call):
    upsert_account(call, {"domain": "acme.com"}, mrr=1)
    upsert_account(call, {"accountId": "a1", "domain": "acme.com"}, plan="pro")
    [account] = api.accounts
    assert (account.account_id, account.domain) == ("a1", "acme.com")
    assert account.properties == {"mrr": 1, "plan": "pro"}


def test_an_event_makes_its_user_and_account_known(api, call):
    user, account = {"userId": "u1"}, {"domain": "acme.com"}
    call("POST", "/track", {"identification": {"user": user, "account": account}, "name": "signed_in"})
    [event] = api.events
    assert (event.user, event.account, event.metadata, event.triggered_at) == (user, account, {}, None)
    assert [known.user_id for known in api.users] == ["u1"]
    assert [known.domain for known in api.accounts] == ["acme.com"]


def test_metadata_never_changes_a_property(api, call):
    call.track(metadata={"plan": "pro"})
    assert api.users[0].properties == {}


def test_a_user_who_is_removed_from_an_account_stays_a_user(api, call):
    members(call, "add", {"accountId": "a1"}, {"userId": "u1"}, {"userId": "u2"})
    assert members(call, "remove", {"accountId": "a1"}, {"userId": "u1"}).status_code == 204
    [account] = api.accounts
    assert (account.members, account.removed) == (({"userId": "u2"},), ({"userId": "u1"},))
    assert [user.user_id for user in api.users] == ["u1", "u2"]


def test_deleting_a_user_forgets_it_everywhere(api, call):
    members(call, "add", {"accountId": "a1"}, {"userId": "u1", "email": "jane@acme.com"})
    assert call("DELETE", "/users", {"identification": {"email": "jane@acme.com"}}).status_code == 202
    assert api.users == []
    assert api.accounts[0].members == ()
    assert call("DELETE", "/users", {"identification": {"userId": "u1"}}).status_code == 202


def test_deleting_an_account_keeps_its_users(api, call):
    members(call, "add", {"accountId": "a1"}, {"userId": "u1"})
    assert call("DELETE", "/accounts", {"identification": {"accountId": "a1"}}).status_code == 202
    assert api.accounts == []
    assert [user.user_id for user in api.users] == ["u1"]


def test_devices_are_linked_to_their_user_once(api, call):
    for device in ("d1", "d2", "d1"):
        call("POST", "/link", {"deviceId": device, "identification": {"userId": "u1"}})
    assert api.users[0].devices == ("d1", "d2")


def test_what_a_reader_got_does_not_change_what_is_known(api, call):
    call.upsert({"tags": ["a"]})
    api.users[0].properties["tags"].append("b")
    api.requests[0].json["properties"]["tags"].append("c")
    assert api.users[0].properties == {"tags": ["a"]}
