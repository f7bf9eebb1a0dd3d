"""Decorated generators that `contextlib` turns into context managers: the block runs in the body's context."""

from __future__ import annotations

import asyncio
import contextlib
import inspect

import pytest

import journy_track
from journy_track import track_event

tracked = track_event("impersonated", user="admin", on="always")
as_u2 = journy_track.user("u2")

SYNC = {
    "below": lambda decorate, body: contextlib.contextmanager(decorate(body)),
    "above": lambda decorate, body: decorate(contextlib.contextmanager(body)),
}
ASYNC = {
    "below": lambda decorate, body: contextlib.asynccontextmanager(decorate(body)),
    "above": lambda decorate, body: decorate(contextlib.asynccontextmanager(body)),
}
PLACES = pytest.mark.parametrize("place", ["below", "above"])


def acting_as(user):
    with journy_track.user(user):
        yield user


async def acting_as_later(user):
    with journy_track.user(user):
        await asyncio.sleep(0)
        yield user


def who(kept):
    return [(event.name, event.user.user_id) for event in kept()]


@PLACES
def test_the_block_acts_as_the_body_sets_and_ends_with_its_event(place, kept, whoami):
    impersonate = SYNC[place](tracked, acting_as)
    with journy_track.user("admin"):
        with impersonate("u1") as user:
            assert (user, whoami()) == ("u1", "u1")
            journy_track.track("deleted_project")
        assert whoami() == "admin"
    assert who(kept) == [("deleted_project", "u1"), ("impersonated", "admin")]


@PLACES
def test_the_async_block_acts_as_the_body_sets_and_ends_with_its_event(place, kept, whoami):
    impersonate = ASYNC[place](tracked, acting_as_later)

    async def main():
        with journy_track.user("admin"):
            async with impersonate("u1") as user:
                assert (user, whoami()) == ("u1", "u1")
                journy_track.track("deleted_project")
            assert whoami() == "admin"

    asyncio.run(main())
    assert who(kept) == [("deleted_project", "u1"), ("impersonated", "admin")]


@PLACES
def test_what_the_block_raises_is_the_outcome(place, kept):
    impersonate = SYNC[place](tracked, acting_as)
    later = ASYNC[place](tracked, acting_as_later)

    async def main():
        async with later("u1"):
            raise LookupError

    with pytest.raises(LookupError), impersonate("u1"):
        raise LookupError
    with pytest.raises(LookupError):
        asyncio.run(main())
    assert [event.metadata for event in kept()] == [{"error_type": "LookupError"}] * 2


@pytest.mark.parametrize("error", [StopIteration("mine"), StopAsyncIteration("mine"), RuntimeError("mine")])
def test_what_leaves_the_block_is_the_same_object(error, kept):
    seen = []

    async def main():
        try:
            async with ASYNC["below"](tracked, acting_as_later)("u1"):
                raise error
        except type(error) as raised:
            seen.append(raised)

    with pytest.raises(type(error)) as raised, SYNC["below"](tracked, acting_as)("u1"):
        raise error
    asyncio.run(main())
    assert raised.value is seen[0] is error


@PLACES
def test_a_blocks_decorator_holds_in_the_with_block(place, kept, whoami):
    def body():
        yield whoami()

    async def later():
        yield whoami()

    async def main():
        async with ASYNC[place](as_u2, later)() as user:
            assert (user, whoami()) == ("u2", "u2")
        assert whoami() is None

    with SYNC[place](as_u2, body)() as user:
        assert (user, whoami()) == ("u2", "u2")
    assert whoami() is None
    asyncio.run(main())


@PLACES
def test_decorators_of_ours_may_be_stacked(place, kept, whoami):
    stacked = SYNC[place](
        lambda body: as_u2(track_event("ended")(journy_track.metadata(plan="pro")(body))), acting_as
    )
    with stacked("u1"):
        journy_track.track("inside")
    assert [(event.name, event.user.user_id, dict(event.metadata)) for event in kept()] == [
        ("inside", "u1", {"plan": "pro"}),
        ("ended", "u2", {}),
    ]


@PLACES
def test_used_as_a_decorator_each_call_is_a_block_of_its_own(place, kept, whoami):
    @SYNC[place](tracked, acting_as)("u1")
    def work():
        journy_track.track("worked")
        return whoami()

    assert [work(), work()] == ["u1", "u1"]
    assert who(kept) == 2 * [("worked", "u1"), ("impersonated", "admin")]


def test_what_is_returned_is_the_context_manager_itself(kept):
    made = []

    def make(user):
        made.append(contextlib.contextmanager(acting_as)(user))
        return made[-1]

    manager = tracked(make)("u1")
    assert manager is made[0]
    with manager:
        assert kept() == []
    assert kept.names() == ["impersonated"]


def test_a_block_that_is_never_entered_emits_nothing(kept):
    SYNC["above"](tracked, acting_as)("u1")
    SYNC["below"](tracked, acting_as)("u1")
    assert kept() == []


@pytest.mark.parametrize("decorate", [tracked, as_u2, journy_track.scope()])
def test_a_loop_within_a_block_keeps_the_generators_context_to_itself(decorate, whoami):
    @contextlib.contextmanager
    def first(rows):
        for row in rows:  # noqa: UP028 - a loop is what is tested
            yield row

    rows = decorate(acting_as)("u1")
    with journy_track.user("consumer"), first(rows) as user:
        assert (user, whoami()) == ("u1", "consumer")


def test_a_context_manager_of_in_context_keeps_its_own(whoami):
    def body():
        yield whoami()

    with journy_track.user("then"):
        carried = contextlib.contextmanager(journy_track.in_context(body))
    with journy_track.user("now"), carried() as user:
        assert (user, whoami()) == ("then", "now")


def test_its_signature_and_kind_stay(kept):
    above = SYNC["above"](tracked, acting_as)
    assert list(inspect.signature(above).parameters) == ["user"]
    assert not inspect.isgeneratorfunction(above)
