"""One block object shared by a whole program: leaving it ends the caller's own entry and no other."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

import journy_track

SYSTEM = journy_track.user("system")


def as_system():
    with SYSTEM:
        yield


def test_a_dependency_that_ends_in_another_thread_than_it_began_ends_nobody_elses_entry(whoami):
    dependency = contextmanager(as_system)()

    async def job(started: asyncio.Event, ended: asyncio.Event) -> list[str | None]:
        with journy_track.user("jane"):
            with SYSTEM:
                started.set()
                await ended.wait()
                inside = whoami()
            return [inside, whoami()]

    async def main() -> list[str | None]:
        started, ended = asyncio.Event(), asyncio.Event()
        await asyncio.to_thread(dependency.__enter__)
        task = asyncio.create_task(job(started, ended))
        await started.wait()
        await asyncio.to_thread(dependency.__exit__, None, None, None)
        ended.set()
        return await task

    assert asyncio.run(main()) == ["system", "jane"]


def test_that_holds_where_the_other_end_is_in_the_same_block_itself(whoami):
    dependency = contextmanager(as_system)()
    contextvars.copy_context().run(dependency.__enter__)
    with journy_track.user("jane"):
        with SYSTEM:
            contextvars.copy_context().run(dependency.__exit__, None, None, None)
            assert whoami() == "system"
        assert whoami() == "jane"


@pytest.mark.slow
def test_a_generator_that_is_collected_ends_its_own_entry_and_not_that_of_whoever_lets_go_of_it(whoami):
    async def main() -> list[str | None]:
        generators = []

        async def abandons() -> str | None:
            generators.append(as_system())
            next(generators[0])
            await collected.wait()
            return whoami()

        async def collects() -> str | None:
            with SYSTEM:
                await asyncio.sleep(0)
                generators.clear()
                gc.collect()
                return whoami()

        collected = asyncio.Event()
        abandoning = asyncio.create_task(abandons())
        await asyncio.sleep(0)
        inside = await asyncio.create_task(collects())
        collected.set()
        return [inside, await abandoning]

    assert asyncio.run(main()) == ["system", None]


def test_the_block_of_an_inner_scope_is_not_taken_for_that_of_a_generator(whoami):
    shared = journy_track.scope()

    def request():
        with shared:
            journy_track.set_user("streamed")
            yield

    stream = request()
    with journy_track.user("jane"):
        next(stream)
        with shared:
            journy_track.set_user("inner")
            stream.close()
            assert whoami() == "inner"
        assert whoami() == "jane"


def test_threads_and_tasks_that_share_a_block_never_end_each_others(whoami):
    wrong = []

    def look(expected: str | None) -> None:
        if whoami() != expected:
            wrong.append((expected, whoami()))

    async def task(number: int) -> None:
        with journy_track.user(f"u{number}"):
            for _ in range(20):
                with SYSTEM:
                    await asyncio.sleep(0)
                    with SYSTEM:
                        look("system")
                    look("system")
                look(f"u{number}")

    async def tasks() -> None:
        await asyncio.gather(*map(task, range(20)))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(asyncio.run, tasks()) for _ in range(4)]:
            done.result(30)
    assert wrong == []
    assert SYSTEM._open == {}


# ── Where another function enters than leaves ──


def test_an_exit_stack_leaves_what_it_entered_in_its_own_context(whoami):
    async def job(number: int) -> list[str | None]:
        with journy_track.user(f"u{number}"):
            with ExitStack() as stack:
                stack.enter_context(SYSTEM)
                await asyncio.sleep(0)
                inside = whoami()
            return [inside, whoami()]

    async def main() -> list[list[str | None]]:
        return await asyncio.gather(*map(job, range(10)))

    assert asyncio.run(main()) == [["system", f"u{number}"] for number in range(10)]


def test_the_only_entry_is_ended_from_wherever_that_is_asked(whoami):
    shared = journy_track.user("shared")
    stack = ExitStack()
    stack.enter_context(shared)
    contextvars.Context().run(stack.close)
    assert whoami() is None


def test_where_nobody_can_know_whose_entry_is_left_none_is_ended(whoami):
    shared = journy_track.user("shared")
    here, there = ExitStack(), ExitStack()
    elsewhere = contextvars.copy_context()
    elsewhere.run(there.enter_context, shared)
    here.enter_context(shared)
    contextvars.Context().run(there.close)
    assert whoami() == "shared"
    assert elsewhere.run(whoami) == "shared"
    here.close()
    assert whoami() is None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["with", "by hand"])
def test_an_entry_whose_context_is_gone_is_nobody_elses(whoami, how):
    shared = journy_track.user("shared")
    dependency = contextmanager(lambda: iter_with(shared))() if how == "with" else stack_of(shared)
    contextvars.copy_context().run(dependency.__enter__)
    gc.collect()
    with shared:
        contextvars.copy_context().run(lambda: None)
        contextvars.Context().run(dependency.__exit__, None, None, None)
        assert whoami() == "shared"
    assert whoami() is None


def iter_with(block):
    with block:
        yield


class stack_of:
    """A context manager that enters and leaves a block in its own methods."""

    def __init__(self, block) -> None:
        self._block = block

    def __enter__(self):
        self._block.__enter__()

    def __exit__(self, *error: object):
        self._block.__exit__(*error)


@pytest.mark.slow
def test_blocks_that_are_never_left_do_not_pile_up():
    shared = journy_track.user("shared")

    def forget_to_leave() -> None:
        contextvars.copy_context().run(shared.__enter__)

    for _ in range(10):
        for _ in range(1000):
            forget_to_leave()
        gc.collect()
    opened = sum(latest[3] for latest in shared._open.values())
    assert opened < 5000


def test_a_block_left_more_often_than_entered_is_logged_with_its_place_and_nothing_is_raised(caplog, whoami):
    block = journy_track.user("u1")
    with journy_track.user("jane"):
        block.__exit__(None, None, None)
        assert whoami() == "jane"
    assert "user() block was left more often than it was entered, at " in caplog.text
    assert "test_shared_blocks.py" in caplog.text


def test_a_thread_that_is_in_the_block_keeps_its_entry_while_another_leaves(whoami):
    entered, left = threading.Barrier(2, timeout=10), threading.Barrier(2, timeout=10)
    seen: list[str | None] = []

    def stays() -> None:
        with SYSTEM:
            entered.wait()
            left.wait()
            seen.append(whoami())
        seen.append(whoami())

    thread = threading.Thread(target=stays)
    thread.start()
    with SYSTEM:
        entered.wait()
    left.wait()
    thread.join(10)
    assert seen == ["system", None]
