"""The ASGI middleware, beyond what a real server shows."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from typing import Any

import pytest

import journy_track
from journy_track import ConfigurationError, track
from journy_track._capture import context
from journy_track.integrations.asgi import JournyMiddleware

HTTP = {"type": "http", "headers": [(b"x-user", b"u1")]}


class Wire:
    """The messages on the server's side, sent and received."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.incoming = list(messages)
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return self.incoming.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def serve(app: Any, scope: Any = None, *messages: Any) -> Wire:
    wire = Wire(*messages)
    asyncio.run(app(dict(HTTP) if scope is None else scope, wire.receive, wire.send))
    return wire


async def visit(scope, receive, send):
    track("visited")
    await send({"type": "http.response.start"})


async def slowly(scope):
    await asyncio.sleep(0)
    return "u1"


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_receive_and_send_are_the_servers_own(kept, kind):
    seen: list[Any] = []

    async def app(scope, receive, send):
        seen.extend([receive, send])
        track("visited")

    wire = Wire()
    asyncio.run(JournyMiddleware(app, user=lambda scope: "u1")({"type": kind}, wire.receive, wire.send))
    assert seen == [wire.receive, wire.send]
    assert kept.who() == {"visited": ("u1", None)}


def test_what_is_no_request_passes_as_it_is(kept):
    async def app(scope, receive, send):
        assert context.live_frame() is context.BOTTOM

    serve(JournyMiddleware(app, user=lambda scope: "u1"), {"type": "other"})


def test_an_async_function_is_asked_before_the_next_message_and_once(kept):
    asked = 0

    async def user(scope):
        nonlocal asked
        asked += 1
        return await slowly(scope)

    async def app(scope, receive, send):
        track("first")
        assert journy_track.current_context().user is None
        await send("first")
        assert journy_track.current_context().user.user_id == "u1"
        track("second")
        await send("second")

    assert serve(JournyMiddleware(app, user=user)).sent == ["first", "second"]
    assert kept.who() == {"first": ("u1", None), "second": ("u1", None)}
    assert asked == 1


def test_an_async_function_is_not_asked_without_need(kept):
    async def user(scope):
        raise AssertionError("nobody asked")

    async def app(scope, receive, send):
        await send("answer")

    assert serve(JournyMiddleware(app, user=user)).sent == ["answer"]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_function_that_is_asked_too_early_is_asked_again(kept, is_async):
    """An event captured before the authentication, which sets the user in the scope, still gets that user."""

    def sync(scope):
        return scope["user"]

    async def asynchronous(scope):
        return scope["user"]

    async def app(scope, receive, send):
        track("before")
        await send("something")
        scope["user"] = "u1"
        track("after")

    serve(JournyMiddleware(app, user=asynchronous if is_async else sync))
    assert kept.who() == {"before": ("u1", None), "after": ("u1", None)}


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
def test_nothing_waits_after_an_exception(kept, error):
    async def app(scope, receive, send):
        track("failed")
        raise error

    with pytest.raises(error):
        serve(JournyMiddleware(app, user=slowly))
    assert kept.who() == {"failed": ("u1", None)}


def test_nothing_waits_where_asking_is_cancelled(kept):
    async def hangs(scope):
        await asyncio.Event().wait()

    async def app(scope, receive, send):
        track("visited")

    async def run() -> None:
        task = asyncio.create_task(JournyMiddleware(app, user=hangs)(dict(HTTP), None, None))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert kept.lost() == {"no_identity": 1}
    assert kept.tracker.stats().queued == 0


def test_nothing_waits_where_the_loop_ends_in_the_middle(kept):
    async def app(scope, receive, send):
        track("visited")
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    running = JournyMiddleware(app, user=slowly)(dict(HTTP), None, None)
    running.send(None)
    running.close()
    loop.close()
    assert kept.lost() == {"no_identity": 1}


@pytest.mark.slow
def test_a_lambda_around_an_async_function_is_awaited_and_nothing_is_said(kept, caplog):
    app = JournyMiddleware(visit, user=lambda scope: slowly({**scope}), account=lambda scope: "acme")
    for _ in range(2):
        serve(app)
    gc.collect()  # a never-awaited warning would be an error
    assert [(event.user.user_id, event.account.account_id) for event in kept()] == [("u1", "acme")] * 2
    assert "raised" not in caplog.text


def test_a_function_that_returns_no_user_does_no_harm_and_says_what_is_wrong(kept, caplog):
    serve(JournyMiddleware(visit, user=lambda scope: "", account=lambda scope: "acme"))
    assert kept.who() == {"visited": (None, "acme")}
    assert "the user= callback returned a wrong value: user_id is empty" in caplog.text


def test_a_function_that_raises_does_no_harm_and_says_where(kept, caplog):
    app = JournyMiddleware(visit, user=lambda scope: "u1", account=lambda scope: scope["secret of jane"])
    for _ in range(3):
        assert serve(app).sent == [{"type": "http.response.start"}]
    assert [event.user.user_id for event in kept()] == ["u1"] * 3
    [said] = [record.getMessage() for record in caplog.records if "raised" in record.getMessage()]
    assert "account= callback raised KeyError at" in said
    assert "test_asgi.py" in said
    assert "jane" not in said


def test_what_is_no_function_is_refused():
    with pytest.raises(ConfigurationError, match="user must be a function"):
        JournyMiddleware(visit, user="u1")


def test_metadata_is_a_mapping(kept):
    serve(JournyMiddleware(visit, user=lambda scope: "u1", metadata=lambda scope: {"plan": "pro"}))
    assert kept()[0].metadata == {"plan": "pro"}


def test_tasks_of_one_request_share_its_user_and_those_of_another_do_not(kept):
    async def app(scope, receive, send):
        async def part(number: int) -> None:
            await asyncio.sleep(0)
            track(f"{scope['user']} {number}")

        await asyncio.gather(*(part(number) for number in range(3)))

    async def both() -> None:
        middleware = JournyMiddleware(app, user=lambda scope: scope["user"])
        await asyncio.gather(*(middleware({"type": "http", "user": user}, None, None) for user in ("u1", "u2")))

    asyncio.run(both())
    assert kept.who() == {f"{user} {number}": (user, None) for user in ("u1", "u2") for number in range(3)}


# ── Signing in or out within a request ──


@pytest.mark.parametrize("key", ["user", "session"])
@pytest.mark.parametrize("is_async", [True, False])
def test_an_event_is_of_who_was_in_the_scope_when_it_was_captured(kept, key, is_async):
    def sync(scope):
        return scope[key]["id"]

    async def asynchronous(scope):
        await asyncio.sleep(0)
        return sync(scope)

    async def app(scope, receive, send):
        for user in ("jane", "joe"):
            scope[key] = {"id": user}
            track(f"as_{user}")
        await send("something")
        scope[key] = {"id": None}
        track("as_nobody", account="acme")

    serve(JournyMiddleware(app, user=asynchronous if is_async else sync))
    assert kept.who() == {"as_jane": ("jane", None), "as_joe": ("joe", None), "as_nobody": (None, "acme")}


class Session(dict):
    """A session like Starlette's."""

    def user(self):
        return self.get("user")


@pytest.mark.parametrize("is_async", [True, False])
def test_an_event_is_of_who_the_session_named_when_it_was_captured(kept, is_async):
    """Starlette's sessions are modified in place."""

    def sync(scope):
        return scope["session"].user()

    async def asynchronous(scope):
        await asyncio.sleep(0)
        return sync(scope)

    async def app(scope, receive, send):
        track("seen_welcome", account="acme")
        for user in ("jane", "joe"):
            scope["session"]["user"] = user
            track(f"as_{user}")
        scope["session"].clear()
        track("seen_goodbye", account="acme")

    serve(JournyMiddleware(app, user=asynchronous if is_async else sync), {**HTTP, "session": Session()})
    assert kept.who() == {
        "seen_welcome": (None, "acme"),
        "as_jane": ("jane", None),
        "as_joe": ("joe", None),
        "seen_goodbye": (None, "acme"),
    }


@pytest.mark.parametrize("is_async", [True, False])
def test_asking_for_the_user_does_not_make_the_page_vary_by_cookie(kept, is_async):
    pytest.importorskip("starlette", minversion="1.0", reason="needs a Starlette whose sessions know of access")
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.requests import HTTPConnection

    def sync(scope):
        return HTTPConnection(scope).session.get("user")

    async def asynchronous(scope):
        return sync(scope)

    async def app(scope, receive, send):
        track("visited", account="acme")
        await send({"type": "http.response.start", "status": 200, "headers": []})

    tracking = JournyMiddleware(app, user=asynchronous if is_async else sync)
    wire = serve(SessionMiddleware(tracking, secret_key="for tests"))
    assert kept.who() == {"visited": (None, "acme")}
    assert wire.sent == [{"type": "http.response.start", "status": 200, "headers": []}]


@pytest.mark.parametrize("is_async", [True, False])
def test_what_is_captured_before_the_user_is_known_is_of_that_user(kept, is_async):
    def sync(scope):
        return scope["user"]

    async def asynchronous(scope):
        return sync(scope)

    async def app(scope, receive, send):
        track("arrived")
        scope["user"] = "jane"
        scope["session"]["token"] = "t"
        track("visited")

    serve(JournyMiddleware(app, user=asynchronous if is_async else sync), {**HTTP, "session": {}})
    assert kept.who() == {"arrived": ("jane", None), "visited": ("jane", None)}


def test_starlettes_own_users_are_known_by_their_name(kept):
    """As the README describes."""
    pytest.importorskip("starlette", reason="needs Starlette")
    from starlette.applications import Starlette
    from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
    from starlette.middleware import Middleware
    from starlette.middleware.authentication import AuthenticationMiddleware
    from starlette.responses import Response
    from starlette.routing import Route

    class ByHeader(AuthenticationBackend):
        async def authenticate(self, conn):
            name = conn.headers.get("x-user")
            return (AuthCredentials(), SimpleUser(name)) if name else None

    def user_of(scope):
        return scope["user"].username if scope["user"].is_authenticated else None

    async def view(request):
        track("visited", account="acme")
        return Response()

    app = Starlette(
        routes=[Route("/", view)],
        middleware=[Middleware(JournyMiddleware, user=user_of), Middleware(AuthenticationMiddleware, ByHeader())],
    )
    for headers in ([(b"x-user", b"u1")], []):
        serve(app, {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})
    assert [event.user and event.user.user_id for event in kept()] == ["u1", None]
    assert kept.lost() == {}


# ── Lifespan ──

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
STARTED, STOPPED = {"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}


def test_at_the_end_of_the_lifespan_everything_is_delivered_first(api, tracker):
    arrived: list[int] = []

    async def app(scope, receive, send):
        await receive()
        track("started", user="u1")
        await send(STARTED)
        await receive()
        await send(STOPPED)

    class Looking(Wire):
        async def send(self, message: Any) -> None:
            arrived.append(len(api.events))
            await super().send(message)

    wire = Looking(STARTUP, SHUTDOWN)
    asyncio.run(JournyMiddleware(app)({"type": "lifespan"}, wire.receive, wire.send))
    assert wire.sent == [STARTED, STOPPED]
    assert arrived[-1] == 1


@pytest.mark.slow
def test_the_end_of_the_lifespan_goes_on_while_something_is_delivered(api):
    journy_track.configure("a-key", base_url=api.url, shutdown_timeout=0.6)
    api.answer_next(None, delay=0.2, count=12)  # one user's events are sent one after another: 2.4 s
    for number in range(12):
        track(f"event_{number}", user="u1")

    async def app(scope, receive, send):
        raise ValueError("only http here")

    wire = serve(JournyMiddleware(app), {"type": "lifespan"}, STARTUP, SHUTDOWN)
    assert wire.sent == [STARTED, STOPPED]
    assert len(api.events) == 12


@pytest.mark.parametrize("raises", [True, False])
def test_an_app_without_a_lifespan_gets_its_end_all_the_same(api, tracker, raises):
    async def app(scope, receive, send):
        if raises:
            raise ValueError("only http here")

    track("captured", user="u1")
    wire = serve(JournyMiddleware(app), {"type": "lifespan"}, STARTUP, SHUTDOWN)
    assert wire.sent == [STARTED, STOPPED]
    assert len(api.events) == 1


def test_an_app_that_fails_to_start_still_fails(tracker):
    async def app(scope, receive, send):
        await receive()
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        serve(JournyMiddleware(app), {"type": "lifespan"}, STARTUP, SHUTDOWN)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Django can only handle ASGI/HTTP connections, not lifespan."),
        ValueError("No application configured for scope type 'lifespan'"),
        KeyError("path"),
        AssertionError(),
        NotImplementedError(),
    ],
    ids=repr,
)
def test_an_app_that_does_not_know_the_lifespan_may_say_so_in_several_ways(tracker, error):
    async def app(scope, receive, send):
        raise error

    assert serve(JournyMiddleware(app), {"type": "lifespan"}, STARTUP, SHUTDOWN).sent == [STARTED, STOPPED]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no database"),
        OSError("http://db refused"),
        KeyError("DATABASE_URL"),
        ValueError("a bad setting"),
    ],
    ids=repr,
)
def test_a_middleware_that_fails_before_the_lifespan_begins_fails_for_the_server_too(tracker, caplog, error):
    async def app(scope, receive, send):
        raise error

    with pytest.raises(type(error)) as raised:
        serve(JournyMiddleware(app), {"type": "lifespan"}, STARTUP, SHUTDOWN)
    assert raised.value is error
    assert f"raised {type(error).__name__} before its lifespan began" in caplog.text


@pytest.mark.slow
def test_a_server_that_insists_on_the_lifespan_does_not_start_where_a_middleware_fails(tmp_path):
    pytest.importorskip("uvicorn", reason="needs uvicorn")
    (tmp_path / "failing.py").write_text(
        "from journy_track.integrations.asgi import JournyMiddleware\n"
        "async def broken(scope, receive, send):\n"
        "    raise RuntimeError('no database')\n"
        "app = JournyMiddleware(broken)\n"
    )
    command = [sys.executable, "-m", "uvicorn", "--lifespan=on", "--port=0", "failing:app"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "RuntimeError: no database" in ended.stderr


# ── Loops other than asyncio's ──


@pytest.mark.parametrize("library", ["trio", "curio", "asyncio"])
def test_aflush_waits_in_each_librarys_loop_without_blocking_it(api, tracker, library):
    if library == "curio" and sys.version_info >= (3, 13):
        pytest.skip("curio cannot be imported on Python 3.13 and newer")
    loop = pytest.importorskip(library, reason=f"needs {library}")
    ticks = 0
    flushed = False

    async def ticking() -> None:
        nonlocal ticks
        while not flushed:
            ticks += 1
            await loop.sleep(0.01)

    async def flushing() -> None:
        nonlocal flushed
        track("captured", user="u1")
        assert await journy_track.aflush(10)
        flushed = True

    async def both() -> None:
        if library == "trio":
            async with loop.open_nursery() as nursery:
                nursery.start_soon(ticking)
                nursery.start_soon(flushing)
        elif library == "curio":
            async with loop.TaskGroup() as group:
                await group.spawn(ticking)
                await group.spawn(flushing)
        else:
            await loop.gather(ticking(), flushing())

    api.answer_next(None, delay=0.3)
    if library == "trio":
        loop.run(both)
    else:
        loop.run(both())
    assert len(api.events) == 1
    assert ticks > 5


@pytest.mark.slow
def test_a_flush_in_trio_can_be_cancelled(api, tracker):
    trio = pytest.importorskip("trio", reason="needs trio")
    api.answer_next(None, delay=2)

    async def main() -> bool:
        track("captured", user="u1")
        with trio.move_on_after(0.1) as waiting:
            await journy_track.aflush(20)
        return waiting.cancelled_caught

    assert trio.run(main)


def test_where_no_loop_is_known_aflush_blocks_for_as_long_as_it_may(api, tracker):
    track("captured", user="u1")
    flushing = journy_track.aflush(10)
    with pytest.raises(StopIteration) as ended:
        flushing.send(None)
    assert ended.value.value is True
    assert len(api.events) == 1


def test_hypercorn_under_trio_delivers_when_it_stops(api, tracker):
    trio = pytest.importorskip("trio", reason="needs trio")
    hypercorn = pytest.importorskip("hypercorn.trio", reason="needs hypercorn[trio]")
    from hypercorn.config import Config

    async def app(scope, receive, send):
        message = await receive()
        track("started", user="u1")
        await send(STARTED)
        message = await receive()
        assert message == SHUTDOWN
        await send(STOPPED)

    async def main() -> None:
        config = Config()
        config.bind = ["127.0.0.1:0"]
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            serving = JournyMiddleware(app)
            await nursery.start(lambda task_status: serve_(serving, config, stop, task_status))
            stop.set()

    async def serve_(serving, config, stop, task_status) -> None:
        await hypercorn.serve(serving, config, shutdown_trigger=stop.wait, task_status=task_status)

    trio.run(main)
    assert [event.name for event in api.events] == ["started"]
