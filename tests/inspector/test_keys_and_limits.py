"""API keys, and how many requests each may make."""

import pytest

from journy_track.inspector import Inspector


@pytest.fixture
def small(clock):
    with Inspector(limit=3, window=60, clock=clock) as api:
        yield api


def test_a_request_without_a_key_is_a_401(api, caller_of):
    response = caller_of(api.url, key=None).track()
    assert response.status_code == 401
    assert response.json()["meta"]["status"] == 401
    assert api.requests[0].key is None
    assert api.events == []


@pytest.mark.parametrize(("key", "status"), [("invalid", 401), ("disabled", 403), ("x", 201)])
def test_the_name_of_a_key_decides_how_it_is_treated(api, caller_of, key, status):
    response = caller_of(api.url, key).track()
    assert response.status_code == status
    assert "X-RateLimit-Remaining" in response.headers


def test_only_the_end_of_a_key_is_kept(api, caller_of):
    caller_of(api.url, "secret-key-abcd").track()
    caller_of(api.url, "short").track()
    assert [received.key for received in api.requests] == ["…abcd", "…"]
    assert [received.headers["x-api-key"] for received in api.requests] == ["…abcd", "…"]
    assert "secret-key" not in repr(api.requests) + repr(vars(api._state))


def test_other_credentials_are_not_kept_either(api, call):
    call("GET", "/validate", headers={"Authorization": "Bearer secret", "Cookie": "session=secret"})
    assert "secret" not in repr(api.requests)


def test_over_the_limit_a_key_gets_429_until_its_window_has_moved(small, caller_of, clock):
    call = caller_of(small.url)
    remaining = []
    for _ in range(3):
        remaining.append(call.track().headers["X-RateLimit-Remaining"])
        clock.now += 10
    assert remaining == ["2", "1", "0"]
    refused = call.track()
    assert refused.status_code == 429
    assert (refused.headers["X-RateLimit-Limit"], refused.headers["X-RateLimit-Remaining"]) == ("3", "0")
    assert refused.json()["meta"]["status"] == 429
    clock.now += 30  # the first of the three is now 60 seconds old
    assert call.track().headers["X-RateLimit-Remaining"] == "0"
    assert call.track().status_code == 429
    assert (small.counts.accepted, small.counts.refused) == (4, 2)


def test_refused_requests_do_not_lengthen_the_wait(small, caller_of, clock):
    call = caller_of(small.url)
    statuses = [call.track().status_code for _ in range(6)]
    assert statuses == [201, 201, 201, 429, 429, 429]
    clock.now += 60
    assert call.track().headers["X-RateLimit-Remaining"] == "2"


def test_each_key_has_a_window_of_its_own(small, caller_of):
    one, other = caller_of(small.url, "key-one"), caller_of(small.url, "key-other")
    assert [one.track().status_code for _ in range(4)][-1] == 429
    assert other.track().headers["X-RateLimit-Remaining"] == "2"


def test_bad_requests_count_and_carry_the_limit_too(small, caller_of):
    call = caller_of(small.url)
    assert call("POST", "/track", {}).headers["X-RateLimit-Remaining"] == "2"
    assert call("POST", "/nowhere", {}).headers["X-RateLimit-Remaining"] == "1"


@pytest.mark.parametrize("settings", [{"limit": 0}, {"window": 0}])
def test_a_window_that_lets_nothing_through_is_refused(settings):
    with pytest.raises(ValueError, match="window"):
        Inspector(**settings)
