"""in_context(): runs a function with the current context in a thread or an executor."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import journy_track
from journy_track import InvalidArgument, in_context


def test_an_executor_starts_without_the_context_unless_it_is_carried(whoami):
    with ThreadPoolExecutor(1) as pool, journy_track.user("u1"):
        assert pool.submit(whoami).result(5) is None
        assert pool.submit(in_context(whoami)).result(5) == "u1"


def test_one_carried_function_may_run_in_many_threads_at_once(whoami):
    """Naive: one `Context.run` for all calls: the second thread gets "context is already entered"."""
    together = threading.Barrier(4)

    def work(number: int) -> tuple[int, str | None]:
        together.wait(5)
        with journy_track.user(f"own-{number}"):
            together.wait(5)
        return number, whoami()

    with ThreadPoolExecutor(4) as pool, journy_track.user("u1"):
        assert sorted(pool.map(in_context(work), range(4))) == [(number, "u1") for number in range(4)]


def test_calls_do_not_see_what_an_earlier_call_left_behind(whoami):
    def script() -> list[str | None]:
        before = whoami()
        journy_track.user("left open").__enter__()
        return [before, whoami()]

    with journy_track.user("u1"):
        carried = in_context(script)
    assert [carried(), carried(), whoami()] == [["u1", "left open"], ["u1", "left open"], None]


def test_it_is_the_context_of_the_moment_it_was_carried(whoami):
    with journy_track.user("then"):
        carried = in_context(whoami)
    with journy_track.user("now"):
        assert [carried(), whoami()] == ["then", "now"]


def test_a_coroutine_that_a_plain_function_returns_runs_in_that_context_too(whoami):
    async def work() -> list[str | None]:
        before = whoami()
        await asyncio.sleep(0)
        return [before, whoami()]

    with journy_track.user("then"):
        carried = in_context(lambda: work())  # noqa: PLW0108 - a plain function is what this is about
    with journy_track.user("now"):
        assert asyncio.run(carried()) == ["then", "then"]
        assert whoami() == "now"


def test_other_context_variables_are_carried_too():
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    token = variable.set("set")
    carried = in_context(variable.get)
    variable.reset(token)
    assert carried() == "set"


def test_a_carried_coroutine_function_keeps_the_context_while_awaited(whoami):
    async def work() -> list[str | None]:
        before = whoami()
        await asyncio.sleep(0)
        return [before, whoami()]

    with journy_track.user("u1"):
        carried = in_context(work)

    async def main() -> list[object]:
        with journy_track.user("other"):
            return [await carried(), whoami()]

    assert inspect.iscoroutinefunction(carried)
    assert asyncio.run(main()) == [["u1", "u1"], "other"]


def test_a_carried_coroutine_function_can_be_cancelled(whoami):
    async def main() -> list[object]:
        inside = asyncio.Event()
        seen: list[object] = []

        async def work() -> None:
            try:
                inside.set()
                await asyncio.Event().wait()
            finally:
                seen.append(whoami())

        with journy_track.user("u1"):
            carried = in_context(work)
        task = asyncio.create_task(carried())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return seen

    assert asyncio.run(main()) == ["u1"]


def test_a_carried_generator_keeps_the_context_at_each_step(whoami):
    def rows():
        yield whoami()
        yield whoami()

    with journy_track.user("u1"):
        carried = in_context(rows)
    with journy_track.user("other"):
        assert [(row, whoami()) for row in carried()] == [("u1", "other"), ("u1", "other")]
    assert inspect.isgeneratorfunction(carried)


def test_a_carried_async_generator_keeps_the_context_at_each_step(whoami):
    async def rows():
        yield whoami()
        await asyncio.sleep(0)
        yield whoami()

    with journy_track.user("u1"):
        carried = in_context(rows)

    async def main() -> list[tuple[str | None, str | None]]:
        with journy_track.user("other"):
            return [(row, whoami()) async for row in carried()]

    assert asyncio.run(main()) == [("u1", "other"), ("u1", "other")]
    assert inspect.isasyncgenfunction(carried)


def test_methods_partials_and_callables_are_carried(whoami):
    class Service:
        def method(self, name: str) -> tuple[str, str | None]:
            return name, whoami()

        __call__ = method

    service = Service()
    with journy_track.user("u1"):
        carried = [in_context(service.method), in_context(service), in_context(functools.partial(service, "n"))]
    assert [carried[0]("n"), carried[1]("n"), carried[2]()] == [("n", "u1")] * 3


def test_events_of_a_carried_tracked_function_belong_to_the_carried_user(kept):
    @journy_track.track_event("worked")
    def work() -> None: ...

    with ThreadPoolExecutor(2) as pool, journy_track.user("u1"):
        for future in [pool.submit(in_context(work)) for _ in range(4)]:
            future.result(5)
    assert kept.users() == ["u1"] * 4


def test_what_is_not_a_function_is_refused():
    with pytest.raises(InvalidArgument, match=r"in_context\(\) takes a function, got"):
        in_context("work")


def test_what_is_carried_cannot_be_pickled_and_says_what_to_do_instead():
    with pytest.raises(TypeError, match=r"pass what inject\(\) writes"):
        pickle.dumps(in_context(functools.partial(print)))
    with pytest.raises(pickle.PicklingError):  # its name refers to a different function
        pickle.dumps(in_context(functools.lru_cache))


IN_ANOTHER = """
import journy_track
with journy_track.extract(headers) as context:
    assert context.user == journy_track.UserIdentified("u1"), context
assert journy_track.current_context().user is None
"""


@pytest.mark.parametrize("pool", ["ProcessPoolExecutor", "InterpreterPoolExecutor"])
def test_a_pool_of_processes_or_interpreters_is_given_the_header(pool):
    executor = getattr(concurrent.futures, pool, None)
    if executor is None:
        pytest.skip(f"{pool} is new in Python 3.14")
    headers: dict[str, str] = {}
    with journy_track.user("u1"):
        journy_track.inject(headers)
    options = {"mp_context": multiprocessing.get_context("spawn")} if pool == "ProcessPoolExecutor" else {}
    with executor(1, **options) as workers:
        workers.submit(exec, IN_ANOTHER, {"headers": headers}).result(60)
