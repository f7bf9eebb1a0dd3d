"""gRPC servers over real sockets: the user of each call, unary and streaming, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

import journy_track
from journy_track import track

grpc = pytest.importorskip("grpc", reason="needs grpcio")

from journy_track.integrations.grpc import AsyncJournyInterceptor, JournyInterceptor  # noqa: E402

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def metadata_of(context: Any) -> dict[str, str]:
    return dict(context.invocation_metadata())


def who(context: Any) -> str | None:
    return metadata_of(context).get("x-user")


async def who_async(context: Any) -> str | None:
    await asyncio.sleep(0)
    return who(context)


def is_staff(context: Any) -> bool:
    return who(context) == "staff"


def is_shop(context: Any) -> bool:
    return metadata_of(context).get("sender") == "shop"


def account(context: Any) -> str | None:
    return metadata_of(context).get("x-account")


# ── The service: each method tracks its request ──


def unary_unary(request, context):
    track("called", of=request.decode())
    if request == b"fail":
        raise RuntimeError("as asked")
    return request


def unary_stream(request, context):
    for part in range(3):
        track("called", of=request.decode(), part=part)
        yield request


def stream_unary(requests, context):
    last = b""
    for last in requests:
        track("called", of=last.decode())
    return last


def stream_stream(requests, context):
    for request in requests:
        track("called", of=request.decode())
        yield request


async def unary_unary_async(request, context):
    await asyncio.sleep(0)
    return unary_unary(request, context)


async def unary_stream_async(request, context):
    for part in unary_stream(request, context):
        await asyncio.sleep(0)
        yield part


async def stream_unary_async(requests, context):
    last = b""
    async for last in requests:
        track("called", of=last.decode())
    return last


async def stream_stream_async(requests, context):
    async for request in requests:
        track("called", of=request.decode())
        yield request


def handlers(suffix: str = "") -> Any:
    methods = {kind: getattr(grpc, f"{kind}_rpc_method_handler")(globals()[kind + suffix]) for kind in KINDS}
    return grpc.method_handlers_generic_handler("shop.Shop", methods)


@pytest.fixture(params=["sync", "async", "sync handlers of an async server"])
def address(request, kept) -> Iterator[str]:
    if request.param == "sync":
        interceptor = JournyInterceptor(user=who, account=account, skip=is_staff, trust=is_shop)
        server = grpc.server(ThreadPoolExecutor(8), interceptors=[interceptor])
        server.add_generic_rpc_handlers([handlers()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        assert server.stop(5).wait(20)
        return

    ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        user = who_async if request.param == "async" else who
        interceptor = AsyncJournyInterceptor(user=user, account=account, skip=is_staff, trust=is_shop)
        server = grpc.aio.server(interceptors=[interceptor], migration_thread_pool=ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers([handlers("_async" if request.param == "async" else "")])
        port, stopping = server.add_insecure_port("127.0.0.1:0"), asyncio.Event()
        await server.start()
        ready.set_result((port, asyncio.get_running_loop(), stopping))
        await stopping.wait()
        await server.stop(5)

    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(asyncio.run, serve())
        port, loop, stopping = ready.result(20)
        yield f"127.0.0.1:{port}"
        loop.call_soon_threadsafe(stopping.set)
        serving.result(20)


@pytest.fixture
def channel(address) -> Iterator[Any]:
    with grpc.insecure_channel(address) as channel:
        yield channel


def call(channel: Any, kind: str, user: str, *sent: bytes) -> list[bytes]:
    """Return the service's responses to *user*, with that user's account."""
    asks, answers = kind.split("_")
    metadata = (("x-user", user), ("x-account", f"account of {user}"))
    method = getattr(channel, kind)(f"/shop.Shop/{kind}")
    got = method(iter(sent) if asks == "stream" else sent[0], metadata=metadata, timeout=20)
    return list(got) if answers == "stream" else [got]


def seen(kept) -> set[tuple[str, str | None, str | None]]:
    return {
        (event.metadata["of"], event.user and event.user.user_id, event.account and event.account.account_id)
        for event in kept()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_step_of_a_call_is_of_its_user(channel, kept, kind):
    sent = [b"1", b"2"] if kind.startswith("stream") else [b"1"]
    call(channel, kind, "u1", *sent)
    call(channel, kind, "u2", b"9")
    account = "account of u1"
    assert seen(kept) == {*((one.decode(), "u1", account) for one in sent), ("9", "u2", "account of u2")}


def test_a_call_that_fails_keeps_its_event_and_the_next_has_its_own_user(channel, kept):
    with pytest.raises(grpc.RpcError):
        call(channel, "unary_unary", "u1", b"fail")
    call(channel, "unary_unary", "u2", b"next")
    assert seen(kept) == {("fail", "u1", "account of u1"), ("next", "u2", "account of u2")}


def test_a_method_that_does_not_exist_still_does_not(channel):
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/shop.Shop/missing")(b"", timeout=20)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_that_is_skipped_tracks_nothing(channel, kept):
    for kind in KINDS:
        call(channel, kind, "staff", b"1")
    assert kept() == []
    assert set(kept.lost()) == {"suppressed"}


def test_a_call_of_a_service_of_ones_own_says_who_acts(channel, kept):
    carrier: dict[str, str] = {}
    with journy_track.user("jane"), journy_track.account("acme"):
        journy_track.inject(carrier)
    for sender in ("shop", "stranger"):
        metadata = (*carrier.items(), ("sender", sender))
        channel.unary_unary("/shop.Shop/unary_unary")(sender.encode(), metadata=metadata, timeout=20)
    assert seen(kept) == {("shop", "jane", "acme")}


def test_200_calls_of_20_users_never_mix(channel, kept):
    def visit(number: int) -> None:
        for kind in KINDS[:2] * 5:
            call(channel, kind, f"u{number}", str(number).encode())

    with ThreadPoolExecutor(20) as clients:
        list(clients.map(visit, range(20)))
    events = kept()
    assert len(events) == 20 * (5 + 15)
    for event in events:
        number = event.metadata["of"]
        assert (event.user.user_id, event.account.account_id) == (f"u{number}", f"account of u{number}")
