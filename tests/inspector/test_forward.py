"""Forwarding: what an inspector accepts is also sent to a second one in the place of journy.io."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from journy_track._model.config import Config
from journy_track._model.secret import Secret
from journy_track.cli.forwarding import JournyIo
from journy_track.inspector import Inspector, forward
from journy_track.inspector.forward import Reply

KEY, WRITE_KEY = "the-real-key", "the-real-write-key"
MESSAGE = {"type": "track", "messageId": "m1", "event": "signed_in", "userId": "u1"}


@pytest.fixture
def journy_io() -> Iterator[Inspector]:
    with Inspector() as inspector:
        yield inspector


def target_of(base_url, **settings):
    return JournyIo(Config.load(Secret(KEY), {"base_url": base_url, **settings}, {}))


@pytest.fixture
def mirror(journy_io):
    with Inspector(forward=target_of(journy_io.url, write_key=WRITE_KEY)) as inspector:
        yield inspector


def progress(call):
    return call("GET", "/__inspector/requests?limit=0").json()["forwarded"]


def test_what_is_accepted_is_sent_on_with_the_real_key(mirror, journy_io, caller_of):
    call = caller_of(mirror.url)
    assert call.track(metadata={"plan": "pro"}).status_code == 201
    call("DELETE", "/users", {"identification": {"userId": "u1"}})
    journy_io.wait_for(lambda api: len(api.requests) == 2)
    first, second = journy_io.requests
    assert (first.method, first.path, first.json) == ("POST", "/track", mirror.requests[0].json)
    assert (second.method, second.path) == ("DELETE", "/users")
    assert first.key == f"…{KEY[-4:]}"
    mirror.wait_for(lambda api: api.forwarded == (2, 0))
    settled = call("GET", "/__inspector/forwarded?after=1").json()["settled"]
    assert settled == [{"number": 2, "status": 202, "problem": ""}]


def test_reads_and_what_is_refused_or_only_planned_is_not_sent_on(mirror, journy_io, caller_of):
    call = caller_of(mirror.url)
    call("GET", "/validate")
    call("POST", "/track", {"name": "wrong"})
    mirror.answer_next(503)
    call.track("refused")
    mirror.answer_next(201)
    call.track("planned")
    call.track("accepted")
    mirror.wait_for(lambda api: api.forwarded == (1, 0))
    assert [request.json["name"] for request in journy_io.requests] == ["accepted"]


@pytest.mark.parametrize("path", ["/v1/batch", "/backend/v1/batch", "/v1/track"])
def test_batches_go_with_the_write_key_and_without_that_of_the_app(mirror, journy_io, caller_of, path):
    call = caller_of(mirror.url, key=None)
    body = {"batch": [MESSAGE], "writeKey": "development"} if path.endswith("batch") else MESSAGE
    assert call("POST", path, body, auth=("development", "")).status_code == 200
    journy_io.wait_for(lambda api: api.requests)
    [sent] = journy_io.requests
    assert (sent.path, sent.status, sent.key) == ("/backend/v1/batch", 200, f"…{WRITE_KEY[-4:]}")
    assert sent.json == {"batch": [MESSAGE]}


def test_what_fails_there_is_counted_and_named_and_the_app_does_not_notice(mirror, journy_io, caller_of):
    call = caller_of(mirror.url)
    journy_io.answer_next(403)
    assert call.track().status_code == 201
    mirror.wait_for(lambda api: api.forwarded == (0, 1))
    journy_io.stop()
    assert call.track().status_code == 201
    mirror.wait_for(lambda api: api.forwarded == (0, 2))
    refused, unreached = call("GET", "/__inspector/forwarded").json()["settled"]
    assert refused == {"number": 1, "status": 403, "problem": "A planned response."}
    assert unreached["status"] is None
    assert unreached["problem"].startswith("no response: ")


def test_a_key_that_lacks_is_named(journy_io, caller_of):
    config = Config.load(None, {"base_url": journy_io.url, "write_key": WRITE_KEY}, {})
    with Inspector(forward=JournyIo(config)) as mirror:
        call = caller_of(mirror.url)
        call.track()
        mirror.wait_for(lambda api: api.forwarded == (0, 1))
        [failed] = call("GET", "/__inspector/forwarded").json()["settled"]
    assert failed["problem"] == "not sent: set JOURNY_API_KEY as well"


class Gate:
    """A target whose `send` blocks until it is opened."""

    name, key = "journy.example", "…"

    def __init__(self):
        self.opened = threading.Event()
        self.begun = threading.Event()

    def send(self, request, /):
        self.begun.set()
        self.opened.wait(30)
        return Reply(201)


def test_the_app_waits_for_nothing_and_the_queue_has_a_bound(caller_of, monkeypatch):
    monkeypatch.setattr(forward, "MAX_WAITING", 3)
    gate = Gate()
    with Inspector(forward=gate) as mirror:
        call = caller_of(mirror.url)
        call.track()
        assert gate.begun.wait(10)
        for _ in range(5):
            assert call.track().status_code == 201
        assert progress(call) == {"sequence": 2, "sent": 0, "failed": 2, "waiting": 4}
        gate.opened.set()
        mirror.wait_for(lambda api: api.forwarded == (4, 2))


def test_what_waits_is_sent_before_the_end(caller_of):
    gate = Gate()
    with Inspector(forward=gate) as mirror:
        call = caller_of(mirror.url)
        for _ in range(3):
            call.track()
        gate.opened.set()
    assert mirror.forwarded == (3, 0)


def test_what_cannot_be_sent_before_the_end_is_counted(caller_of):
    gate = Gate()
    with Inspector(forward=gate) as mirror:
        call = caller_of(mirror.url)
        for _ in range(3):
            call.track()
        assert gate.begun.wait(10)
        mirror._state.forwarder.close(grace=0)
        assert mirror.forwarded == (0, 2)
        gate.opened.set()
        mirror.wait_for(lambda api: api.forwarded == (1, 2))


def test_a_reset_forgets_what_became_of_the_others_and_still_sends_them(caller_of):
    gate = Gate()
    with Inspector(forward=gate) as mirror:
        call = caller_of(mirror.url)
        call.track()
        assert gate.begun.wait(10)
        mirror.reset()
        gate.opened.set()
        call.track()
        mirror.wait_for(lambda api: api.forwarded == (1, 0))
        [settled] = call("GET", "/__inspector/forwarded").json()["settled"]
        assert settled["number"] == 1
        assert progress(call)["waiting"] == 0


def test_two_that_forward_to_each_other_do_so_once(caller_of):
    class Later:
        """A target that is resolved once both inspectors listen."""

        name = key = "…"

        def send(self, request, /):
            return target_of(second.url).send(request)

    with Inspector(forward=Later()) as first, Inspector(forward=target_of(first.url)) as second:
        caller_of(first.url).track()
        first.wait_for(lambda api: api.forwarded == (1, 0))
        assert (len(first.requests), len(second.requests), second.forwarded) == (1, 1, (0, 0))


def test_a_redirect_is_not_followed(caller_of):
    class Redirects(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Redirects) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Inspector(forward=target_of(f"http://127.0.0.1:{server.server_port}")) as mirror:
            call = caller_of(mirror.url)
            call.track()
            mirror.wait_for(lambda api: api.forwarded == (0, 1))
            [failed] = call("GET", "/__inspector/forwarded").json()["settled"]
        server.shutdown()
    assert failed == {"number": 1, "status": 307, "problem": "status 307"}


def test_the_key_is_in_nothing_that_the_page_reads(mirror, caller_of):
    call = caller_of(mirror.url)
    call.track()
    mirror.wait_for(lambda api: sum(api.forwarded) == 1)
    for path in ("settings", "forwarded", "requests", "requests/1", "export"):
        text = call("GET", f"/__inspector/{path}").text
        assert KEY not in text
        assert WRITE_KEY not in text
    assert KEY not in repr(mirror._state.forwarder.target.__dict__)
