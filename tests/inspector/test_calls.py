"""The inspector responds to every API call as the API does."""

import pytest

USER = {"userId": "u1", "email": "jane@acme.com"}
ACCOUNT = {"accountId": "a1", "domain": "acme.com"}
EVENT = {
    "identification": {"user": USER, "account": ACCOUNT},
    "name": "signed_in",
    "metadata": {"plan": "pro"},
}
MEMBERS = {"account": ACCOUNT, "users": [{"identification": USER}]}

CALLS = [
    ("POST", "/track", EVENT, 201, "trackEvent"),
    ("POST", "/events", EVENT, 201, "trackJourneyEvent"),
    ("POST", "/users/upsert", {"identification": USER, "properties": {"n": 1}}, 201, "upsertUser"),
    ("DELETE", "/users", {"identification": USER}, 202, "deleteUser"),
    ("POST", "/accounts/upsert", {"identification": ACCOUNT}, 201, "upsertAccount"),
    ("DELETE", "/accounts", {"identification": ACCOUNT}, 202, "deleteAccount"),
    ("POST", "/accounts/users/add", MEMBERS, 201, "addUserToAccount"),
    ("POST", "/accounts/users/remove", MEMBERS, 204, "removeUserFromAccount"),
    ("POST", "/link", {"deviceId": "d1", "identification": USER}, 201, "link"),
    ("GET", "/validate", None, 200, "getValidity"),
    ("GET", "/tracking/snippet?domain=acme.com", None, 200, "getTrackingSnippet"),
    ("GET", "/events", None, 200, "getEvents"),
    ("GET", "/properties/users", None, 200, "getUserProperties"),
    ("GET", "/properties/accounts", None, 200, "getAccountProperties"),
    ("GET", "/segments/users", None, 200, "getUserSegments"),
    ("GET", "/segments/accounts", None, 200, "getAccountSegments"),
]


@pytest.mark.parametrize("expected", CALLS, ids=lambda expected: expected[4])
def test_a_call_returns_its_status_and_shape(api, call, expected):
    method, path, body, status, operation = expected
    response = call(method, path, body)
    assert response.status_code == status
    assert int(response.headers["X-RateLimit-Limit"]) == 1800
    assert int(response.headers["X-RateLimit-Remaining"]) == 1799
    [received] = api.requests
    assert (received.operation, received.status, received.json) == (operation, status, body)
    if status == 204:
        assert response.content == b""
    else:
        assert response.json()["meta"] == {"requestId": received.request_id, "status": status}
        assert ("data" if status == 200 else "message") in response.json()
        assert received.answer == response.json()


def test_the_old_name_of_track_is_marked_as_deprecated(api, call):
    assert "deprecated" in call("POST", "/events", EVENT).json()["message"]
    assert "deprecated" not in call("POST", "/track", EVENT).json()["message"]
    assert [event.name for event in api.events] == ["signed_in", "signed_in"]


def test_request_ids_never_repeat(call):
    ids = {call("GET", "/validate").json()["meta"]["requestId"] for _ in range(50)}
    assert len(ids) == 50


def test_validate_names_the_permissions(call):
    assert "TrackData" in call("GET", "/validate").json()["data"]["permissions"]


def test_the_snippet_belongs_to_its_domain(call):
    data = call("GET", "/tracking/snippet?domain=acme.com").json()["data"]
    assert data["domain"] == "acme.com"
    assert "acme.com" in data["snippet"]


@pytest.mark.parametrize("path", ["/tracking/snippet", "/tracking/snippet?domain="])
def test_a_snippet_without_a_domain_names_the_parameter(call, path):
    response = call("GET", path)
    assert response.status_code == 400
    assert list(response.json()["errors"]["parameters"]["query"]) == ["domain"]


def test_a_domain_that_nobody_knows_is_a_404(call):
    assert call("GET", "/tracking/snippet?domain=unknown.example").status_code == 404


def test_reads_return_what_arrived(call):
    call.track("signed_in")
    call.track("created_invoice")
    call.track("signed_in")
    call.upsert({"full_name": "Jane", "age": 41})
    call("POST", "/accounts/upsert", {"identification": ACCOUNT, "properties": {"mrr": 9.5}})
    assert [item["name"] for item in call("GET", "/events").json()["data"]] == [
        "signed_in",
        "created_invoice",
    ]
    assert call("GET", "/properties/users").json()["data"] == [
        {"name": "full_name", "label": "Full name", "isComputed": False},
        {"name": "age", "label": "Age", "isComputed": False},
    ]
    assert [item["name"] for item in call("GET", "/properties/accounts").json()["data"]] == ["mrr"]


def test_an_unknown_path_is_a_404_in_the_usual_shape(call):
    response = call("POST", "/trak", {})
    assert response.status_code == 404
    assert "/trak" in response.json()["message"]
    assert response.json()["meta"]["status"] == 404


def test_a_wrong_method_is_a_405_that_names_the_right_ones(call):
    response = call("GET", "/track")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.json()["meta"]["status"] == 405


def test_a_body_of_more_than_a_mebibyte_is_a_413(api, call):
    assert call.track(metadata={"text": "x" * 2**20}).status_code == 413
    assert api.events == []
