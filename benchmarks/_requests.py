"""Measure what an integration adds to a request that tracks nothing, in CPU time of the serving thread.

    python -m benchmarks._requests [SECONDS]

Each app is called in this process, as its server would call it, alternately with and without the integration, in
batches of a few milliseconds. Prints the medians of the differences as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

Serve = Callable[[int], object]

BATCH = 100
COOKIES = "theme=dark; sessionid=0123456789abcdef; __journey=0123456789abcdef"
ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "localhost",
    "HTTP_ACCEPT": "*/*",
    "HTTP_COOKIE": COOKIES,
    "REMOTE_ADDR": "127.0.0.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input": io.BytesIO(),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}
SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"accept", b"*/*"), (b"cookie", COOKIES.encode())],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 80),
}


# ── How each is called ──


def _start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
    return None


def wsgi_server(app: Any) -> Serve:
    """Call *app* as a WSGI server does."""

    def serve(count: int) -> None:
        for _ in range(count):
            body = app(ENVIRON.copy(), _start_response)
            for _part in body:
                pass
            close = getattr(body, "close", None)
            if close is not None:
                close()

    return serve


def asgi_server(app: Callable[..., Awaitable[object]]) -> Serve:
    """Call *app* as an ASGI server does, one request after another."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None: ...

    return on_a_loop(lambda: app(SCOPE.copy(), receive, send))


def on_a_loop(call: Callable[[], Awaitable[object]]) -> Serve:
    """Await *call* repeatedly on one event loop."""
    loop = asyncio.new_event_loop()

    async def requests(count: int) -> None:
        for _ in range(count):
            await call()

    def serve(count: int) -> None:
        loop.run_until_complete(requests(count))

    return serve


# ── The apps ──


def wsgi() -> tuple[Serve, Serve]:
    from journy_track.integrations.wsgi import JournyMiddleware

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"Hello"]

    return wsgi_server(app), wsgi_server(JournyMiddleware(app, user=lambda environ: "u1"))


def asgi() -> tuple[Serve, Serve]:
    from journy_track.integrations.asgi import JournyMiddleware

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"Hello"})

    return asgi_server(app), asgi_server(JournyMiddleware(app, user=lambda scope: "u1"))


def flask() -> tuple[Serve, Serve]:
    from flask import Flask

    from journy_track.integrations.flask import JournyTrack

    def make() -> Flask:
        app = Flask("hello")
        app.add_url_rule("/", view_func=lambda: "Hello", endpoint="hello")
        return app

    tracked = make()
    JournyTrack(tracked, user=lambda: "u1")
    return wsgi_server(make()), wsgi_server(tracked)


def django() -> tuple[Serve, Serve]:
    from django.conf import settings
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path

    urls: Any = type(sys)("benchmark_urls")
    urls.urlpatterns = [path("", lambda request: HttpResponse("Hello"))]
    sys.modules[urls.__name__] = urls
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls.__name__, SECRET_KEY="none")
    from django import setup
    from django.core.handlers.wsgi import WSGIHandler

    setup()
    bare = WSGIHandler()
    with override_settings(MIDDLEWARE=["journy_track.integrations.django.JournyMiddleware"]):
        tracked = WSGIHandler()
    return wsgi_server(bare), wsgi_server(tracked)


def aiohttp() -> tuple[Serve, Serve]:
    from aiohttp import web
    from aiohttp.test_utils import make_mocked_request

    from journy_track.integrations.aiohttp import JournyMiddleware

    async def hello(request: Any) -> web.Response:
        return web.Response(text="Hello")

    def make(*middlewares: Any) -> Serve:
        app = web.Application(middlewares=middlewares)
        app.router.add_get("/", hello)
        app.freeze()
        request = make_mocked_request("GET", "/", {"Cookie": COOKIES}, app=app)
        return on_a_loop(lambda: app._handle(request))

    return make(), make(JournyMiddleware(user=lambda request: "u1"))


def tornado() -> tuple[Serve, Serve]:
    from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine
    from tornado.web import Application, RequestHandler

    from journy_track.integrations.tornado import JournyHandlerMixin

    class Bare(RequestHandler):
        def get(self) -> None:
            self.write("Hello")

    class Tracked(JournyHandlerMixin, RequestHandler):
        get = Bare.get

        def journy_user(self) -> str:
            return "u1"

    class Connection(HTTPConnection):
        def set_close_callback(self, callback: Any) -> None: ...

        def write_headers(self, *_: Any, **__: Any) -> Any:
            return done

        def finish(self) -> None: ...

    app = Application(log_function=lambda handler: None)
    connection, line = Connection(), RequestStartLine("GET", "/", "HTTP/1.1")
    headers = HTTPHeaders({"Host": "localhost", "Cookie": COOKIES})
    done: Any = asyncio.Future(loop=asyncio.new_event_loop())
    done.set_result(None)

    def make(handler: type[RequestHandler]) -> Serve:
        def call() -> Awaitable[object]:
            request = HTTPServerRequest(start_line=line, headers=headers, connection=connection)
            return handler(app, request)._execute([])

        return on_a_loop(call)

    return make(Bare), make(Tracked)


def grpc() -> tuple[Serve, Serve]:
    """Measure only the interceptor and the method: the rest of gRPC runs on other threads."""
    from grpc import unary_unary_rpc_method_handler

    from journy_track.integrations.grpc import JournyInterceptor

    handler = unary_unary_rpc_method_handler(lambda request, context: b"Hello")
    interceptor = JournyInterceptor(user=lambda context: "u1")
    context = object()

    def bare(count: int) -> None:
        for _ in range(count):
            handler.unary_unary(b"", context)

    def tracked(count: int) -> None:
        for _ in range(count):
            interceptor.intercept_service(lambda details: handler, None).unary_unary(b"", context)

    return bare, tracked


def grpc_aio() -> tuple[Serve, Serve]:
    """Like `grpc`, for grpc.aio."""
    from grpc import unary_unary_rpc_method_handler

    from journy_track.integrations.grpc import AsyncJournyInterceptor

    async def hello(request: Any, context: Any) -> bytes:
        return b"Hello"

    async def found(details: Any) -> Any:
        return handler

    handler = unary_unary_rpc_method_handler(hello)
    interceptor = AsyncJournyInterceptor(user=lambda context: "u1")
    context = object()

    async def tracked() -> None:
        await (await interceptor.intercept_service(found, None)).unary_unary(b"", context)

    return on_a_loop(lambda: handler.unary_unary(b"", context)), on_a_loop(tracked)


APPS: dict[str, tuple[str, Callable[[], tuple[Serve, Serve]]]] = {
    "Flask": ("flask", flask),
    "ASGI": ("asyncio", asgi),
    "WSGI": ("wsgiref", wsgi),
    "Django": ("django", django),
    "aiohttp": ("aiohttp", aiohttp),
    "Tornado": ("tornado", tornado),
    "gRPC": ("grpc", grpc),
    "gRPC, async": ("grpc", grpc_aio),
}


# ── Measuring ──


def per_request(serve: Serve) -> float:
    """Return the CPU microseconds of this thread per request, for one batch."""
    began = time.thread_time_ns()
    serve(BATCH)
    return (time.thread_time_ns() - began) / BATCH / 1000


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """Measure each app whose framework is installed, in turn, until *seconds* are over."""
    apps = {name: make() for name, (module, make) in APPS.items() if find_spec(module) is not None}
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
    for bare, tracked in apps.values():
        bare(200)
        tracked(200)
    gc.collect()
    gc.freeze()
    deadline = time.monotonic() + seconds
    order = list(apps)
    while time.monotonic() < deadline:
        random.shuffle(order)
        for name in order:
            bare, tracked = apps[name]
            if random.random() < 0.5:
                without = per_request(bare)
                rounds[name].append((without, per_request(tracked)))
            else:
                with_it = per_request(tracked)
                rounds[name].append((per_request(bare), with_it))
    return {name: summary(pairs) for name, pairs in rounds.items()}


def summary(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Return the median of each side and of the differences, with the quartiles of the differences."""
    low, middle, high = statistics.quantiles([tracked - bare for bare, tracked in pairs], n=4)
    return {
        "bare": statistics.median(bare for bare, _ in pairs),
        "tracked": statistics.median(tracked for _, tracked in pairs),
        "added": middle,
        "low": low,
        "high": high,
        "rounds": len(pairs),
    }


def main() -> None:
    """Measure and print JSON."""
    import journy_track

    journy_track.configure("benchmark-key", base_url="http://127.0.0.1:9")
    print(json.dumps(measure(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)))


if __name__ == "__main__":
    main()
