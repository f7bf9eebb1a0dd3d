"""Requests that no app would send: they are refused, and cost little."""

import http.client
import json
import tracemalloc
from datetime import UTC, datetime

import pytest

from journy_track.inspector import Inspector
from journy_track.inspector.room import MAX_KEPT
from journy_track.inspector.values import IncomingRequest

CONTROL = {"X-Inspector-Control": "1"}
SITES = ["cross-site", "same-site"]
READS = ["/", "/__inspector/requests", "/__inspector/users", "/__inspector/accounts", "/__inspector/export"]


def nested(levels, opening, closing):
    return opening * levels + ("1" if opening != "[" else "") + closing * levels


def track_of(id_, properties):
    return {"type": "track", "messageId": id_, "event": "e", "userId": "u", "properties": properties}


BODIES = {
    "/track": '{"identification": {"user": {"userId": "u"}}, "name": "x", "metadata": {"a": %s}}',
    "/users/upsert": '{"identification": {"userId": "u"}, "properties": {"a": %s}}',
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("levels", [65, 400, 650, 900, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_json_is_refused_and_what_arrived_stays_readable(api, call, path, levels, opening, closing):
    refused = call("POST", path, data=BODIES[path] % nested(levels, opening, closing))
    assert refused.status_code == 400
    assert [call("GET", read).status_code for read in [*READS, "/__inspector/requests/1"]] == [200] * 6
    assert api.requests[0].json is None


@pytest.mark.parametrize("digits", [401, 4299, 100_000])
def test_digits_without_end_are_refused(api, call, digits):
    for path, body in BODIES.items():
        assert call("POST", path, data=body % ("9" * digits)).status_code == 400
    for field in ("status", "count", "delay"):
        body = f'{{"{field}": {"9" * digits}}}'
        assert call("POST", "/__inspector/faults", data=body, headers=CONTROL).status_code == 400


def test_digits_without_end_are_no_number_of_a_request(api, call):
    digits = "9" * 5000
    assert call("GET", f"/__inspector/requests/{digits}").status_code == 404
    assert call("GET", f"/__inspector/requests?after={digits}").status_code == 200
    stream = call("GET", "/__inspector/stream", headers={"Last-Event-ID": f"run:{digits}"}, stream=True)
    assert stream.status_code == 200
    assert next(stream.iter_lines()).startswith(b"id: ")
    stream.close()


IMPOSSIBLE = [
    {"a b": "c"},
    {"a:": "c"},
    {"(": "a"},
    {"Content-Length": "5"},
    {"transfer-encoding": "chunked"},
    {"Connection": "upgrade"},
    {"a": " b"},
    {"a": "\t"},
    {"a": "\x7f"},
    {"a": "\ud800"},
    {"\ud800": "a"},
]


@pytest.mark.parametrize("headers", IMPOSSIBLE, ids=repr)
def test_headers_that_cannot_be_sent_are_refused_when_they_are_ordered(api, call, headers):
    refused = call("POST", "/__inspector/faults", {"headers": headers}, headers=CONTROL)
    assert (refused.status_code, list(refused.json()["errors"]["fields"])) == (400, ["headers"])
    with pytest.raises(ValueError, match=r"header|value|server"):
        api.answer_next(503, headers=headers)
    assert call.track().status_code == 201


@pytest.mark.parametrize("status", [200, 204, 205, 304, 404, 599])
@pytest.mark.parametrize("body", ["<p>text</p>", "", {"a": 1}, None])
def test_each_status_can_be_ordered_with_each_body(api, call, status, body):
    call("POST", "/__inspector/faults", {"status": status, "body": body}, headers=CONTROL)
    assert [call("GET", "/validate").status_code for _ in range(2)] == [status, 200]


def test_lone_surrogates_are_listed_but_not_ordered_as_text(api, call):
    lone = "\ud800"
    assert call.track(lone, metadata={lone: lone}).status_code == 201
    assert call.upsert({lone: [lone]}, user=lone).status_code == 201
    assert [call("GET", read).status_code for read in [*READS, "/__inspector/requests/1"]] == [200] * 6
    refused = call("POST", "/__inspector/faults", {"body": lone}, headers=CONTROL)
    assert (refused.status_code, list(refused.json()["errors"]["fields"])) == (400, ["body"])
    with pytest.raises(ValueError, match="surrogates"):
        api.answer_next(503, lone)


# ── Memory ──


def named(number):
    return {"userId": f"user-{number % 7}"}


def pairs(number, count, text="x"):
    return {f"name-{number}-{one}": text for one in range(count)}


FLOODS = {
    "bodies": lambda n: ("/track", {"name": "x", "identification": {"user": named(n)}, "more": "x" * 500_000}),
    "lists": lambda n: ("/track", {"more": [[]] * 150_000}),
    "events": lambda n: ("/track", {"name": "x", "identification": {"user": named(n)}, "metadata": pairs(n, 10_000)}),
    "wrong fields": lambda n: (
        "/track",
        {"name": "x", "identification": {"user": named(n)}, "metadata": pairs(n, 9000, None)},
    ),
    "one user": lambda n: ("/users/upsert", {"identification": {"userId": "u"}, "properties": pairs(n, 10_000)}),
    "users": lambda n: ("/users/upsert", {"identification": {"userId": str(n)}, "properties": pairs(n, 10_000)}),
    "large IDs": lambda n: ("/users/upsert", {"identification": {"userId": f"{n}" + "x" * 500_000}}),
    "devices": lambda n: ("/link", {"identification": {"userId": "u"}, "deviceId": f"{n}" + "x" * 500_000}),
    "names": lambda n: ("/track", {"name": f"{n}" + "x" * 500_000, "identification": {"user": named(n)}}),
    "members": lambda n: (
        "/accounts/users/add",
        {
            "account": {"accountId": str(n % 5000)},
            "users": [{"identification": {"userId": str((n * 7 + one) % 9000)}} for one in range(100)],
        },
    ),
}


FLOODS |= {
    "messages": lambda n: (
        "/v1/batch",
        {"batch": [track_of(f"{n}-{one}", {"n": one}) for one in range(2000)]},
    ),
    "known messages": lambda n: ("/v1/batch", {"batch": [track_of(f"{one}", {}) for one in range(2500)]}),
    "wrong values of messages": lambda n: (
        "/v1/batch",
        {"batch": [track_of(f"{n}-{one}", {f"{key:x}": {} for key in range(300)}) for one in range(100)]},
    ),
    "messages of no known type": lambda n: (
        "/v1/batch",
        {"batch": [{"type": f"{n}-{one}" * 20, "messageId": f"{n}-{one}"} for one in range(2000)]},
    ),
}

#: Enough rounds to use more than 16 MiB if nothing were forgotten.
ROUNDS = {"lists": 5, "events": 10, "wrong fields": 9, "one user": 12, "users": 12, "members": 700}


@pytest.mark.slow
@pytest.mark.parametrize("flood", FLOODS)
def test_its_memory_is_bounded_whatever_arrives(flood, monkeypatch):
    # A quarter of the real limit, so that it is reached soon: 16 MiB in total.
    monkeypatch.setattr("journy_track.inspector.room.MAX_KEPT", MAX_KEPT // 4)
    inspector = Inspector(limit=1_000_000)
    rounds = ROUNDS.get(flood, 40)
    tracemalloc.start()
    try:
        for number in range(rounds):
            path, body = FLOODS[flood](number)
            text = json.dumps(body).encode()
            headers = {f"header-{one}": "x" * 1000 for one in range(3)}
            call = IncomingRequest(datetime.now(UTC), "POST", path, {}, headers, "a-key", text)
            inspector._state.answer(call, None, lambda: 0.0)
            del body, text, call
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 16 * 1024 * 1024
    assert inspector.requests[-1].number == rounds


@pytest.mark.slow
def test_a_usual_app_has_its_newest_10_000_requests_kept():
    inspector = Inspector(limit=1_000_000)
    headers = {"user-agent": "python-requests/2.32", "accept": "*/*", "content-type": "application/json"}
    for number in range(10_001):
        metadata = {f"key_{one}": f"a value of number {number}" for one in range(5)}
        user = {"userId": f"u{number}", "email": f"u{number}@example.com"}
        body = {"name": "signed_in", "identification": {"user": user}, "metadata": metadata}
        call = IncomingRequest(datetime.now(UTC), "POST", "/track", {}, headers, "key", json.dumps(body).encode())
        inspector._state.answer(call, None, lambda: 0.0)
    assert len(inspector.requests) == len(inspector.events) == len(inspector.users) == 10_000


def test_faults_that_are_ordered_are_bounded(api, call):
    large = {"status": 503, "body": "x" * 1_000_000}
    statuses = [call("POST", "/__inspector/faults", large, headers=CONTROL).status_code for _ in range(5)]
    assert statuses == [201, 201, 201, 201, 400]
    call("DELETE", "/__inspector/faults", headers=CONTROL)
    many = {"status": 503, "count": 10_000}
    assert [call("POST", "/__inspector/faults", many, headers=CONTROL).status_code for _ in range(11)][-1] == 400
    assert call("POST", "/__inspector/faults", data=b" " * 3_000_000, headers=CONTROL).status_code == 413


@pytest.mark.slow
def test_windows_of_keys_are_bounded(api, caller_of):
    call = caller_of(api.url)
    for number in range(300):
        call("GET", "/validate", headers={"X-Api-Key": f"key-{number}"})
    assert len(api._state._windows) <= 100


# ── Web pages ──


@pytest.mark.parametrize("site", SITES)
def test_what_a_page_of_another_site_sends_is_not_recorded_and_takes_no_fault(api, call, site):
    api.answer_next(503)
    browser = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    for method, path in (("POST", "/track"), ("GET", "/validate"), ("GET", "/__inspector/stream"), ("GET", "/")):
        assert call(method, path, headers=browser).status_code == 403
    assert api.requests == []
    assert call("GET", "/validate").status_code == 503


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000"])
def test_a_browser_that_names_only_the_origin_is_refused_too(api, call, origin):
    assert call("POST", "/track", data="{}", headers={"Origin": origin}).status_code == 403
    assert call("OPTIONS", "/track", headers={"Origin": origin}).status_code == 403
    assert api.requests == []


def test_its_own_page_and_links_to_it_are_accepted(api, call):
    own = {"Sec-Fetch-Site": "same-origin", "Origin": api.url}
    assert call("GET", "/__inspector/requests", headers=own).status_code == 200
    assert call("GET", "/validate", headers=own).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert call("GET", "/", headers=link).status_code == 200
    assert call("GET", "/validate", headers=link).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:@evil.example", "localhost:80/x", "localhost:x", "[::1]x", "[::1"])
def test_a_host_that_is_more_than_a_name_and_a_port_is_refused(api, host):
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    assert connection.getresponse().status == 421
    connection.close()
