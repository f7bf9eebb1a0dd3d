"""A function that returns a task, a future or another awaitable ends when the awaitable ends."""

from __future__ import annotations

import asyncio
import functools
import gc
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

import journy_track
from journy_track import track_event

scoped = journy_track.scope()


async def work(outcome):
    await asyncio.sleep(0.01)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def test_a_task_ends_with_its_result_its_user_and_its_duration(kept):
    @track_event("worked", metadata=lambda call: {"result": call.result, "long": call.duration >= 0.005})
    def start(outcome):
        return asyncio.create_task(work(outcome))

    async def main():
        with journy_track.user("of the call"):
            task = start(3)
        with journy_track.user("of the end"):
            assert type(task) is asyncio.Task
            assert kept() == []
            assert await task == 3

    asyncio.run(main())
    event = kept.one()
    assert (event.user.user_id, event.metadata) == ("of the call", {"result": 3, "long": True})


@pytest.mark.parametrize(
    ("on", "expected"), [("success", []), ("error", ["LookupError"]), ("always", ["LookupError"])]
)
def test_a_task_that_fails_is_not_a_success(on, expected, kept):
    @track_event("worked", user="u1", on=on)
    def start():
        return asyncio.ensure_future(work(LookupError("theirs")))

    async def main():
        with pytest.raises(LookupError, match="theirs"):
            await start()

    asyncio.run(main())
    assert [event.metadata["error_type"] for event in kept()] == expected


@pytest.mark.parametrize(("on", "expected"), [("success", 0), ("error", 0), ("always", 1)])
def test_a_task_that_is_cancelled_is_an_interruption(on, expected, kept):
    @track_event("worked", user="u1", on=on)
    def start():
        return asyncio.create_task(work(3))

    async def main():
        task = start()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(kept()) == expected


@pytest.mark.slow
def test_asyncio_still_warns_of_an_exception_that_nobody_retrieved(kept):
    messages = []

    @track_event("worked", user="u1", on="always")
    def start():
        return asyncio.create_task(work(LookupError("theirs")))

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: messages.append(context["message"]))
        task = start()
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())
    assert messages == ["Task exception was never retrieved"]
    assert kept.one().metadata == {"error_type": "LookupError"}


def test_a_future_of_a_thread_ends_with_its_outcome_and_the_user_of_the_call(kept):
    with ThreadPoolExecutor(1) as pool:

        @track_event("worked", capture=("outcome",), on="always")
        def start(outcome):
            return pool.submit(asyncio.run, work(outcome))

        with journy_track.user("u1"):
            assert start("done").result(10) == "done"
            with pytest.raises(LookupError):
                start(LookupError("theirs")).result(10)
    assert [(event.user.user_id, event.metadata.get("error_type")) for event in kept()] == [
        ("u1", None),
        ("u1", "LookupError"),
    ]


def test_a_future_that_is_done_ends_at_once(kept):
    done, cancelled = Future(), Future()
    done.set_result(3)
    cancelled.cancel()
    answer = track_event("worked", user="u1", on="always")(lambda future: future)
    assert answer(done) is done
    assert answer(cancelled) is cancelled
    assert [event.metadata for event in kept()] == [{}, {"error_type": "CancelledError"}]


def test_a_future_that_never_ends_emits_nothing(kept):
    pending = Future()
    assert track_event("worked", user="u1", on="always")(lambda: pending)() is pending
    assert kept() == []


def test_an_awaitable_of_its_own_kind_is_left_alone(kept):
    class Later:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return 3

    made = Later()
    start = track_event("worked", user="u1")(lambda: made)

    async def main():
        assert start() is made
        return await made

    assert asyncio.run(main()) == 3
    assert kept.names() == ["worked"]


class Untouchable(type):
    """A metaclass that raises when anything compares, hashes or prints its classes."""

    def __eq__(cls, other):
        raise AssertionError("looked at")

    __hash__ = None  # type: ignore[assignment]
    __repr__ = __instancecheck__ = __eq__


class Lazy(metaclass=Untouchable):
    """Like Django's SimpleLazyObject: reading its class evaluates it."""

    @property
    def __class__(self):
        raise AssertionError("evaluated")

    __eq__ = __bool__ = __class__
    __hash__ = None


@pytest.mark.parametrize("decorate", [track_event("worked"), track_event("worked", capture=("lazy",)), scoped])
@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial], ids=["function", "partial"])
def test_results_and_arguments_are_not_evaluated(decorate, wrap, kept):
    lazy = Lazy()
    with journy_track.user("u1"):
        assert id(decorate(wrap(lambda lazy: lazy))(lazy)) == id(lazy)
    assert set(kept.names()) <= {"worked"}


@pytest.mark.parametrize("decorate", [journy_track.user("u1"), journy_track.scope(), journy_track.flushed()])
def test_blocks_give_back_the_task_itself(decorate):
    async def main():
        task = asyncio.create_task(work(3))
        assert decorate(lambda: task)() is task
        assert await task == 3

    asyncio.run(main())


def test_flushed_waits_for_what_a_sync_wrapper_returns(api, tracker):
    @journy_track.flushed(10)
    @functools.wraps(work)
    def handler():
        async def inner():
            await asyncio.sleep(0)
            journy_track.track("invoked", user="u1")

        return inner()

    asyncio.run(handler())
    assert [event.name for event in api.events] == ["invoked"]


# ── Compiled functions ───────────────────────────────────────────────────────────────────────────────────


def compiled_generator():
    """A generator function compiled by mypyc, from mypy itself."""
    graph = pytest.importorskip("mypy.graph_utils", reason="needs mypy")
    if hasattr(graph.strongly_connected_components, "__code__"):
        pytest.skip("this mypy is not compiled")
    return graph.strongly_connected_components


def test_a_compiled_generator_ends_when_it_ends(kept, whoami):
    function = track_event("sorted", user="u1")(compiled_generator())
    rows = function({1, 2}, {1: [2], 2: []})
    next(rows)
    assert kept() == []
    assert list(rows) == [{1}]
    assert kept.names() == ["sorted"]


def test_a_compiled_generator_runs_in_its_block(whoami):
    class Edges(dict):
        def __getitem__(self, key):
            seen.append(whoami())
            return []

    seen = []
    rows = journy_track.user("u1")(compiled_generator())({1}, Edges())
    assert list(rows) == [{1}]
    assert set(seen) == {"u1"}
    assert whoami() is None


class _Raising(type):
    """The metaclass of a registry, where any attribute of a class is looked up."""

    def __getattr__(cls, name):
        raise KeyError(name)


class _OfARegistry(metaclass=_Raising):
    pass


class _NotReady:
    """A class property whose value is not available yet."""

    def __get__(self, instance, owner):
        raise RuntimeError("not configured")


class _WithAProperty:
    send = _NotReady()


@pytest.mark.parametrize("kind", [_OfARegistry, _WithAProperty])
@pytest.mark.parametrize("decorate", [track_event("worked", user="u1"), journy_track.user("u1")])
def test_no_code_of_a_results_class_runs(decorate, kind, kept):
    def made():
        return kind()

    assert type(decorate(made)()) is kind


def test_a_name_that_is_not_text_is_left_alone(kept):
    class Worker:
        __name__ = 5

        async def __call__(self):
            return "done"

    assert asyncio.run(track_event("worked", user="u1")(Worker())()) == "done"
    assert kept.names() == ["worked"]
