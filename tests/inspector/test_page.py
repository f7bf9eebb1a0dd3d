"""The page's files and the data it reads. Its appearance in a browser is tested in tests/browser."""

import re
from importlib import resources

import pytest

from journy_track.inspector import Inspector

PAGE = resources.files("journy_track.inspector").joinpath("page")
FILES = sorted(file.name for file in PAGE.iterdir())
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@pytest.mark.parametrize("path", ["/", *(f"/__inspector/page/{name}" for name in FILES)])
def test_the_page_needs_no_key_counts_nowhere_and_is_locked_down(api, caller_of, path):
    response = caller_of(api.url, key=None)("GET", path)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(TYPES.get(path[path.rfind(".") :], "text/html"))
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    assert "unsafe" not in policy
    assert "data:" not in policy
    assert api.requests == []


def test_the_page_keeps_its_own_policy():
    page = PAGE.joinpath("index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", page)
    assert "<title>journy inspector</title>" in page


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_no_script_writes_markup(name):
    script = PAGE.joinpath(name).read_text("utf-8")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "Function("):
        assert way not in script


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_another_host(name):
    text = PAGE.joinpath(name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|\burl\(", text)


def test_the_page_gets_what_arrived_oldest_first(api, call):
    call.track("one")
    call.track("two", metadata={"markup": "<img src=x onerror=alert(1)>"})
    listing = call("GET", "/__inspector/requests?after=0&limit=200").json()
    assert [item["number"] for item in listing["requests"]] == [1, 2]
    assert listing["requests"][0]["operation"] == "trackEvent"
    assert listing["counts"] == {"requests": 2, "items": 2, "accepted": 2, "refused": 0, "users": 1, "accounts": 0}
    assert (listing["keep"], listing["faults"]) == (10_000, 0)
    assert api.counts.requests == 2


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("after=4&limit=200", [5, 6]),
        ("after=0&limit=2", [5, 6]),
        ("after=6", []),
        ("before=5&limit=2", [3, 4]),
        ("before=5&after=3", [4]),
        ("before=1", []),
        ("before=100&limit=1", [6]),
        ("after=x&limit=-1", [1, 2, 3, 4, 5, 6]),
        ("limit=0", []),
    ],
)
def test_the_page_asks_for_a_part_and_gets_the_newest_of_it(call, query, numbers):
    for number in range(6):
        call.track(f"event_{number}")
    listed = call("GET", f"/__inspector/requests?{query}").json()["requests"]
    assert [item["number"] for item in listed] == numbers


def test_parts_of_a_full_ring_are_found_by_their_numbers(caller_of):
    with Inspector(keep=5) as api:
        call = caller_of(api.url)
        for _ in range(12):
            call.track()
        state = api._state
        assert [received.number for received in state.newest(0, 0, 100)] == [8, 9, 10, 11, 12]
        assert [received.number for received in state.newest(0, 11, 2)] == [9, 10]
        assert [received.number for received in state.oldest(0, 2)] == [8, 9]
        assert [received.number for received in state.oldest(10, 100)] == [11, 12]
        assert (state.find(7), state.find(8).number, state.find(12).number, state.find(13)) == (None, 8, 12, None)


def test_what_is_kept_is_bounded_in_bytes_too(caller_of, monkeypatch):
    monkeypatch.setattr("journy_track.inspector.room.MAX_KEPT", 40_000)
    with Inspector() as api:
        call = caller_of(api.url)
        for _ in range(4):
            call.track(metadata={"text": "x" * 5000})
        assert [received.number for received in api.requests] in ([2, 3, 4], [3, 4])
        call.track(metadata={"text": "x" * 15_000})
        assert [received.number for received in api.requests] == [5]
        assert api.counts.requests == 5


def test_users_and_accounts_are_bounded_as_well(caller_of):
    with Inspector(keep=3) as api:
        call = caller_of(api.url)
        call("POST", "/accounts/users/add", {"account": {"accountId": "acme"}, "users": [_user("u0"), _user("u4")]})
        for number in range(1, 5):
            call.track(user=f"u{number}")
            call("POST", "/accounts/upsert", {"identification": {"accountId": f"a{number}"}})
        assert [user.user_id for user in api.users] == ["u2", "u3", "u4"]
        assert [account.account_id for account in api.accounts] == ["a2", "a3", "a4"]


def test_an_account_keeps_no_member_that_was_forgotten(caller_of):
    with Inspector(keep=2) as api:
        call = caller_of(api.url)
        call("POST", "/accounts/users/add", {"account": {"accountId": "acme"}, "users": [_user("u1"), _user("u2")]})
        call.track(user="u3")
        assert [account.members for account in api.accounts] == [({"userId": "u2"},)]


def test_a_row_is_short_however_large_the_body(api, call):
    call.track("x" * 5000, metadata={f"key_{number}": "y" * 5000 for number in range(100)})
    row = call("GET", "/__inspector/requests").json()["requests"][0]
    assert len(row["name"]) < 400
    assert len(row["values"]) == 40
    assert all(len(value) < 400 for value in row["values"].values())
    assert len(call("GET", "/__inspector/requests/1").json()["json"]["metadata"]) == 100


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        "text",
        {"identification": 1, "name": [], "metadata": 3},
        {"identification": {"user": [1], "account": "x"}, "metadata": {"a": {"b": None}, "c": [1, "d"]}},
    ],
)
@pytest.mark.parametrize("path", ["/track", "/users/upsert", "/accounts/users/add", "/link", "/nowhere"])
def test_a_row_can_be_made_of_anything(api, call, path, body):
    call("POST", path, body)
    call("POST", path, data=b'\xff{"identification"', headers={"Content-Type": "application/json"})
    rows = call("GET", "/__inspector/requests").json()["requests"]
    assert [row["path"] for row in rows] == [path] * 2
    assert call("GET", "/__inspector/requests/2").json()["json"] is None


def test_a_row_names_the_users_and_the_account_of_each_call(api, call):
    ada, acme = {"userId": "u1", "email": "ada@acme.example"}, {"accountId": "acme"}
    call("POST", "/track", {"identification": {"user": ada, "account": acme}, "name": "x"})
    call("POST", "/users/upsert", {"identification": ada})
    call("POST", "/accounts/upsert", {"identification": acme})
    call("POST", "/accounts/users/add", {"account": acme, "users": [{"identification": ada}, _user("u2")]})
    rows = call("GET", "/__inspector/requests").json()["requests"]
    user, account = {"id": "u1", "alias": "ada@acme.example"}, {"id": "acme"}
    assert [(row["users"], row["account"]) for row in rows] == [
        ([user], account),
        ([user], None),
        ([], account),
        ([user, {"id": "u2"}], account),
    ]


def test_a_repetition_of_what_failed_is_counted_as_an_attempt(api, call):
    api.answer_next(503, count=2)
    for _ in range(4):
        call.track("one")
    call.track("two")
    call.track("one", user="u2")
    assert [received.attempt for received in api.requests] == [1, 2, 3, 1, 1, 1]


def test_users_and_accounts_show_what_changed_after_a_request(api, call):
    call("POST", "/users/upsert", {"identification": {"userId": "u1"}, "properties": {"plan": "pro"}})
    call.track(user="u2", identification={"user": {"userId": "u2"}, "account": {"accountId": "acme"}})
    users = call("GET", "/__inspector/users").json()["users"]
    assert [(user["id"], user["properties"], user["events"]) for user in users] == [
        ("u1", {"plan": "pro"}, 0),
        ("u2", {}, 1),
    ]
    assert [user["id"] for user in call("GET", "/__inspector/users?after=1").json()["users"]] == ["u2"]
    account = call("GET", "/__inspector/accounts").json()["accounts"][0]
    assert (account["id"], account["events"], account["members"]) == ("acme", 1, [])


def test_one_request_is_read_in_full(api, call):
    call.track("signed_in", metadata={"plan": "pro"})
    full = call("GET", "/__inspector/requests/1").json()
    assert full["json"]["metadata"] == {"plan": "pro"}
    assert full["answer"]["meta"]["status"] == 201
    assert full["headers"]["x-api-key"] == "…ests"
    assert full["item"]["name"] == "signed_in"
    assert call("GET", "/__inspector/requests/2").status_code == 404


def test_the_page_can_tell_that_the_numbers_began_anew(api, call):
    before = call("GET", "/__inspector/requests").json()["run"]
    api.reset()
    assert call("GET", "/__inspector/requests").json()["run"] != before


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/other", 404), ("POST", "/requests", 405)])
def test_what_the_page_does_not_know_is_refused_in_the_usual_shape(api, call, method, path, status):
    response = call(method, f"/__inspector{path}")
    assert (response.status_code, response.json()["meta"]["status"]) == (status, status)
    assert api.requests == []


def test_a_call_to_the_root_is_a_mistake_that_shows(api, call):
    assert call("POST", "/", {}).status_code == 404
    assert [received.path for received in api.requests] == ["/"]


def _user(user_id):
    return {"identification": {"userId": user_id}}
