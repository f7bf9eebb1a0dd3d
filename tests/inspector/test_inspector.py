"""The inspector as a server: its lifecycle, what it keeps, and the faults it injects."""

import gc
import socket
import threading
import time
from datetime import UTC, datetime

import pytest
import requests

from journy_track.inspector import Inspector, serve


def test_what_arrived_is_recorded_as_it_came(api, call):
    before = datetime.now(UTC)
    call("POST", "/track?a=1&b=", {"name": "x"})
    [received] = api.requests
    assert (received.number, received.method, received.path, received.query) == (
        1,
        "POST",
        "/track",
        {"a": "1", "b": ""},
    )
    assert received.body == b'{"name": "x"}'
    assert received.headers["content-type"] == "application/json"
    assert before <= received.received_at <= datetime.now(UTC)
    assert received.duration_ms >= 0
    assert received.answer["meta"]["requestId"] == received.request_id


def test_the_ring_is_bounded_and_the_counts_stay_exact(caller_of):
    with Inspector(keep=5) as api:
        call = caller_of(api.url)
        for number in range(12):
            call.track(f"event_{number}")
        call("POST", "/track", {})
        assert [received.number for received in api.requests] == [9, 10, 11, 12, 13]
        assert [event.name for event in api.events] == [f"event_{number}" for number in range(7, 12)]
        counts = api.counts
    assert (counts.requests, counts.accepted, counts.refused) == (13, 12, 0)
    assert counts.by_status == {201: 12, 400: 1}
    assert counts.by_operation == {"trackEvent": 13}


def test_wait_for_returns_when_the_event_arrives(api, caller_of):
    call = caller_of(api.url)
    sender = threading.Thread(target=lambda: [call.track() for _ in range(3)])
    sender.start()
    api.wait_for(lambda api: len(api.events) >= 3, timeout=5)
    assert len(api.events) == 3
    sender.join()


def test_wait_for_reports_what_did_arrive(api, call):
    call.track("signed_in")
    with pytest.raises(TimeoutError, match=r"1 × 201.*signed_in.*POST /track, with status 201"):
        api.wait_for(lambda api: len(api.events) >= 2, timeout=0.01)
    api.reset()
    with pytest.raises(TimeoutError, match="Nothing arrived"):
        api.wait_for(lambda api: api.events, timeout=0.01)


def test_reset_forgets_everything(api, call):
    call.track()
    api.answer_next(500)
    api.reset()
    assert (api.requests, api.events, api.users, api.accounts) == ([], [], [], [])
    assert api.counts.requests == 0
    response = call.track()
    assert (response.status_code, response.headers["X-RateLimit-Remaining"]) == (201, "1799")


def test_a_fault_is_for_the_next_requests_only(api, call):
    api.answer_next(503, count=2)
    assert [call.track().status_code for _ in range(3)] == [503, 503, 201]
    assert api.counts.by_status == {503: 2, 201: 1}
    assert [received.operation for received in api.requests] == ["trackEvent"] * 3
    assert len(api.events) == 1


def test_a_fault_comes_before_the_key_and_has_no_rate_headers(api, caller_of):
    api.answer_next(500)
    response = caller_of(api.url, key=None).track()
    assert response.status_code == 500
    assert response.json()["meta"]["status"] == 500
    assert "X-RateLimit-Limit" not in response.headers


def test_a_fault_can_be_html_or_json_with_headers_of_its_own(api, call):
    api.answer_next(502, body="<h1>Bad gateway</h1>")
    api.answer_next(429, body={"message": "slow down"}, headers={"Retry-After": "7"})
    html, json = call.track(), call.track()
    assert html.headers["Content-Type"].startswith("text/html")
    assert html.text == "<h1>Bad gateway</h1>"
    assert (json.json(), json.headers["Retry-After"]) == ({"message": "slow down"}, "7")
    assert [received.answer for received in api.requests] == [None, {"message": "slow down"}]


def test_a_dropped_connection_has_no_response(api, call):
    api.answer_next(drop=True)
    with pytest.raises(requests.ConnectionError):
        call.track()
    assert [received.status for received in api.requests] == [0]
    assert api.events == []
    assert call.track().status_code == 201


def test_a_response_can_be_lost_after_the_event_was_taken(api, call):
    api.answer_next(None, drop=True)
    with pytest.raises(requests.ConnectionError):
        call.track()
    assert len(api.events) == 1


def test_a_late_response_ends_with_the_patience_of_its_caller(api):
    api.answer_next(200, delay=60)
    with pytest.raises(requests.Timeout):
        requests.get(f"{api.url}/validate", timeout=0.05)
    api.wait_for(lambda api: api.counts.requests == 1, timeout=5)
    assert api.requests[0].duration_ms < 10_000


def test_a_late_response_is_late(api, call):
    api.answer_next(200, delay=0.05)
    call("GET", "/validate")
    assert api.requests[0].duration_ms >= 50


def test_no_fault_has_a_status_that_a_response_cannot_have(api):
    with pytest.raises(ValueError, match="100"):
        api.answer_next(100)


@pytest.mark.slow
def test_it_stops_within_two_seconds_whatever_is_open(caller_of):
    threads = set(threading.enumerate())
    api = Inspector().start()
    idle = caller_of(api.url)
    address = ("127.0.0.1", int(api.url.rpartition(":")[2]))
    with socket.create_connection(address) as half, socket.create_connection(address) as late:
        half.sendall(b"POST /track HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        api.answer_next(200, delay=60)
        late.sendall(b"GET /validate HTTP/1.1\r\nHost: localhost\r\n\r\n")
        idle("GET", "/")  # after a round trip, both requests are waiting
        idle("GET", "/")
        started = time.monotonic()
        api.stop()
        assert time.monotonic() - started < 2
        assert [received.path for received in api.requests] == ["/validate"]
    assert set(threading.enumerate()) == threads
    gc.collect()  # an unclosed socket would warn, and warnings are errors


@pytest.mark.slow
def test_it_starts_again_on_its_port_with_what_it_knew(caller_of):
    with Inspector() as api:
        url, call = api.url, caller_of(api.url)
        call.track()
        api.stop()
        with pytest.raises(requests.ConnectionError):
            call.track()
        api.start()
        assert api.url == url
        call.track()
        assert len(api.events) == 2


def test_stopping_twice_is_fine_and_starting_twice_is_not():
    api = Inspector()
    with pytest.raises(RuntimeError, match="start it first"):
        _ = api.url
    with api, pytest.raises(RuntimeError, match="already running"):
        api.start()
    api.stop()


def test_a_port_that_is_taken_raises_at_the_start(api):
    with pytest.raises(OSError, match="in use"):
        Inspector(port=int(api.url.rpartition(":")[2])).start()


def test_serve_runs_until_it_is_stopped():
    got = []
    ready = threading.Event()
    foreground = threading.Thread(
        target=serve, kwargs={"port": 0, "limit": 7, "on_ready": lambda api: (got.append(api), ready.set())}
    )
    foreground.start()
    assert ready.wait(5)
    response = requests.get(f"{got[0].url}/validate", headers={"X-Api-Key": "k"}, timeout=5)
    got[0].stop()
    foreground.join(5)
    assert response.headers["X-RateLimit-Limit"] == "7"
    assert not foreground.is_alive()


def test_many_callers_at_once_are_all_counted(api, caller_of):
    callers = [caller_of(api.url, f"key-{number}") for number in range(8)]
    threads = [threading.Thread(target=lambda call=call: [call.track() for _ in range(25)]) for call in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (api.counts.requests, api.counts.accepted, len(api.events)) == (200, 200, 200)
    assert [received.number for received in api.requests] == list(range(1, 201))


@pytest.mark.parametrize("wrong", [{"status": "503"}, {"status": 42}, {"count": 0}, {"delay": -1}])
def test_a_response_that_cannot_be_sent_is_refused(api, wrong):
    with pytest.raises(ValueError, match=r"not the status of a response|at least"):
        api.answer_next(**wrong)
