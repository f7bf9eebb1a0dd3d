"""The ASGI middleware, where a real server shows too little."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import journy_track
from journy_track import ConfigurationError, track
from journy_track._capture import context
from journy_track.integrations.asgi import JournyMiddleware

HTTP = {"type": "http", "headers": [(b"x-user", b"u1")]}


class Wire:
    """What the server's side gives and gets."""

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
        assert journy_track.current().user is None
        await send("first")
        assert journy_track.current().user.user_id == "u1"
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
    """An event from before the authentication, which fills the scope."""

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


def test_a_lambda_around_an_async_function_is_awaited_and_nothing_is_said(kept, caplog):
    app = JournyMiddleware(visit, user=lambda scope: slowly({**scope}), account=lambda scope: "acme")
    for _ in range(2):
        serve(app)
    gc.collect()  # a warning that something was never awaited would be an error
    assert [(event.user.user_id, event.account.account_id) for event in kept()] == [("u1", "acme")] * 2
    assert "raised" not in caplog.text


def test_a_function_that_raises_does_no_harm_and_says_where(kept, caplog):
    app = JournyMiddleware(visit, user=lambda scope: "u1", account=lambda scope: scope["secret of jane"])
    for _ in range(3):
        assert serve(app).sent == [{"type": "http.response.start"}]
    assert [event.user.user_id for event in kept()] == ["u1"] * 3
    [said] = [record.getMessage() for record in caplog.records if "raised" in record.getMessage()]
    assert "account raised KeyError at" in said
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
