"""Controlling the inspector from outside: faults, a reset, and saving everything to a file."""

import json

import pytest
import requests

CONTROL = {"X-Inspector-Control": "1"}


@pytest.fixture
def control(call):
    """Return a function that calls paths under `/__inspector` with the required header."""

    def send(method, path, body=None):
        return call(method, f"/__inspector{path}", body, headers=CONTROL)

    return send


def test_a_planned_fault_is_returned_and_counted_down(api, call, control):
    ordered = control("POST", "/faults", {"status": 503, "count": 2})
    assert ordered.status_code == 201
    assert ordered.json()["faults"] == [
        {"count": 2, "status": 503, "body": None, "headers": {}, "delay": 0.0, "drop": False, "containing": ""}
    ]
    assert [call.track().status_code for _ in range(2)] == [503, 503]
    assert call("GET", "/__inspector/faults").json() == {"faults": []}
    assert call.track().status_code == 201


def test_faults_come_in_the_order_in_which_they_were_ordered(api, call, control):
    control("POST", "/faults", {"status": 429, "headers": {"Retry-After": "7"}, "count": 2})
    control("POST", "/faults", {"status": 502, "body": "<h1>Bad gateway</h1>"})
    assert [fault["count"] for fault in control("GET", "/faults").json()["faults"]] == [2, 1]
    answers = [call.track() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 502]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[2].text == "<h1>Bad gateway</h1>"


def test_an_order_of_nothing_is_a_server_error_once(api, call, control):
    control("POST", "/faults", {})
    assert [call.track().status_code for _ in range(2)] == [500, 201]


def test_a_delay_or_a_drop_alone_leaves_the_real_response(api, call, control):
    control("POST", "/faults", {"delay": 0.05})
    control("POST", "/faults", {"drop": True})
    assert call.track("late").status_code == 201
    assert api.requests[0].duration_ms >= 50
    with pytest.raises(requests.ConnectionError):
        call.track("lost")
    assert [event.name for event in api.events] == ["late", "lost"]
    assert api.requests[1].status == 0


def test_faults_can_be_forgotten(call, control):
    control("POST", "/faults", {"count": 5})
    assert control("DELETE", "/faults").json() == {"faults": []}
    assert call.track().status_code == 201


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"status": 100}, "status"),
        ({"status": "500"}, "status"),
        ({"status": True}, "status"),
        ({"count": 0}, "count"),
        ({"count": 10_001}, "count"),
        ({"count": 1.5}, "count"),
        ({"delay": -1}, "delay"),
        ({"delay": 601}, "delay"),
        ({"delay": True}, "delay"),
        ({"drop": 1}, "drop"),
        ({"body": 3}, "body"),
        ({"headers": {"a": 1}}, "headers"),
        ({"headers": {"a": "b\r\nc: d"}}, "headers"),
        ({"headers": {"a": "ü"}}, "headers"),
        ({"headers": {"": "b"}}, "headers"),
        ({"headers": []}, "headers"),
        ({"times": 3}, "times"),
        ([], "body"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_by_field(call, control, order, field):
    refused = control("POST", "/faults", order)
    assert refused.status_code == 400
    assert list(refused.json()["errors"]["fields"]) == [field]
    assert call.track().status_code == 201


def test_an_order_that_is_no_json_is_refused(call):
    refused = call("POST", "/__inspector/faults", data="{", headers=CONTROL)
    assert (refused.status_code, list(refused.json()["errors"]["fields"])) == (400, ["body"])


def test_reset_forgets_everything(api, call, control):
    call.track()
    control("POST", "/faults", {})
    run = control("POST", "/reset").json()["run"]
    listing = call("GET", "/__inspector/requests").json()
    assert (listing["run"], listing["requests"], listing["faults"]) == (run, [], 0)


@pytest.mark.parametrize(("method", "path"), [("POST", "/faults"), ("DELETE", "/faults"), ("POST", "/reset")])
def test_a_page_of_another_site_can_change_nothing(api, call, method, path):
    call.track()
    # What a browser sends for a form, or for a fetch without a preflight request: it cannot add custom headers.
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    refused = call(method, f"/__inspector{path}", data="{}", headers=headers)
    assert refused.status_code == 403
    assert "X-Inspector-Control" in refused.json()["message"]
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Headers": "x-inspector-control"}
    preflight = call("OPTIONS", f"/__inspector{path}", headers={**asked, "Access-Control-Request-Method": method})
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]
    assert api.counts.requests == 1
    assert call.track().status_code == 201


@pytest.mark.slow
def test_everything_that_is_kept_can_be_exported_line_by_line(api, call):
    for number in range(450):
        call.track(f"event_{number}", metadata={"text": "line\nbreak \u2028 \ud800"})
    exported = call("GET", "/__inspector/export")
    assert exported.headers["Content-Disposition"] == 'attachment; filename="journy-inspector.jsonl"'
    lines = [json.loads(line) for line in exported.content.split(b"\n")[:-1]]
    assert [line["number"] for line in lines] == list(range(1, 451))
    assert lines[449]["json"]["name"] == "event_449"
    assert "a-key-for-tests" not in exported.text
