"""What an app reports about itself: what it did not send, and its warnings."""

import pytest

from journy_track.inspector import Inspector

DROPPED = {
    "kind": "dropped",
    "at": "2026-11-30T12:00:00.000Z",
    "name": "signed_in",
    "operation": "track",
    "reason": "no_identity",
    "place": "shop/views.py:31",
    "text": "it has neither user nor account",
}
CONTROL = {"X-Inspector-Control": "1"}


def reported(call):
    return call("GET", "/__inspector/requests").json()["reports"]


def test_a_report_is_listed_behind_the_request_that_had_arrived_last(api, call):
    call.track()
    sent = {"reports": [DROPPED, {"kind": "warning", "text": "look here"}]}
    response = call("POST", "/__inspector/reports", sent, headers=CONTROL)
    assert (response.status_code, response.json()) == (201, {"reports": 2})
    dropped, warning = reported(call)
    assert {name: dropped[name] for name in DROPPED} == DROPPED
    assert (dropped["number"], dropped["after"], dropped["values"]) == (1, 1, {})
    assert (warning["kind"], warning["text"], warning["place"]) == ("warning", "look here", "")
    assert [request.path for request in api.requests] == ["/track"]


def test_a_report_is_no_request_and_no_event(api, call):
    call("POST", "/__inspector/reports", {"reports": [DROPPED]}, headers=CONTROL)
    assert (api.requests, api.events, api.counts.requests) == ([], [], 0)


def test_a_page_of_another_site_cannot_report(api, call):
    assert call("POST", "/__inspector/reports", {"reports": [DROPPED]}).status_code == 403
    assert reported(call) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reports"),
        ([], "reports"),
        ({"reports": []}, "reports"),
        ({"reports": [1]}, "reports.0"),
        ({"reports": [DROPPED, {"kind": "else"}]}, "reports.1.kind"),
        ({"reports": [DROPPED | {"name": 3}]}, "reports.0.name"),
        ({"reports": [DROPPED | {"at": "now"}]}, "reports.0.at"),
        ({"reports": [DROPPED | {"values": [1]}]}, "reports.0.values"),
        ({"reports": [DROPPED] * 1001}, "reports"),
    ],
)
def test_a_wrong_report_is_refused_and_nothing_of_it_is_kept(api, call, body, field):
    response = call("POST", "/__inspector/reports", body, headers=CONTROL)
    assert (response.status_code, list(response.json()["errors"]["fields"])) == (400, [field])
    assert reported(call) == []


def test_reports_are_bounded_in_number_and_size(call, caller_of):
    with Inspector() as api:
        call = caller_of(api.url)
        long = DROPPED | {"text": "x" * 5000, "values": {f"key_{number}": "y" * 5000 for number in range(100)}}
        for _ in range(3):
            call("POST", "/__inspector/reports", {"reports": [DROPPED] * 500}, headers=CONTROL)
        call("POST", "/__inspector/reports", {"reports": [long]}, headers=CONTROL)
        kept = reported(call)
        assert (len(kept), kept[0]["number"], kept[-1]["number"]) == (1000, 502, 1501)
        assert len(kept[-1]["text"]) == 1000
        assert len(kept[-1]["values"]) == 40
        assert all(len(value) < 400 for value in kept[-1]["values"].values())


def test_a_reset_forgets_reports(api, call):
    call("POST", "/__inspector/reports", {"reports": [DROPPED]}, headers=CONTROL)
    api.reset()
    assert reported(call) == []
