"""What a process reports to an inspector: drops with their places in the code, and logged warnings."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from journy_track import Tracker
from journy_track.inspector import Inspector

WITHIN = 5.0


def reports(api: Inspector) -> list[dict[str, Any]]:
    with requests.Session() as session:
        session.trust_env = False
        found: list[dict[str, Any]] = session.get(f"{api.url}/__inspector/requests", timeout=5).json()["reports"]
    return found


def reported(api: Inspector, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Wait for a report for which *wanted* returns true, and return it."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        for report in reports(api):
            if wanted(report):
                return report
        api.wait_for(lambda _: len(api._state.reports.kept), timeout=WITHIN)
    raise AssertionError(reports(api))


@pytest.fixture
def api() -> Iterator[Inspector]:
    with Inspector() as inspector:
        yield inspector


@pytest.fixture
def tracker(api: Inspector) -> Iterator[Tracker]:
    tracker = Tracker(base_url=api.url, strict=False)
    yield tracker
    tracker.shutdown(1)


def line_of(function: Callable[..., object]) -> str:
    """Return the place where *function* begins."""
    code = function.__wrapped__.__code__  # type: ignore[attr-defined]
    return f"{os.path.relpath(code.co_filename)}:{code.co_firstlineno}"


def test_an_event_of_nobody_is_reported_with_its_place_and_the_remedy(api: Inspector, tracker: Tracker) -> None:
    tracker.track("signed_in")
    line = sys._getframe().f_lineno - 1
    report = reported(api, lambda report: report["name"] == "signed_in")
    assert (report["kind"], report["reason"], report["operation"]) == ("dropped", "no_identity", "track")
    assert report["place"] == f"{os.path.relpath(__file__)}:{line}"
    assert "journy_track.user(...)" in report["text"]
    assert (api.requests, report["values"]) == ([], {})


def test_of_a_decorated_function_the_place_is_its_own(api: Inspector, tracker: Tracker) -> None:
    @tracker.track_event("viewed")
    def view() -> None: ...

    @tracker.track_event("viewed_late", duration=True)
    def late() -> None: ...

    for decorated, name in ((view, "viewed"), (late, "viewed_late")):
        # As a framework calls it: from a file outside the app.
        exec(compile("decorated()", "/usr/lib/framework.py", "exec"), {"decorated": decorated})
        assert reported(api, lambda report, name=name: report["name"] == name)["place"] == line_of(decorated)


def test_an_event_with_a_user_is_not_reported(api: Inspector, tracker: Tracker) -> None:
    tracker.track("one", user="u1")
    tracker.track("two")
    reported(api, lambda report: report["name"] == "two")
    assert [report["name"] for report in reports(api)] == ["two"]


def test_each_drop_is_reported_though_the_log_has_it_once(
    api: Inspector, tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        tracker.track("signed_in")
    api.wait_for(lambda _: api._state.reports.number == 3)
    assert {report["reason"] for report in reports(api)} == {"no_identity"}
    assert len([record for record in caplog.records if "no_identity" in record.getMessage()]) == 1


def test_what_before_send_drops_is_reported_without_values(api: Inspector) -> None:
    tracker = Tracker(base_url=api.url, before_send=lambda item: None)
    tracker.track("secret", user="jane@acme.com-as-an-id", plan="pro")
    report = reported(api, lambda report: report["name"] == "secret")
    assert report["reason"] == "before_send"
    assert "jane" not in json.dumps(reports(api))
    assert "pro" not in json.dumps(reports(api))
    tracker.shutdown(1)


def test_in_debug_mode_the_values_are_in_the_report(api: Inspector) -> None:
    tracker = Tracker(base_url=api.url, before_send=lambda item: None, debug=True, strict=False)
    tracker.track("secret", user="u1", plan="pro")
    assert reported(api, lambda report: report["name"] == "secret")["values"] == {"plan": "pro"}
    tracker.shutdown(1)


def test_a_wrong_value_is_reported_with_its_place(api: Inspector, tracker: Tracker) -> None:
    tracker.track("bought", user="")
    report = reported(api, lambda report: report["kind"] == "warning")
    assert f"{os.path.relpath(__file__)}:{sys._getframe().f_lineno - 2}" in report["text"]


def test_a_refused_key_is_reported_with_the_remedy(api: Inspector) -> None:
    tracker = Tracker("invalid", base_url=api.url)
    tracker.track("signed_in", user="u1")
    report = reported(api, lambda report: "refuses the API key" in report["text"])
    assert "Check JOURNY_API_KEY" in report["text"]
    tracker.shutdown(0)


SCRIPT = """
import journy_track
journy_track.configure(base_url=%r)
journy_track.track("signed_in")
"""

ABOVE_THE_ROUTE = """
import flask, journy_track
from journy_track.integrations.flask import instrument_flask
journy_track.configure(base_url=%r)
app = flask.Flask("shop")
instrument_flask(app)

@journy_track.track_event("viewed")
@app.get("/")
def view():
    return "hello"

app.test_client().get("/")
"""


def run(script: str) -> None:
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, cwd=root)


@pytest.mark.slow
def test_a_script_that_ends_at_once_has_reported(api: Inspector) -> None:
    run(SCRIPT % api.url)
    assert [report["name"] for report in reports(api)] == ["signed_in"]


@pytest.mark.slow
def test_a_decorator_above_the_route_is_reported(api: Inspector) -> None:
    pytest.importorskip("flask")
    run(ABOVE_THE_ROUTE % api.url)
    assert any("above" in report["text"] for report in reports(api)), reports(api)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reports_too(api: Inspector) -> None:
    forks = "import os\nif os.fork() == 0:\n    journy_track.track('in_child')\n    raise SystemExit\nos.wait()\n"
    run(SCRIPT % api.url + forks)
    assert {report["name"] for report in reports(api)} == {"signed_in", "in_child"}


class _Other(http.server.BaseHTTPRequestHandler):
    """A server on this machine that is not an inspector, such as a proxy of the app."""

    asked: list[tuple[str, str, bytes]]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, body))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: Any) -> None: ...


def test_a_server_that_is_not_an_inspector_is_asked_once_and_gets_nothing() -> None:
    asked: list[tuple[str, str, bytes]] = []
    handler = type("Handler", (_Other,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tracker = Tracker(base_url=f"http://127.0.0.1:{server.server_port}")
        for _ in range(3):
            tracker.track("signed_in")
            tracker.flush(5)
        tracker.shutdown(1)
        server.shutdown()
    assert asked == [("GET", "/__inspector/reports", b"")]


def test_nothing_is_reported_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("http.client.HTTPConnection.connect", lambda self: pytest.fail("a connection was made"))
    tracker = Tracker("a-key", base_url="https://journy.invalid")
    assert tracker.recorder is not None
    assert tracker.recorder._check is None
    tracker.track("signed_in")
    assert tracker.flush(5)
    assert not [thread for thread in threading.enumerate() if "inspecting" in thread.name]
    tracker.shutdown(0)


def test_without_anybody_who_listens_nothing_waits_and_no_thread_stays(tracker: Tracker, api: Inspector) -> None:
    api.stop()
    tracker.track("signed_in")
    assert tracker.flush(5)
    assert tracker.shutdown(5)
    assert not [thread for thread in threading.enumerate() if "inspecting" in thread.name]


def test_no_thread_stays_once_all_is_reported(api: Inspector, tracker: Tracker) -> None:
    tracker.track("visited")
    reported(api, lambda report: report["name"] == "visited")
    for thread in threading.enumerate():
        if thread.name == "journy_track inspecting":
            thread.join(10)
    assert "journy_track inspecting" not in [thread.name for thread in threading.enumerate()]
