"""The AsyncClient: the same calls as the Client's, awaited, without blocking the event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from contextlib import suppress

import pytest

import journy_track
from journy_track import (
    APIError,
    AsyncClient,
    Client,
    ClientConfig,
    Event,
    HttpResponse,
    InvalidArgument,
    Success,
    UserIdentified,
)
from journy_track._client import threads

from .api_description import check_request
from .test_client import CALLS, EVENT, KEY

BODY = b'{"meta": {"requestId": "r", "status": 201}}'


def config(api, **settings) -> ClientConfig:
    return ClientConfig(KEY, base_url=api.url, **settings)


def event(number: int) -> Event:
    return Event.for_user("signed_in", UserIdentified(number))


def in_asyncio(function, *arguments):
    return asyncio.run(function(*arguments))


def in_trio(function, *arguments):
    return pytest.importorskip("trio", reason="needs trio").run(function, *arguments)


@pytest.fixture(params=[in_asyncio, in_trio], ids=["asyncio", "trio"])
def run(request):
    """Runs a coroutine function in an event loop."""
    return request.param


async def until(condition) -> None:
    """Let the loop run until *condition* holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


# ── The same calls ──


def public(kind: type) -> dict[str, object]:
    return {name: value for name, value in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_it_has_the_calls_of_the_client():
    assert {*public(Client)} - {"close"} == {*public(AsyncClient)} - {"aclose"}


@pytest.mark.parametrize("name", sorted({*public(Client)} - {"close", "with_defaults"}))
def test_a_call_has_the_same_arguments_result_and_documentation(name):
    ours, theirs = public(AsyncClient)[name], public(Client)[name]
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)
    assert inspect.iscoroutinefunction(ours)


@pytest.mark.parametrize(
    ("call", "method", "path", "body"), CALLS, ids=[f"{method} {path}" for _, method, path, _ in CALLS]
)
def test_a_call_sends_the_same_request_and_returns_the_same_result(api, call, method, path, body):
    async def ask():
        async with AsyncClient(None, config(api)) as client:
            return await call(client)

    result = in_asyncio(ask)
    [received] = api.requests
    assert (received.method, received.path, received.json) == (method, path, body)
    check_request(received)
    assert isinstance(result, Success)
    assert (result.calls_remaining, result.calls_limit) == (999_999, 1_000_000)
    with Client(None, config(api)) as client:
        assert result.data == call(client).data


def test_it_works_under_asyncio_and_trio(api, run):
    async def ask():
        async with AsyncClient(None, config(api)) as client:
            return [await client.add_event(event(number)) for number in range(3)]

    assert all(result.success for result in run(ask))
    assert [e.user["userId"] for e in api.events] == ["0", "1", "2"]


def test_a_call_that_fails_returns_a_failure(run):
    async def ask():
        async with AsyncClient(None, ClientConfig(KEY, base_url="http://127.0.0.1:9")) as client:
            return await client.add_event(EVENT)

    assert run(ask).error is APIError.ConnectionFailed


def test_a_wrong_argument_raises_before_anything_is_sent(api, run):
    async def ask():
        async with AsyncClient(None, config(api)) as client:
            with pytest.raises(InvalidArgument, match="Event"):
                await client.add_event("signed_in")
            with pytest.raises(InvalidArgument):
                await client.upsert_user()

    run(ask)
    assert not api.requests


def test_with_defaults_calls_journy_io_itself():
    client = AsyncClient.with_defaults(KEY)
    assert client.config == ClientConfig(KEY)
    assert repr(client) == "<journy_track.AsyncClient https://api.journy.io>"


# ── The event loop and the threads ──


class Http:
    """An HTTP client that holds each request until it is released, and counts how many it holds."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held = self.most = self.sent = 0
        self.let_go = threading.Event()

    def send(self, _):
        with self.lock:
            self.held += 1
            self.most = max(self.most, self.held)
        assert self.let_go.wait(20)
        with self.lock:
            self.held -= 1
            self.sent += 1
        return HttpResponse(201, {}, BODY)

    def close(self):
        """Do nothing: no connection is kept open."""


@pytest.fixture
def http():
    made = Http()
    yield made
    made.let_go.set()


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "journy_track client"]


def test_the_loop_goes_on_while_a_call_waits(http):
    async def ask():
        async with AsyncClient(http, ClientConfig(KEY)) as client:
            call = asyncio.create_task(client.add_event(EVENT))
            await until(lambda: http.held)  # it gets there in one iteration of the loop
            http.let_go.set()
            return await call

    assert in_asyncio(ask).success


def test_as_many_requests_are_made_at_once_as_there_may_be_connections(http):
    async def ask():
        async with AsyncClient(http, ClientConfig(KEY, max_connections=3)) as client:
            calls = [asyncio.create_task(client.add_event(event(number))) for number in range(10)]
            await until(lambda: http.held == 3)
            http.let_go.set()
            return await asyncio.gather(*calls)

    assert all(result.success for result in in_asyncio(ask))
    assert (http.most, http.sent) == (3, 10)


def test_a_thread_is_used_again(api):
    async def ask():
        async with AsyncClient(None, config(api)) as client:
            for number in range(20):
                assert (await client.add_event(event(number))).success
            return len(ours())

    assert in_asyncio(ask) == 1


def test_an_idle_thread_ends_and_the_next_call_has_another(api, monkeypatch):
    monkeypatch.setattr(threads, "IDLE", 0.05)

    async def ask():
        async with AsyncClient(None, config(api)) as client:
            assert (await client.add_event(EVENT)).success
            await until(lambda: not ours())
            assert (await client.add_event(EVENT)).success

    in_asyncio(ask)
    assert len(api.events) == 2


def test_a_closed_client_has_no_threads_and_can_call_again(api):
    async def ask():
        client = AsyncClient(None, config(api))
        for _ in range(2):
            assert (await client.add_event(EVENT)).success
            await client.aclose()
            await until(lambda: not ours())

    in_asyncio(ask)


def test_two_loops_may_use_one_client(api):
    client = AsyncClient(None, config(api))

    async def ask(first):
        return await asyncio.gather(*(client.add_event(event(number)) for number in range(first, first + 10)))

    results = []
    loops = [threading.Thread(target=lambda n=n: results.extend(in_asyncio(ask, n))) for n in (0, 100, 200)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join(20)
    in_asyncio(client.aclose)
    assert len(results) == len({e.user["userId"] for e in api.events}) == 30
    assert all(result.success for result in results)


def test_without_a_thread_to_be_had_a_call_fails(api, monkeypatch):
    def none(_):
        raise RuntimeError("can't start new thread")

    async def ask():
        async with AsyncClient(None, config(api)) as client:
            monkeypatch.setattr(threading.Thread, "start", none)
            result = await client.add_event(EVENT)
            monkeypatch.undo()
            assert (await client.add_event(EVENT)).success
            return result

    result = in_asyncio(ask)
    assert (result.error, result.message) == (
        APIError.ConnectionFailed,
        "the system has no thread for the request",
    )


def test_what_the_threads_log_is_no_event_of_the_app(api, tracker):
    class Tracking(Http):
        def send(self, request):
            journy_track.track("logged", user="u1")
            return super().send(request)

    http = Tracking()
    http.let_go.set()

    async def ask():
        async with AsyncClient(http, ClientConfig(KEY)) as client:
            assert (await client.add_event(EVENT)).success

    in_asyncio(ask)
    assert tracker.stats().dropped == {"own_code": 1}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(api):
    client = AsyncClient(None, config(api))

    async def ask():
        return await asyncio.wait_for(client.add_event(EVENT), 20)

    assert in_asyncio(ask).success
    child = os.fork()
    if not child:
        sent = False
        with suppress(BaseException):
            sent = in_asyncio(ask).success
        os._exit(0 if sent else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    in_asyncio(client.aclose)
    assert len(api.events) == 2


# ── Cancellation ──


def test_who_is_cancelled_stops_waiting_at_once(http):
    async def ask():
        async with AsyncClient(http, ClientConfig(KEY)) as client:
            call = asyncio.create_task(client.add_event(EVENT))
            await until(lambda: http.held)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert http.held  # the request itself is not cancelled

    in_asyncio(ask)


def test_in_trio_who_is_cancelled_stops_waiting_at_once(http):
    trio = pytest.importorskip("trio", reason="needs trio")

    async def ask():
        async with AsyncClient(http, ClientConfig(KEY)) as client:
            with trio.move_on_after(0.05) as scope:
                await client.add_event(EVENT)
            assert scope.cancelled_caught
            assert http.held

    trio.run(ask)


def test_a_call_that_is_cancelled_before_it_has_begun_is_not_sent(http):
    async def ask():
        async with AsyncClient(http, ClientConfig(KEY, max_connections=1)) as client:
            first = asyncio.create_task(client.add_event(event(1)))
            await until(lambda: http.held)
            second = asyncio.create_task(client.add_event(event(2)))
            await asyncio.sleep(0)  # let it start waiting for the thread
            second.cancel()
            with suppress(asyncio.CancelledError):
                await second
            third = asyncio.create_task(client.add_event(event(3)))
            http.let_go.set()
            return await first, await third

    assert all(result.success for result in in_asyncio(ask))
    assert http.sent == 2


@pytest.mark.parametrize("run", [in_asyncio, in_trio])
def test_a_request_that_ends_after_its_loop_is_not_heard_of(http, run, caplog):
    client = AsyncClient(http, ClientConfig(KEY))

    async def ask():
        if run is in_asyncio:
            client.call = asyncio.create_task(client.add_event(EVENT))
            await until(lambda: http.held)
            return
        import trio

        with trio.move_on_after(0.05):
            await client.add_event(EVENT)

    run(ask)
    http.let_go.set()
    in_asyncio(client.aclose)
    for thread in ours():
        thread.join(20)
    assert http.sent == 1
    assert not caplog.records
