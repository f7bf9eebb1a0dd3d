"""The page is notified at once about what arrives."""

import json
import threading
import time

import pytest
import requests

from journy_track.inspector import Inspector


@pytest.fixture
def stream(api):
    """Return a function that opens streams. They are closed at the end of the test."""
    opened = []

    def open_stream(url=api.url, query="", **headers):
        response = requests.get(f"{url}/__inspector/stream{query}", stream=True, timeout=20, headers=headers)
        opened.append(response)
        return messages(response)

    yield open_stream
    for response in opened:
        response.close()


def messages(response):
    """Yield the messages of a stream: (id, content)."""
    last_id = None
    for line in response.iter_lines():
        if line.startswith(b"id: "):
            last_id = line[4:].decode()
        elif line.startswith(b"data: "):
            yield last_id, json.loads(line[6:])


def numbers(stream, until):
    """Return the request numbers of all messages, up to *until*."""
    seen = []
    while not seen or seen[-1] < until:
        seen += [item["number"] for item in next(stream)[1]["requests"]]
    return seen


def test_a_request_is_sent_to_the_page_when_it_arrives(api, call, stream):
    events = stream()
    assert next(events)[1]["requests"] == []
    call.track("signed_in")
    last_id, content = next(events)
    assert last_id == f"{content['run']}:1:0"
    assert [item["name"] for item in content["requests"]] == ["signed_in"]
    assert content["counts"]["requests"] == 1


def test_what_the_page_has_is_not_sent_again(api, call, stream):
    for _ in range(5):
        call.track()
    run = call("GET", "/__inspector/requests").json()["run"]
    assert numbers(stream(query=f"?run={run}&after=3"), until=5) == [4, 5]
    assert numbers(stream(**{"Last-Event-ID": f"{run}:4"}), until=5) == [5]


def test_a_page_of_before_the_reset_gets_everything(api, call, stream):
    call.track()
    run = call("GET", "/__inspector/requests").json()["run"]
    api.reset()
    call.track("anew")
    _, content = next(stream(query=f"?run={run}&after=1"))
    assert content["run"] != run
    assert [item["number"] for item in content["requests"]] == [1]


def test_a_reset_is_sent_at_once(api, call, stream):
    call.track()
    events = stream()
    run = next(events)[1]["run"]
    api.reset()
    _, content = next(events)
    assert content["run"] != run
    assert (content["requests"], content["counts"]["requests"]) == ([], 0)


@pytest.mark.slow
def test_a_flood_comes_in_order_and_without_a_gap(api, caller_of, stream, monkeypatch):
    monkeypatch.setattr("journy_track.inspector.stream.MAX_REQUESTS", 20)
    events = stream()
    next(events)
    callers = [caller_of(api.url, f"key-number-{number}") for number in range(3)]
    threads = [threading.Thread(target=lambda call=call: [call.track() for _ in range(60)]) for call in callers]
    for thread in threads:
        thread.start()
    assert numbers(events, until=180) == list(range(1, 181))
    for thread in threads:
        thread.join()


@pytest.mark.slow
def test_a_page_that_lags_behind_the_ring_goes_on_with_what_is_kept(caller_of, stream, monkeypatch):
    monkeypatch.setattr("journy_track.inspector.stream.MAX_REQUESTS", 20)
    with Inspector(keep=70) as api:
        call = caller_of(api.url)
        for _ in range(150):
            call.track()
        run = call("GET", "/__inspector/requests").json()["run"]
        assert numbers(stream(api.url, f"?run={run}&after=10"), until=150) == list(range(81, 151))


def test_a_page_that_is_closed_is_forgotten(caller_of):
    with Inspector() as api:
        call = caller_of(api.url)
        with requests.get(f"{api.url}/__inspector/stream", stream=True, timeout=20) as response:
            told = messages(response)  # keeps a reference: dropping it would close the connection
            next(told)
            assert len(api._state._listeners) == 1
        deadline = time.monotonic() + 10
        while api._state._listeners and time.monotonic() < deadline:
            call.track()
        assert api._state._listeners == []


def test_the_inspector_stops_at_once_with_a_page_open(stream):
    with Inspector() as api:
        next(stream(api.url))
        started = time.monotonic()
        api.stop()
        assert time.monotonic() - started < 2
        api.reset()  # from a thread, when the event loop has ended
