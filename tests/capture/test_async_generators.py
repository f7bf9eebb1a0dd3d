"""Tracked async generators: what is sent into them, what they yield, and when they count."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing

import pytest

import journy_track
from journy_track import track_event


@pytest.fixture(autouse=True)
def _as_jane():
    with journy_track.user("jane"):
        yield


async def echo():
    """Yield whatever is sent or thrown in, except GeneratorExit."""
    got = None
    while got != "end":
        await asyncio.sleep(0)
        try:
            got = yield got
        except Exception as error:
            got = error


async def one_row():
    yield 1


def test_asend_athrow_and_the_end_pass_through(kept):
    async def main() -> None:
        stream = track_event("listed")(echo)()
        error = KeyError("mine")
        assert await anext(stream) is None
        assert await stream.asend("one") == "one"
        assert await stream.athrow(error) is error
        with pytest.raises(StopAsyncIteration):
            await stream.asend("end")

    asyncio.run(main())
    assert kept.names() == ["listed"]


def test_the_event_comes_at_exhaustion_not_at_the_call(kept):
    async def main() -> None:
        stream = track_event("listed")(one_row)()
        assert await anext(stream) == 1
        assert kept() == []
        assert await anext(stream, "done") == "done"

    asyncio.run(main())
    assert kept.names() == ["listed"]


@pytest.mark.parametrize(("on", "expected"), [("success", 0), ("error", 0), ("always", 1)])
def test_one_closed_early_counts_only_for_always(on, expected, kept):
    closed = []

    @track_event("listed", on=on)
    async def rows():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def main() -> None:
        async with aclosing(rows()) as stream:
            await anext(stream)

    asyncio.run(main())
    assert closed == [True]
    assert len(kept()) == expected


@pytest.mark.parametrize(("on", "expected"), [("success", 0), ("error", 0), ("always", 1)])
def test_one_that_catches_generator_exit_and_returns_was_closed_all_the_same(on, expected, kept):
    @track_event("listed", on=on)
    async def rows():
        try:
            yield 1
        except GeneratorExit:
            return

    async def main() -> None:
        async with aclosing(rows()) as stream:
            await anext(stream)

    asyncio.run(main())
    assert len(kept()) == expected


def test_one_that_ignores_generator_exit_raises_as_before_and_counts_not(kept):
    @track_event("listed")
    async def rows():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    async def main() -> None:
        stream = rows()
        await anext(stream)
        with pytest.raises(RuntimeError, match="async generator ignored GeneratorExit"):
            await stream.aclose()

    asyncio.run(main())
    assert kept() == []


def test_generator_exit_thrown_in_and_survived_does_not_close_it(kept):
    @track_event("listed")
    async def rows():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    async def main() -> None:
        stream = rows()
        assert await anext(stream) == 1
        assert await stream.athrow(GeneratorExit()) == 2
        assert [row async for row in stream] == []

    asyncio.run(main())
    assert kept.names() == ["listed"]


@pytest.mark.slow
@pytest.mark.parametrize("on", ["success", "error", "always"])
def test_one_never_started_emits_nothing(on, kept):
    async def main() -> None:
        made = track_event("listed", on=on)(echo)
        made()
        await made().aclose()
        gc.collect()

    asyncio.run(main())
    assert kept() == []


@pytest.mark.parametrize("on", ["success", "error", "always"])
def test_one_that_is_still_suspended_emits_nothing(on, kept):
    async def main() -> None:
        async with aclosing(track_event("listed", on=on)(echo)()) as stream:
            await anext(stream)
            assert kept() == []

    asyncio.run(main())


def test_an_exception_of_the_body_is_the_same_object_and_an_error(kept):
    error = ValueError("mine")

    @track_event("listed", on="error")
    async def rows():
        yield 1
        raise error

    async def main() -> None:
        stream = rows()
        await anext(stream)
        with pytest.raises(ValueError, match="mine") as raised:
            await anext(stream)
        assert raised.value is error

    asyncio.run(main())
    assert kept.one().metadata == {"error_type": "ValueError"}


def test_an_exception_thrown_in_and_not_caught_is_an_error(kept):
    async def main() -> None:
        stream = track_event("listed", on="error")(one_row)()
        await anext(stream)
        error = KeyError("mine")
        with pytest.raises(KeyError) as raised:
            await stream.athrow(error)
        assert raised.value is error

    asyncio.run(main())
    assert kept.one().metadata == {"error_type": "KeyError"}


@pytest.mark.parametrize(("on", "expected"), [("success", 0), ("error", 0), ("always", 1)])
def test_a_cancelled_step_is_an_interruption(on, expected, kept):
    async def main() -> None:
        inside = asyncio.Event()

        @track_event("listed", on=on)
        async def rows():
            inside.set()
            await asyncio.Event().wait()
            yield

        task = asyncio.create_task(anext(rows()))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(kept()) == expected


def test_identity_and_metadata_are_the_bodys_own_at_exhaustion(kept):
    @track_event("listed")
    async def rows():
        journy_track.add_metadata(rows=1)
        yield 1
        await asyncio.sleep(0)
        journy_track.set_user("set in the body")

    async def main() -> None:
        with journy_track.scope():
            journy_track.set_user("request")
            with journy_track.metadata(at="call"):
                stream = rows()
            with journy_track.metadata(at="exhaustion"):
                assert [row async for row in stream] == [1]

    asyncio.run(main())
    event = kept.one()
    assert (event.user.user_id, event.metadata) == ("set in the body", {"at": "call", "rows": 1})


@pytest.mark.slow
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_one_left_by_break_is_closed_by_the_loop_as_before(kept):
    closed = []

    @track_event("listed", on="always")
    async def rows():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def main() -> None:
        async for _ in rows():
            break
        gc.collect()
        async with asyncio.timeout(5):
            while not closed:
                await asyncio.sleep(0)

    asyncio.run(main())
    assert kept.one().metadata == {"error_type": "GeneratorExit"}


def test_two_tasks_cannot_step_it_at_once_as_before():
    async def main() -> None:
        stream = track_event("listed")(echo)()
        steps = [asyncio.create_task(anext(stream)) for _ in range(2)]
        results = await asyncio.gather(*steps, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), RuntimeError]
        await stream.aclose()

    asyncio.run(main())


def test_the_async_generator_carries_the_functions_name():
    stream = track_event("listed")(echo)()
    assert (stream.__name__, stream.__qualname__) == ("echo", "echo")
