"""Identities that must not leak between tasks: async generators closed elsewhere, cancelled or abandoned.

Each test fails with the naive implementation that its docstring describes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

import journy_track


@pytest.fixture(params=["block in the body", "decorator"])
def rows(request, whoami):
    """A decorated async generator function that holds user A while it is suspended, and yields the current user."""

    async def holding():
        with journy_track.user("A"):
            while True:
                await asyncio.sleep(0)
                yield whoami()

    async def yielding():
        while True:
            await asyncio.sleep(0)
            yield whoami()

    if request.param == "decorator":
        return journy_track.user("A")(yielding)
    return journy_track.track_event("listed", on="always")(holding)


def test_a_suspended_async_generator_leaves_the_consumers_user_alone(rows, kept, whoami):
    """Naive: a plain wrapper (E1, E4): the consumer tracks as A, or the body runs without a user."""

    async def main() -> None:
        async with contextlib.aclosing(rows()) as stream:
            assert [await anext(stream), whoami()] == ["A", None]
            with journy_track.user("B"):
                assert [await anext(stream), whoami()] == ["A", "B"]
                journy_track.track("as_b")
        assert whoami() is None

    asyncio.run(main())
    assert next(event.user.user_id for event in kept() if event.name == "as_b") == "B"


def test_an_async_generator_closed_in_anothers_block_does_not_change_the_user(rows, whoami):
    """Naive: `reset(token)` (E2): B is replaced by the user before A."""

    async def main() -> None:
        stream = rows()
        await anext(stream)
        with journy_track.user("B"):
            await stream.aclose()
            assert whoami() == "B"
        assert whoami() is None

    asyncio.run(main())


def test_an_async_generator_closed_from_another_task_changes_neither(rows, whoami):
    """Naive: `reset(token)` raises `ValueError: token was created in a different Context`."""

    async def main() -> None:
        stream = rows()

        async def close() -> str | None:
            with journy_track.user("C"):
                await stream.aclose()
                return whoami()

        with journy_track.user("B"):
            await anext(stream)
            assert await asyncio.create_task(close()) == "C"
            assert whoami() == "B"

    asyncio.run(main())


def test_an_async_generator_resumed_by_several_tasks_is_always_as_its_user(rows, whoami):
    """Naive: the identity stays in the task that started it; the next step runs without a user."""

    async def main() -> list[list[str | None]]:
        stream = rows()

        async def resume(user: str) -> list[str | None]:
            with journy_track.user(user):
                return [await anext(stream), whoami()]

        seen = [await asyncio.create_task(resume(user)) for user in "BCD"]
        await stream.aclose()
        return seen

    assert asyncio.run(main()) == [["A", "B"], ["A", "C"], ["A", "D"]]


def test_interleaved_async_generators_keep_their_own_users(whoami):
    """Naive: a stack: the user of the last resumed generator acts in all of them."""

    @journy_track.track_event("listed")
    async def rows(user: str):
        with journy_track.user(user):
            for _ in range(3):
                await asyncio.sleep(0)
                yield whoami()

    async def main() -> list[tuple[str | None, ...]]:
        with journy_track.user("consumer"):
            first, second = rows("A"), rows("B")
            return [(await anext(first), await anext(second), whoami()) for _ in range(3)]

    assert asyncio.run(main()) == [("A", "B", "consumer")] * 3


def test_cancelling_a_task_that_waits_inside_restores_its_user(rows, whoami):
    """Naive: without `finally`, the cancelled task continues as A."""

    async def main() -> list[str | None]:
        inside = asyncio.Event()
        seen: list[str | None] = []

        @journy_track.user("A")
        async def wait() -> None:
            with journy_track.user("deeper"):
                inside.set()
                await asyncio.Event().wait()

        async def job() -> None:
            with journy_track.user("B"):
                try:
                    await wait()
                except asyncio.CancelledError:
                    seen.append(whoami())
            seen.append(whoami())

        task = asyncio.create_task(job())
        await inside.wait()
        task.cancel()
        await task
        return [*seen, whoami()]

    assert asyncio.run(main()) == ["B", None, None]


def test_cancelling_a_task_suspended_in_a_step_restores_its_user(kept, whoami):
    """Naive: the step's context is restored only when the step yields."""

    @journy_track.track_event("listed", on="always")
    async def rows(inside: asyncio.Event):
        with journy_track.user("A"):
            inside.set()
            await asyncio.Event().wait()
            yield

    async def main() -> list[str | None]:
        inside = asyncio.Event()
        seen: list[str | None] = []
        with journy_track.user("creator"):
            stream = rows(inside)

        async def job() -> None:
            with journy_track.user("B"):
                try:
                    await anext(stream)
                except asyncio.CancelledError:
                    seen.append(whoami())

        task = asyncio.create_task(job())
        await inside.wait()
        task.cancel()
        await task
        return seen

    assert asyncio.run(main()) == ["B"]
    event = kept.one()
    assert (event.user.user_id, event.metadata["error_type"]) == ("creator", "CancelledError")


@pytest.mark.slow
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_abandoned_async_generator_leaves_nothing_behind(rows, whoami):
    """Naive: the event loop closes it in a separate task, where `reset(token)` raises."""

    async def main() -> list[str | None]:
        seen: list[str | None] = []
        with journy_track.user("B"):
            async for row in rows():
                seen.append(row)
                break
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(whoami())
        return [*seen, whoami()]

    assert asyncio.run(main()) == ["A", "B", None]


@pytest.mark.parametrize("decorate", [journy_track.user("A"), journy_track.track_event("listed")])
def test_one_left_open_when_the_loop_ends_is_closed_once_by_the_loop(decorate, whoami, caplog):
    """Naive: the loop knows the inner generator as well, and closes it in addition to the outer one."""
    closed: list[str | None] = []
    held = []

    @decorate
    async def rows():
        with journy_track.user("A"):
            try:
                yield
            finally:
                await asyncio.sleep(0)
                closed.append(whoami())

    async def main() -> None:
        held.append(rows())
        await anext(held[0])

    asyncio.run(main())
    assert closed == ["A"]
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


# ── Undecorated: the identity reaches the consumer while it is suspended, but never for longer ──────────


async def holding(user: str = "A"):
    with journy_track.user(user):
        yield user
        yield user


def test_undecorated_closed_from_another_task_neither_erases_nor_swaps_its_user(whoami):
    """Naive: `set(before)` (E2) erases C; `reset(token)` raises `ValueError`."""

    async def main() -> None:
        stream = holding()
        opened, closed = asyncio.Event(), asyncio.Event()

        async def open_it() -> str | None:
            with journy_track.user("B"):
                await anext(stream)
                opened.set()
                await closed.wait()
                return whoami()

        async def close_it() -> str | None:
            with journy_track.user("C"):
                await opened.wait()
                await stream.aclose()
                closed.set()
                return whoami()

        assert await asyncio.gather(open_it(), close_it()) == ["B", "C"]

    asyncio.run(main())


def test_undecorated_closed_in_anothers_block_neither_erases_nor_swaps_it(whoami):
    """Naive: `reset(token)` or `set(before)` (E2): B is lost."""

    async def main() -> list[str | None]:
        stream = holding()
        await anext(stream)
        with journy_track.user("B"):
            await stream.aclose()
            seen = [whoami()]
        return [*seen, whoami()]

    assert asyncio.run(main()) == ["B", None]


def test_undecorated_closed_from_a_child_task_ends_here_too(whoami):
    """Naive: popping the top entry: that is right in the child's copy, but the parent continues as A."""

    async def main() -> list[str | None]:
        with journy_track.user("outer"):
            stream = holding()
            await anext(stream)
            await asyncio.create_task(stream.aclose())
            return [whoami()]

    assert asyncio.run(main()) == ["outer"]


@pytest.mark.slow
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_undecorated_and_left_by_break_ends_as_soon_as_the_loop_has_closed_it(whoami):
    """Naive: the loop closes it in a copy of this context, so popping there leaves A acting here."""

    async def main() -> list[str | None]:
        with journy_track.user("outer"):
            async for _ in holding():
                break
            gc.collect()
            async with asyncio.timeout(2):
                while whoami() == "A":
                    await asyncio.sleep(0)
            return [whoami()]

    assert asyncio.run(main()) == ["outer"]


def test_a_task_started_in_a_block_keeps_its_user_though_the_block_was_left(whoami):
    """Naive: marking each frame as dead when its block ends takes the user from tasks started in the block."""

    async def main() -> str | None:
        left = asyncio.Event()

        async def work() -> str | None:
            await left.wait()
            return whoami()

        @journy_track.user("A")
        async def start() -> asyncio.Task[str | None]:
            return asyncio.create_task(work())

        task = await start()
        left.set()
        return await task

    assert asyncio.run(main()) == "A"
