"""An invalid body gets a 400 response that names its invalid fields."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

USER = {"userId": "u1"}
IDENTIFIED = {"user": USER}


def fields(response):
    assert response.status_code == 400, response.text
    return response.json()["errors"]["fields"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "e"}, "identification"),
        ({"name": "e", "identification": {}}, "identification"),
        ({"name": "e", "identification": None}, "identification"),
        ({"name": "e", "identification": {"other": USER}}, "identification"),
        ({"name": "e", "identification": {"user": {}}}, "identification.user"),
        ({"name": "e", "identification": {"user": None}}, "identification.user"),
        ({"name": "e", "identification": {"user": {"userId": 7}}}, "identification.user.userId"),
        ({"name": "e", "identification": {"user": {"userId": ""}}}, "identification.user.userId"),
        ({"name": "e", "identification": {"user": {"userId": None}}}, "identification.user.userId"),
        ({"name": "e", "identification": {"user": {"email": "jane"}}}, "identification.user.email"),
        ({"name": "e", "identification": {"user": {"email": 1}}}, "identification.user.email"),
        ({"name": "e", "identification": {"account": {"domain": 1}}}, "identification.account.domain"),
        ({"identification": IDENTIFIED}, "name"),
        ({"identification": IDENTIFIED, "name": ""}, "name"),
        ({"identification": IDENTIFIED, "name": 1}, "name"),
        ({"identification": IDENTIFIED, "name": "e", "triggeredAt": "yesterday"}, "triggeredAt"),
        ({"identification": IDENTIFIED, "name": "e", "triggeredAt": None}, "triggeredAt"),
        ({"identification": IDENTIFIED, "name": "e", "triggeredAt": 1715938200}, "triggeredAt"),
        ({"identification": IDENTIFIED, "name": "e", "triggeredAt": "2024-05-17"}, "triggeredAt"),
        ({"identification": IDENTIFIED, "name": "e", "triggeredAt": "2024-05-17T09:30:00"}, "triggeredAt"),
        ({"identification": IDENTIFIED, "name": "e", "triggeredAt": "2024-02-31T09:30:00Z"}, "triggeredAt"),
        ({"identification": IDENTIFIED, "name": "e", "metadata": None}, "metadata"),
        ({"identification": IDENTIFIED, "name": "e", "metadata": {"a": None}}, "metadata.a"),
        ({"identification": IDENTIFIED, "name": "e", "metadata": {"a": ["x"]}}, "metadata.a"),
        ({"identification": IDENTIFIED, "name": "e", "metadata": {"a": {}}}, "metadata.a"),
        ([], "body"),
        ("text", "body"),
        (7, "body"),
    ],
)
def test_an_event_with_a_bad_field_is_refused(api, call, body, field):
    assert list(fields(call("POST", "/track", body))) == [field]
    assert api.events == []


@pytest.mark.parametrize(
    ("request_line", "body", "field"),
    [
        ("POST /users/upsert", {}, "identification"),
        ("POST /users/upsert", {"identification": USER, "properties": []}, "properties"),
        ("POST /users/upsert", {"identification": USER, "properties": {"p": {}}}, "properties.p"),
        ("POST /users/upsert", {"identification": USER, "properties": {"p": ["x", 1]}}, "properties.p"),
        ("DELETE /users", {"identification": {}}, "identification"),
        ("POST /accounts/upsert", {"identification": {"accountId": 1}}, "identification.accountId"),
        ("DELETE /accounts", {}, "identification"),
        ("POST /link", {"identification": USER}, "deviceId"),
        ("POST /link", {"identification": USER, "deviceId": ""}, "deviceId"),
        ("POST /link", {"deviceId": "d"}, "identification"),
        ("POST /accounts/users/add", {"users": []}, "account"),
        ("POST /accounts/users/add", {"account": {"domain": "a.com"}}, "users"),
        ("POST /accounts/users/add", {"account": {"domain": "a.com"}, "users": {}}, "users"),
        (
            "POST /accounts/users/add",
            {"account": {"domain": "a.com"}, "users": [USER]},
            "users.0.identification",
        ),
        ("POST /accounts/users/remove", {"account": {"domain": "a.com"}, "users": [7]}, "users.0"),
    ],
)
def test_a_body_with_a_bad_field_is_refused(api, call, request_line, body, field):
    assert list(fields(call(*request_line.split(), body))) == [field]
    assert api.users == api.accounts == []


def test_every_bad_field_is_named_at_once(call):
    body = {
        "identification": {"user": {"userId": 1}},
        "name": "",
        "triggeredAt": "?",
        "metadata": {"a": None},
    }
    assert set(fields(call("POST", "/track", body))) == {
        "identification.user.userId",
        "name",
        "triggeredAt",
        "metadata.a",
    }


def test_a_membership_takes_a_hundred_users_and_no_more(call):
    users = [{"identification": {"userId": str(number)}} for number in range(101)]
    account = {"accountId": "a1"}
    assert call("POST", "/accounts/users/add", {"account": account, "users": users[:100]}).status_code == 201
    assert "101" in fields(call("POST", "/accounts/users/add", {"account": account, "users": users}))["users"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"identification": {"user": {"userId": "u"}}, "name": "e", "metadata": {"n": NaN}}',
        b'{"identification": {"user": {"userId": "u"}}, "name": "e", "metadata": {"n": -Infinity}}',
        b'{"identification": {"user": {"userId": "u"}}, "name": "e", "metadata": {"n": 1e999}}',
    ],
)
def test_what_is_not_json_is_refused(api, call, body):
    assert list(fields(call("POST", "/track", data=body))) == ["body"]
    assert (api.requests[0].body, api.requests[0].json) == (body, None)


@pytest.mark.parametrize(
    "moment", ["2024-05-17T09:30:00Z", "2024-05-17T09:30:00.123Z", "2024-05-17T11:30:00.123456+02:00"]
)
def test_a_moment_with_its_offset_is_taken(api, call, moment):
    assert call.track(triggeredAt=moment).status_code == 201
    assert api.events[0].triggered_at == moment


def test_strings_booleans_and_numbers_are_metadata(api, call):
    metadata = {"s": "", "t": True, "i": 3, "f": 2.5, "dotted.name": "é", "surrogate": "\ud800"}
    assert call.track(metadata=metadata).status_code == 201
    assert api.events[0].metadata == metadata
    assert call("GET", "/__inspector/requests").status_code == 200


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["identification", "name", "triggeredAt", "metadata", "properties", "users", "account", "deviceId"]
nearly_a_body = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything))
POSTS = [
    "/track",
    "/users/upsert",
    "/accounts/upsert",
    "/accounts/users/add",
    "/accounts/users/remove",
    "/link",
]


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=anything | nearly_a_body, path=st.sampled_from(POSTS))
def test_no_json_body_can_break_it(call, body, path):
    assert call("POST", path, json=body).status_code in {201, 204, 400}
