"""Context propagation between one's own services: to the named hosts, and to no others."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

import journy_track
from journy_track import ConfigurationError, track
from journy_track._capture.carrier import HEADER
from journy_track.integrations.asgi import JournyMiddleware as Asgi
from journy_track.integrations.wsgi import JournyMiddleware as Wsgi

#: Two names of this machine: the first is in `propagate_to`, the second is foreign.
NAMED, FOREIGN = "localhost", "127.0.0.1"
SECRET = "a secret of sixteen or more"


class Service(ThreadingHTTPServer):
    """Records the carrier of each request by its path, and redirects if the path asks for it."""

    daemon_threads = True
    seen: list[tuple[str, str | None]]

    def url(self, host: str, path: str) -> str:
        return f"http://{host}:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version: ClassVar[str] = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers[HEADER]))
        to = self.path.partition("?to=")[2]
        self.send_response(302 if to else 200)
        if to:
            self.send_header("Location", self.server.url(to, "/after"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service(("127.0.0.1", 0), Handler)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join(20)
    server.server_close()


def with_requests(url: str) -> None:
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.get(url, timeout=20)


def with_urllib3(url: str) -> None:
    import urllib3

    with urllib3.PoolManager() as pool:
        pool.request("GET", url, timeout=20)


def with_httpx(url: str) -> None:
    httpx = pytest.importorskip("httpx", reason="needs httpx")
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        client.get(url)


def with_async_httpx(url: str) -> None:
    httpx = pytest.importorskip("httpx", reason="needs httpx")

    async def main() -> None:
        async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as client:
            await client.get(url)

    asyncio.run(main())


def with_aiohttp(url: str) -> None:
    aiohttp = pytest.importorskip("aiohttp", reason="needs aiohttp")

    async def main() -> None:
        async with aiohttp.ClientSession() as session, session.get(url):
            pass

    asyncio.run(main())


@pytest.fixture(params=[with_requests, with_urllib3, with_httpx, with_async_httpx, with_aiohttp])
def fetch(request) -> Callable[[str], None]:
    return request.param


def configure(api: Any, **settings: Any) -> Any:
    return journy_track.configure("a-key", base_url=api.url, **settings)


def acting(carrier: str | None) -> str | None:
    """Return the user in a carrier."""
    with journy_track.extract({} if carrier is None else {HEADER: carrier}):
        user = journy_track.current_context().user
    return user and user.user_id


def seen(service: Service) -> list[tuple[str, str | None]]:
    return [(path.partition("?")[0], acting(carrier)) for path, carrier in service.seen]


def test_a_host_that_is_named_is_told_who_acts_and_a_foreign_one_never(api, service, fetch):
    configure(api, propagate_to=(NAMED,))
    with journy_track.user("jane"), journy_track.account("acme"):
        fetch(service.url(NAMED, "/named"))
        fetch(service.url(FOREIGN, "/foreign"))
    fetch(service.url(NAMED, "/nobody"))
    assert seen(service) == [("/named", "jane"), ("/foreign", None), ("/nobody", None)]
    assert [carrier for path, carrier in service.seen if path != "/named"] == [None, None]


def test_a_redirect_to_a_foreign_host_leaves_it_behind(api, service, fetch):
    configure(api, propagate_to=(NAMED,))
    with journy_track.user("jane"):
        fetch(service.url(NAMED, f"/before?to={FOREIGN}"))
        fetch(service.url(FOREIGN, f"/before?to={NAMED}"))
    assert seen(service) == [("/before", "jane"), ("/after", None), ("/before", None), ("/after", "jane")]
    assert service.seen[1][1] is None


def test_without_the_setting_no_host_is_told(api, service, fetch):
    configure(api)
    with journy_track.user("jane"):
        fetch(service.url(NAMED, "/named"))
    assert service.seen == [("/named", None)]


def test_our_own_requests_say_nothing_of_who_acts(api):
    tracker = configure(api, propagate_to=(NAMED, FOREIGN))
    with journy_track.user("jane"):
        track("visited")
        assert tracker.flush(20)
        assert journy_track.Client(
            journy_track.RequestsHttpClient(), journy_track.ClientConfig("a-key", api.url)
        ).link(device_id="d", user_id="u1")
    assert len(api.requests) == 2
    assert not [name for sent in api.requests for name in sent.headers if name.lower() == HEADER]


def test_a_proxy_that_reads_along_is_not_told(api, service):
    import requests

    configure(api, propagate_to=("*.internal",))
    with journy_track.user("jane"), requests.Session() as session:
        session.trust_env = False
        session.get("http://billing.internal/", proxies={"http": service.url(FOREIGN, "")}, timeout=20)
    assert service.seen == [("http://billing.internal/", None)]


def test_a_client_that_is_imported_later_is_hooked_into_too(run_program, service):
    pytest.importorskip("httpx", reason="needs httpx")
    ran = run_program(
        """
        import sys, journy_track
        journy_track.configure("a-key", base_url="http://127.0.0.1:9", shutdown_timeout=0, propagate_to=["localhost"])
        assert "httpx" not in sys.modules and "aiohttp" not in sys.modules
        import httpx
        with journy_track.user("jane"), httpx.Client(trust_env=False) as client:
            for url in sys.argv[1:]:
                client.get(url)
        """,
        service.url(NAMED, "/named"),
        service.url(FOREIGN, "/foreign"),
    )
    assert ran.status == 0, ran.err
    assert seen(service) == [("/named", "jane"), ("/foreign", None)]


# ── OpenTelemetry ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def traced() -> Iterator[None]:
    """Instrument requests, with only our propagator."""
    requests_instrumentation = pytest.importorskip("opentelemetry.instrumentation.requests")
    from opentelemetry import propagate
    from opentelemetry.sdk.trace import TracerProvider

    from journy_track.integrations.opentelemetry import JournyPropagator

    before = propagate.get_global_textmap()
    propagate.set_global_textmap(JournyPropagator())
    instrumentor = requests_instrumentation.RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=TracerProvider())
    yield
    instrumentor.uninstrument()
    propagate.set_global_textmap(before)


@pytest.fixture
def unhooked(monkeypatch) -> None:
    """Simulate a client that `propagate_to` does not know."""
    from journy_track.integrations import _outgoing

    monkeypatch.setattr(_outgoing, "_changed", lambda headers, host, **_: headers)


def test_the_propagator_adds_nothing_to_http_requests_whose_headers_a_redirect_would_take_along(
    api, service, traced, unhooked
):
    configure(api, propagate_to=(NAMED,))
    with journy_track.user("jane"):
        with_requests(service.url(NAMED, f"/before?to={FOREIGN}"))
    assert service.seen == [(f"/before?to={FOREIGN}", None), ("/after", None)]


@pytest.mark.parametrize("attribute", ["server.address", "net.peer.name"])
def test_the_propagator_tells_the_broker_that_is_named_and_no_other(api, attribute):
    from opentelemetry.sdk.trace import TracerProvider

    from journy_track.integrations.opentelemetry import JournyPropagator

    configure(api, propagate_to=("*.internal",))
    tracer = TracerProvider().get_tracer("shop")
    told: dict[str, str | None] = {}
    for host in ("mq.internal", "mq.example"):
        carrier: dict[str, str] = {}
        with journy_track.user("jane"), tracer.start_as_current_span("send", attributes={attribute: host}):
            JournyPropagator().inject(carrier)
        told[host] = acting(carrier.get(HEADER))
    assert told == {"mq.internal": "jane", "mq.example": None}


def test_the_propagator_says_nothing_where_no_span_names_a_host_and_reads_nothing(api):
    from opentelemetry.context import Context

    from journy_track.integrations.opentelemetry import JournyPropagator

    configure(api, propagate_to=(NAMED,))
    carrier: dict[str, str] = {}
    with journy_track.user("jane"):
        JournyPropagator().inject(carrier)
        assert carrier == {}
        journy_track.inject(carrier)
    assert JournyPropagator().extract(carrier) == Context()
    assert JournyPropagator().fields == {HEADER}
    assert journy_track.current_context().user is None


# ── At the other end ─────────────────────────────────────────────────────────────────────────────────────


def carried(user: str) -> str:
    carrier: dict[str, str] = {}
    with journy_track.user(user), journy_track.account("acme"), journy_track.metadata(plan="pro"):
        journy_track.inject(carrier)
    return carrier[HEADER]


def visit(environ, start_response):
    track("visited")
    start_response("200 OK", [("Content-Length", "0")])
    return []


def serve(app: Any, **environ: object) -> None:
    app(environ, lambda *_: None)


def test_what_a_trusted_request_brings_is_who_acts(kept):
    app = Wsgi(visit, trust=lambda environ: environ.get("SENDER") == "shop")
    serve(app, HTTP_JOURNY_TRACK=carried("jane"), SENDER="shop")
    serve(app, HTTP_JOURNY_TRACK=carried("eve"), SENDER="stranger")
    serve(app, SENDER="shop")
    [event, *more] = kept()
    assert (event.user.user_id, event.account.account_id, event.metadata["plan"]) == ("jane", "acme", "pro")
    assert not more
    assert kept.lost() == {"no_identity": 2}


def test_without_trust_nobody_is_believed(kept):
    serve(Wsgi(visit), HTTP_JOURNY_TRACK=carried("eve"))
    assert kept() == []


def test_what_the_app_knows_itself_wins(kept):
    app = Wsgi(visit, user=lambda environ: environ.get("REMOTE_USER"), trust=lambda environ: True)
    serve(app, HTTP_JOURNY_TRACK=carried("jane"), REMOTE_USER="joe")
    serve(app, HTTP_JOURNY_TRACK=carried("jane"))
    assert [(event.user.user_id, event.account.account_id) for event in kept()] == [("joe", "acme"), ("jane", "acme")]


def test_a_signed_carrier_is_believed_and_no_other(api):
    tracker = configure(api, carrier_secret=SECRET)
    signed, altered = carried("jane"), carried("eve")[:-4] + "AAAA"
    app = Wsgi(visit, trust="signed")
    for carrier in (signed, altered, signed.rpartition(".")[0]):
        serve(app, HTTP_JOURNY_TRACK=carrier)
    assert tracker.flush(20)
    assert [event.user["userId"] for event in api.events] == ["jane"]
    assert tracker.stats().carriers_refused == 2


def test_signed_without_a_secret_believes_nobody_and_says_so(kept, caplog):
    serve(Wsgi(visit, trust="signed"), HTTP_JOURNY_TRACK=carried("eve"))
    assert kept() == []
    assert 'trust="signed" without carrier_secret' in caplog.text


def test_an_async_trust_is_awaited(kept):
    async def trust(scope):
        await asyncio.sleep(0)
        return scope["client"] == "shop"

    async def app(scope, receive, send):
        track("visited")

    async def nothing(*_: object) -> None: ...

    headers = [(HEADER.encode(), carried("jane").encode())]
    for client in ("shop", "stranger"):
        scope = {"type": "http", "headers": headers, "client": client}
        asyncio.run(Asgi(app, trust=trust)(scope, nothing, nothing))
    assert [event.user.user_id for event in kept()] == ["jane"]


def test_a_trust_that_turns_out_to_be_async_is_never_taken_for_a_yes(kept, recwarn):
    async def trust(request):
        return False

    async def app(scope, receive, send):
        track("visited", account="acme")

    async def nothing(*_: object) -> None: ...

    def hidden(request):  # a wrapper that hides that its result must be awaited
        return trust(request)

    serve(Wsgi(visit, trust=hidden), HTTP_JOURNY_TRACK=carried("eve"))
    scope = {"type": "http", "headers": [(HEADER.encode(), carried("eve").encode())]}
    asyncio.run(Asgi(app, trust=hidden)(scope, nothing, nothing))
    assert [(event.user, event.account.account_id) for event in kept()] == [(None, "acme")]
    gc.collect()
    assert not [warning for warning in recwarn if "never awaited" in str(warning.message)]


def test_a_trust_that_raises_believes_nobody(kept, caplog):
    def trust(environ):
        raise LookupError

    serve(Wsgi(visit, trust=trust), HTTP_JOURNY_TRACK=carried("eve"))
    assert kept() == []
    assert "the trust= callback raised LookupError" in caplog.text


def test_flask_believes_whom_its_context_names(kept):
    flask = pytest.importorskip("flask", reason="needs Flask")
    from journy_track.integrations.flask import instrument_flask

    app = flask.Flask("billing")
    instrument_flask(app, trust=lambda: flask.request.args["from"] == "shop")

    @app.get("/")
    def charge():
        track("charged")
        return ""

    for sender in ("shop", "stranger"):
        app.test_client().get("/", query_string={"from": sender}, headers={HEADER: carried("jane")})
    assert kept.who() == {"charged": ("jane", "acme")}


@pytest.mark.parametrize("trust", ["Signed", True, 1], ids=repr)
def test_a_trust_that_is_no_function_is_refused(trust):
    with pytest.raises(ConfigurationError, match="trust must be a function of the request"):
        Wsgi(visit, trust=trust)


def test_from_one_service_to_the_next_it_is_the_same_user(api):
    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None: ...

    tracker = configure(api, propagate_to=(NAMED,), carrier_secret=SECRET)
    billing = make_server("127.0.0.1", 0, Wsgi(visit, trust="signed"), handler_class=Quiet)
    thread = threading.Thread(target=billing.serve_forever)
    thread.start()

    def buy(environ, start_response):
        with_requests(f"http://{NAMED}:{billing.server_port}/")
        return []

    try:
        serve(Wsgi(buy, user=lambda environ: "jane", account=lambda environ: "acme"))
        with journy_track.user("joe"):
            with_requests(f"http://{FOREIGN}:{billing.server_port}/")
    finally:
        billing.shutdown()
        thread.join(20)
        billing.server_close()
    assert tracker.flush(20)
    assert [(event.user["userId"], event.account["accountId"]) for event in api.events] == [("jane", "acme")]
