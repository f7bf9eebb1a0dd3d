"""When a call has ended, whether it counts, and what is read at that moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.trace import TracerProvider

import journy_track
from journy_track import track_event

EVERY = [("success", 0), ("error", 0), ("always", 1)]


@pytest.fixture(autouse=True)
def _as_jane():
    with journy_track.user("jane"):
        yield


@pytest.mark.slow
@pytest.mark.parametrize(("on", "expected"), EVERY)
@pytest.mark.parametrize(
    "interruption",
    [asyncio.CancelledError(), SystemExit(3), KeyboardInterrupt(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
def test_an_interruption_is_neither_success_nor_error(interruption, on, expected, kept):
    _ends_by(interruption, on, expected, kept)


@pytest.mark.parametrize(("on", "expected"), EVERY)
@pytest.mark.parametrize("name", ["Retry", "Ignore", "Reject", "TaskPredicate"])
def test_what_interrupts_a_task_of_celery_is_neither_success_nor_error(name, on, expected, kept):
    exceptions = pytest.importorskip("celery.exceptions", reason="raises Celery's own exceptions")
    _ends_by(getattr(exceptions, name)(), on, expected, kept)


def _ends_by(interruption, on, expected, kept):
    @track_event("worked", on=on)
    def work():
        raise interruption

    with pytest.raises(type(interruption)) as raised:
        work()
    assert raised.value is interruption
    assert [event.metadata["error_type"] for event in kept()] == [type(interruption).__name__] * expected


@pytest.mark.parametrize(("on", "expected"), EVERY)
def test_a_cancelled_task_is_neither_success_nor_error(on, expected, kept):
    async def main() -> None:
        inside = asyncio.Event()

        @track_event("worked", on=on)
        async def work():
            inside.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert len(kept()) == expected


def test_a_task_predicate_of_another_module_is_an_error(kept):
    class TaskPredicate(Exception): ...

    @track_event("worked", on="error")
    def work():
        raise TaskPredicate

    with pytest.raises(TaskPredicate):
        work()
    assert kept.names() == ["worked"]


def test_a_user_set_in_the_body_counts(kept):
    @track_event("signed_up")
    def sign_up():
        journy_track.set_user("new")
        journy_track.set_account("acme")
        journy_track.add_metadata(source="web")

    with journy_track.scope():
        sign_up()
    event = kept.one()
    assert (event.user.user_id, event.account.account_id, event.metadata) == ("new", "acme", {"source": "web"})


def test_a_block_in_the_body_does_not_count(kept):
    @track_event("worked")
    def work():
        with journy_track.user("in the body"), journy_track.metadata(inside=True):
            pass

    work()
    event = kept.one()
    assert (event.user.user_id, event.metadata) == ("jane", {})


def test_a_user_set_while_a_coroutine_waits_counts(kept):
    @track_event("worked")
    async def work():
        await asyncio.create_task(authenticate())

    async def authenticate():
        journy_track.set_user("set meanwhile")

    async def main() -> None:
        with journy_track.scope():
            await work()

    asyncio.run(main())
    assert kept.users() == ["set meanwhile"]


def test_the_time_is_that_of_the_end(kept):
    ended = []

    @track_event("worked")
    def work():
        while datetime.now(UTC) == started:
            pass  # until the clock has advanced
        ended.append(datetime.now(UTC))

    started = datetime.now(UTC)
    work()
    assert ended[0] <= kept.one().triggered_at <= datetime.now(UTC)


def test_the_span_is_that_of_the_end(kept):
    tracer = TracerProvider().get_tracer("test")

    @track_event("worked")
    def work():
        with tracer.start_as_current_span("inner"):
            pass

    with tracer.start_as_current_span("outer") as outer:
        work()
    assert kept.one().metadata["span_id"] == f"{outer.get_span_context().span_id:016x}"


def test_the_user_of_a_coroutine_is_that_of_its_end_not_of_its_call(kept):
    @track_event("worked")
    async def work(): ...

    async def main() -> None:
        with journy_track.user("caller"):
            made = work()
        with journy_track.user("awaiter"):
            await made

    asyncio.run(main())
    assert kept.users() == ["awaiter"]


# ── Which metadata wins ──────────────────────────────────────────────────────────────────────────────────


def test_each_source_of_metadata_wins_over_the_one_before():
    items: list[journy_track.Event] = []
    tracker = journy_track.configure(
        "test-key-0123456789",
        before_send=items.append,
        metadata=dict.fromkeys(["configured", "scope", "block", "capture", "option"], "configured"),
    )

    @track_event("worked", capture=("capture", "option"), metadata={"option": "option"})
    def work(capture: str, option: str) -> None: ...

    with journy_track.scope():
        journy_track.set_user("jane")
        journy_track.add_metadata(dict.fromkeys(["scope", "block", "capture", "option"], "scope"))
        with journy_track.metadata(dict.fromkeys(["block", "capture", "option"], "block")):
            work("capture", "capture")
    assert tracker.flush(timeout=5)
    names = ["configured", "scope", "block", "capture", "option"]
    assert items[0].metadata == {name: name for name in names}


def test_metadata_of_a_function_wins_over_capture(kept):
    @track_event("worked", capture=("plan", "seats"), metadata=lambda call: {"plan": "option"})
    def work(plan: str, seats: int) -> None: ...

    work("argument", 3)
    assert kept.one().metadata == {"plan": "option", "seats": 3}


MINE = {"trace_id": "mine", "span_id": "mine", "duration_ms": "mine", "error_type": "mine"}


@pytest.mark.parametrize(
    ("option", "context"),
    [(MINE, {}), (lambda call: MINE, {}), (None, MINE)],
    ids=["option", "function", "context"],
)
def test_automatic_keys_never_overwrite(option, context, kept):
    @track_event("worked", duration=True, on="always", metadata=option)
    def work():
        raise KeyError

    span = TracerProvider().get_tracer("test").start_as_current_span("span")
    with span, journy_track.metadata(context), pytest.raises(KeyError):
        work()
    assert kept.one().metadata == MINE


def test_a_mapping_is_copied_where_the_function_is_decorated(kept):
    mine = {"plan": "pro"}

    @track_event("worked", metadata=mine)
    def work(): ...

    mine["plan"] = "changed later"
    work()
    assert kept.one().metadata == {"plan": "pro"}
