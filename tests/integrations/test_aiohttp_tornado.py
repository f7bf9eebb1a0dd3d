"""aiohttp's server and Tornado's handlers, beyond what the contract covers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import journy_track
from journy_track import ConfigurationError, track, track_event
from journy_track._capture import routes

# ── aiohttp ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def web():
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    from aiohttp import web

    return web


def served(app: Any, talk: Any) -> Any:
    """Run *talk* with a client of *app*, and return its result."""
    from aiohttp.test_utils import TestClient, TestServer

    async def main() -> Any:
        async with TestClient(TestServer(app)) as client:
            return await talk(client)

    return asyncio.run(main())


def test_an_async_function_is_awaited_and_events_wait_for_it(web, kept):
    from journy_track.integrations.aiohttp import JournyMiddleware

    async def user(request):
        await asyncio.sleep(0)
        return request.query["as"]

    async def visit(request):
        track("visited")
        assert kept.tracker.stats().queued >= 1
        return web.Response()

    app = web.Application(
        middlewares=[JournyMiddleware(user=user, skip=lambda request: request.query["as"] == "staff")]
    )
    app.router.add_get("/", visit)

    async def talk(client):
        for name in ("u1", "staff", "u2"):
            assert (await client.get("/", params={"as": name})).status == 200

    served(app, talk)
    assert [event.user.user_id for event in kept()] == ["u1", "u2"]
    assert kept.lost() == {"suppressed": 1}


def test_the_messages_of_a_websocket_are_of_its_user(web, kept):
    from journy_track.integrations.aiohttp import JournyMiddleware

    async def talk_to(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            track("said", what=message.data)
            await socket.send_str("heard")
        track("left")
        return socket

    app = web.Application(middlewares=[JournyMiddleware(user=lambda request: request.query["as"])])
    app.router.add_get("/", talk_to)

    async def talk(client):
        sockets = [await client.ws_connect("/", params={"as": user}) for user in ("u1", "u2")]
        for socket in sockets:
            await socket.send_str("hello")
            assert await socket.receive_str() == "heard"
        for socket in sockets:
            await socket.close()

    served(app, talk)
    assert sorted((event.name, event.user.user_id) for event in kept()) == [
        ("left", "u1"),
        ("left", "u2"),
        ("said", "u1"),
        ("said", "u2"),
    ]


def test_a_redirect_that_is_raised_is_no_error(web, kept):
    @track_event("failed", on="error")
    @track_event("ended", on="always")
    def sign_in():
        raise web.HTTPFound("/home")

    with journy_track.user("u1"), pytest.raises(web.HTTPFound):
        sign_in()
    assert [event.name for event in kept()] == ["ended"]


def test_a_decorator_above_the_route_is_warned_of(web, kept, caplog, monkeypatch):
    from journy_track.integrations.aiohttp import JournyMiddleware

    monkeypatch.setattr(routes, "hints", [])
    table = web.RouteTableDef()

    @track_event("visited")
    @table.get("/")
    async def visit(request):
        return web.Response()

    app = web.Application(middlewares=[JournyMiddleware()])
    app.add_routes(table)

    async def talk(client):
        assert (await client.get("/")).status == 200

    served(app, talk)
    assert "is above the decorator that registered" in caplog.text


def test_what_is_not_a_function_is_refused(web):
    from journy_track.integrations.aiohttp import JournyMiddleware

    with pytest.raises(ConfigurationError, match="user must be a function of the request"):
        JournyMiddleware(user="u1")


# ── Tornado ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tornado():
    pytest.importorskip("tornado", reason="needs Tornado")
    import tornado.web

    return tornado


def with_tornado(handler: Any, talk: Any) -> Any:
    """Run *talk* with the address of a server with that *handler*, and return its result."""
    from tornado.httpserver import HTTPServer
    from tornado.testing import bind_unused_port
    from tornado.web import Application

    async def main() -> Any:
        server = HTTPServer(Application([("/", handler)]))
        listener, port = bind_unused_port()
        server.add_socket(listener)
        try:
            return await talk(f"127.0.0.1:{port}")
        finally:
            server.stop()
            await server.close_all_connections()

    return asyncio.run(main())


async def fetch(address: str, user: str) -> int:
    from tornado.httpclient import AsyncHTTPClient

    response = await AsyncHTTPClient().fetch(f"http://{address}/?as={user}", raise_error=False)
    return response.code


def test_a_handler_acts_for_its_user_from_prepare_to_its_end(tornado, kept):
    from journy_track.integrations.tornado import JournyHandlerMixin

    class Base(JournyHandlerMixin, tornado.web.RequestHandler):
        def journy_user(self):
            return self.get_argument("as")

        def journy_skip(self):
            return self.get_argument("as") == "staff"

        async def prepare(self):
            await asyncio.sleep(0)
            track("prepared")

        def on_finish(self):
            track("finished")

    class Handler(Base):
        def journy_account(self):
            return "acme"

        def get(self):
            track("visited")

    async def talk(address):
        assert await asyncio.gather(*(fetch(address, user) for user in ("u1", "staff", "u2"))) == [200] * 3

    with_tornado(Handler, talk)
    names = ("finished", "prepared", "visited")
    assert sorted((event.name, event.user.user_id, event.account.account_id) for event in kept()) == sorted(
        (name, user, "acme") for name in names for user in ("u1", "u2")
    )
    assert kept.lost() == {"suppressed": 3}


def test_a_handler_that_says_nothing_has_a_scope_of_its_own(tornado, kept):
    from journy_track.integrations.tornado import JournyHandlerMixin

    class Handler(JournyHandlerMixin, tornado.web.RequestHandler):
        def get(self):
            if user := self.get_argument("as"):
                journy_track.set_user(user)
            track("visited", account="acme")

    async def talk(address):
        for user in ("u1", ""):
            assert await fetch(address, user) == 200

    with_tornado(Handler, talk)
    assert [event.user and event.user.user_id for event in kept()] == ["u1", None]


def test_the_messages_of_a_tornado_websocket_are_of_its_user(tornado, kept):
    import tornado.websocket

    from journy_track.integrations.tornado import JournyHandlerMixin

    class Handler(JournyHandlerMixin, tornado.websocket.WebSocketHandler):
        def journy_user(self):
            return self.get_argument("as")

        def on_message(self, message):
            track("said")
            self.write_message("heard")

    async def talk(address):
        for user in ("u1", "u2"):
            socket = await tornado.websocket.websocket_connect(f"ws://{address}/?as={user}")
            await socket.write_message("hello")
            assert await asyncio.wait_for(socket.read_message(), 20) == "heard"
            socket.close()

    with_tornado(Handler, talk)
    assert [event.user.user_id for event in kept()] == ["u1", "u2"]


@pytest.mark.parametrize("signed", [True, False])
def test_a_handler_believes_a_service_of_ones_own(api, tornado, signed):
    from tornado.httpclient import AsyncHTTPClient

    from journy_track.integrations.tornado import JournyHandlerMixin

    tracker = journy_track.configure("a-key", base_url=api.url, carrier_secret="a secret of sixteen or more")
    carrier: dict[str, str] = {}
    with journy_track.user("jane"):
        journy_track.inject(carrier)
    if not signed:
        carrier = {name: value.rpartition(".")[0] for name, value in carrier.items()}

    class Handler(JournyHandlerMixin, tornado.web.RequestHandler):
        journy_trust = "signed"

        def get(self):
            track("visited", account="acme")

    async def talk(address):
        await AsyncHTTPClient().fetch(f"http://{address}/", headers=carrier)

    with_tornado(Handler, talk)
    assert tracker.flush(20)
    assert [event.user and event.user["userId"] for event in api.events] == ["jane" if signed else None]
    assert tracker.stats().carriers_refused == (0 if signed else 1)


def test_aiohttp_believes_a_service_of_ones_own(web, kept):
    from journy_track.integrations.aiohttp import JournyMiddleware

    carrier: dict[str, str] = {}
    with journy_track.user("jane"):
        journy_track.inject(carrier)

    async def visit(request):
        track("visited")
        return web.Response()

    app = web.Application(middlewares=[JournyMiddleware(trust=lambda request: request.query["from"] == "shop")])
    app.router.add_get("/", visit)

    async def talk(client):
        for sender in ("shop", "stranger"):
            await client.get("/", params={"from": sender}, headers=carrier)

    served(app, talk)
    assert [event.user.user_id for event in kept()] == ["jane"]
