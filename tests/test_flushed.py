"""flushed(): when a handler returns, everything that a short-lived process captured has been sent."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta

import pytest

import journy_track
from journy_track import InvalidArgument


def names(api) -> list[str]:
    return [event.name for event in api.events]


def test_what_a_block_captured_has_arrived_at_its_end(api, tracker):
    with journy_track.flushed(timeout=10):
        journy_track.track("signed_in", user="u1")
    assert names(api) == ["signed_in"]


def test_a_decorated_handler_delivers_before_it_returns(api, tracker):
    @journy_track.flushed(timeout=timedelta(seconds=10))
    def handler(event, context):
        journy_track.track("invoked", user=event["user"])
        return {"status": 200}

    for number in range(3):
        assert handler({"user": f"u{number}"}, None) == {"status": 200}
        assert names(api) == ["invoked"] * (number + 1)
    assert list(inspect.signature(handler).parameters) == ["event", "context"]


def test_a_decorated_coroutine_function_delivers_without_blocking_its_loop(api, tracker):
    api.answer_next(None, delay=0.3)
    turns = 0

    @journy_track.flushed(timeout=10)
    async def handler() -> str:
        journy_track.track("invoked", user="u1")
        return "done"

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    async def main() -> str:
        beside = asyncio.create_task(others())
        done = await handler()
        beside.cancel()
        return done

    assert inspect.iscoroutinefunction(handler)
    assert asyncio.run(main()) == "done"
    assert names(api) == ["invoked"]
    assert turns >= 5


def test_an_async_block_delivers_too(api, tracker):
    async def main() -> None:
        async with journy_track.flushed(timeout=10):
            journy_track.track("invoked", user="u1")

    asyncio.run(main())
    assert names(api) == ["invoked"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_exception_passes_and_what_came_before_it_has_arrived(api, tracker, kind):
    def fail() -> None:
        journy_track.track("tried", user="u1")
        raise LookupError("theirs")

    async def fail_async() -> None:
        fail()

    handler = journy_track.flushed(timeout=10)(fail if kind == "sync" else fail_async)
    with pytest.raises(LookupError, match="theirs"):
        asyncio.run(handler()) if kind == "async" else handler()
    assert names(api) == ["tried"]


@pytest.mark.slow
def test_when_the_time_is_not_enough_that_is_said_and_nothing_is_lost(api, tracker, caplog):
    api.answer_next(None, delay=0.5)
    with journy_track.flushed(timeout=0.01):
        journy_track.track("invoked", user="u1")
    assert "not everything was delivered in time" in caplog.text
    assert tracker.flush(10)
    assert names(api) == ["invoked"]


def test_a_tracker_of_ones_own_has_it_too(api):
    own = journy_track.Tracker("a-key", base_url=api.url)
    with own.flushed(10):
        own.track("invoked", user="u1")
    assert names(api) == ["invoked"]


def test_before_configure_it_does_nothing():
    with journy_track.flushed():
        pass


def test_a_handler_that_is_decorated_before_configure_delivers_after_it(api):
    @journy_track.flushed(10)
    def handler() -> None:
        journy_track.track("invoked", user="u1")

    journy_track.configure("a-key", base_url=api.url)
    handler()
    assert names(api) == ["invoked"]


@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan")])
def test_a_wrong_timeout_is_refused_where_it_is_given(timeout):
    with pytest.raises(InvalidArgument, match="timeout must be seconds"):
        journy_track.flushed(timeout=timeout)


def test_generators_are_refused():
    def rows():
        yield 1

    with pytest.raises(InvalidArgument, match="with flushed"):
        journy_track.flushed()(rows)
