"""Sentry with its default integrations adds no trace headers to our requests, and no spans of ours to its traces."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sentry_sdk", reason="needs sentry-sdk")

APP = """
import json, sys, threading
import journy_track, requests, sentry_sdk
from sentry_sdk.transport import Transport

events = []

class Kept(Transport):
    def capture_envelope(self, envelope):
        events.extend(item.payload.json for item in envelope.items)

sentry_sdk.init(
    "http://key@127.0.0.1:9/1", transport=Kept, traces_sample_rate=1.0, environment="staging", release="app@7"
)
"""


@pytest.fixture
def run_app(run_program, api):
    """Run a program in which Sentry is enabled, and return the transactions and events that Sentry received."""

    def run(source: str) -> list[dict]:
        done = run_program(APP + source + "\nprint(json.dumps(events))\n", api.url, NO_PROXY="*")
        assert done.status == 0, done.err
        return json.loads(done.out)

    return run


IN_A_REQUEST = """
with sentry_sdk.start_transaction(name="request"):
    tracker = journy_track.configure("key", base_url=sys.argv[1])
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(timeout=20)
    with journy_track.Client(None, journy_track.ClientConfig("key", base_url=sys.argv[1])) as client:
        assert client.get_api_key_details().success
    requests.get(sys.argv[1] + "/validate", headers={"X-Api-Key": "key"}, timeout=20)
sentry_sdk.capture_message("the end")
"""


def test_our_requests_have_no_headers_of_sentry_and_the_apps_own_have(run_app, api):
    run_app(IN_A_REQUEST)
    *ours, theirs = api.requests
    assert len(ours) == 2
    for request in ours:
        assert not {"sentry-trace", "baggage"} & {name.lower() for name in request.headers}
    assert {"sentry-trace", "baggage"} <= {name.lower() for name in theirs.headers}


def test_our_requests_are_no_spans_and_no_breadcrumbs_and_the_apps_own_are(run_app):
    transaction, event = run_app(IN_A_REQUEST)
    assert [span["op"] for span in transaction["spans"]] == ["http.client"]
    assert [crumb["category"] for crumb in event["breadcrumbs"]["values"]] == ["httplib"]


def test_what_our_threads_log_belongs_to_no_request_of_the_app(run_app):
    # Catches: a worker that is started in a request and stays attached to it for the life of the process.
    events = run_app(
        """
def before_send(item):
    sentry_sdk.capture_message("before_send")
    return item

with sentry_sdk.isolation_scope() as scope:
    scope.set_user({"id": "the first visitor"})
    journy_track.configure("key", base_url=sys.argv[1], before_send=before_send)
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(timeout=20)
"""
    )
    assert [(event["message"], event.get("user")) for event in events] == [("before_send", None)]
