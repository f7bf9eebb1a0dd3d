"""Identities that must not leak: generators that are suspended, closed elsewhere or abandoned.

Each test fails with the naive implementation that its docstring describes.
"""

from __future__ import annotations

import contextvars
import gc
import threading

import pytest

import journy_track


@pytest.fixture(params=["block in the body, tracked", "block in the body, scoped", "decorator"])
def rows(request, whoami):
    """A decorated generator function that holds user A while it is suspended, and yields the current user."""

    def holding():
        with journy_track.user("A"):
            while True:
                yield whoami()

    def yielding():
        while True:
            yield whoami()

    if request.param == "decorator":
        return journy_track.user("A")(yielding)
    if request.param.endswith("tracked"):
        return journy_track.track_event("listed", on="always")(holding)
    return journy_track.scope()(holding)


def test_a_suspended_generator_leaves_the_consumers_user_alone(rows, kept, whoami):
    """Naive: a plain wrapper (E1, E4): the consumer tracks as A, or the body runs without a user."""
    stream = rows()
    assert [next(stream), whoami()] == ["A", None]
    journy_track.track("as_nobody", account="acme")
    with journy_track.user("B"):
        assert [next(stream), whoami()] == ["A", "B"]
        journy_track.track("as_b")
    assert kept.users() == [None, "B"]
    stream.close()


def test_a_generator_closed_in_anothers_block_does_not_change_the_user(rows, whoami):
    """Naive: `reset(token)` (E2): B is replaced by the user before A."""
    with journy_track.user("outer"):
        stream = rows()
        next(stream)
        with journy_track.user("B"):
            stream.close()
            assert whoami() == "B"
        assert whoami() == "outer"


def test_a_generator_closed_in_another_thread_changes_neither(rows, whoami):
    """Naive: `reset(token)` raises `ValueError: token was created in a different Context`."""
    seen: list[str | None] = []
    stream = rows()
    with journy_track.user("B"):
        next(stream)

        def close() -> None:
            with journy_track.user("C"):
                stream.close()
                seen.append(whoami())

        thread = threading.Thread(target=close)
        thread.start()
        thread.join(5)
        assert [*seen, whoami()] == ["C", "B"]


def test_a_generator_resumed_in_another_thread_is_still_as_its_user(rows, whoami):
    """Naive: the identity stays in the thread that started it; the next step runs without a user."""
    stream = rows()
    seen = [next(stream)]

    def resume() -> None:
        seen.extend([next(stream), whoami()])

    thread = threading.Thread(target=resume)
    thread.start()
    thread.join(5)
    assert seen == ["A", "A", None]
    stream.close()


def test_interleaved_generators_keep_their_own_users(kept, whoami):
    """Naive: a stack: the user of the last resumed generator acts in all of them."""

    @journy_track.track_event("listed")
    def rows(user: str):
        with journy_track.user(user):
            for _ in range(3):
                journy_track.track("row", user_of_body=user)
                yield whoami()

    with journy_track.user("consumer"):
        pairs = [(a, b, whoami()) for a, b in zip(rows("A"), rows("B"), strict=True)]
    assert pairs == [("A", "B", "consumer")] * 3
    tracked = [event for event in kept() if event.name == "row"]
    assert len(tracked) == 6
    assert all(event.user.user_id == event.metadata["user_of_body"] for event in tracked)


@pytest.mark.parametrize("ending", ["returns", "raises"])
def test_a_generator_that_ends_gives_back_the_consumers_user(ending, whoami):
    """Naive: the step's context is restored only when the step yields."""

    @journy_track.track_event("listed")
    def rows():
        yield
        if ending == "raises":
            raise KeyError

    with journy_track.user("creator"):
        stream = rows()
    with journy_track.user("B"):
        next(stream)
        with pytest.raises((KeyError, StopIteration)):
            next(stream)
        assert whoami() == "B"


@pytest.mark.slow
def test_an_abandoned_generator_leaves_nothing_behind(rows, whoami):
    """Naive: the code that drops the last reference gets the user from before the generator started."""
    stream = rows()
    next(stream)
    with journy_track.user("B"):
        del stream
        gc.collect()
        assert whoami() == "B"
    assert whoami() is None


def test_what_the_body_sets_stays_in_the_body(whoami):
    """Naive: `set_user()` in a generator outside any scope affects the consumer, too."""

    @journy_track.track_event("listed")
    def rows():
        journy_track.set_user("A")
        yield whoami()
        yield whoami()

    assert [(row, whoami()) for row in rows()] == [("A", None), ("A", None)]


def test_delegating_to_a_decorated_generator_keeps_the_delegators_user(whoami):
    """Naive: `yield from` runs both in one context, and the inner user stays."""

    @journy_track.user("inner")
    def inner():
        yield whoami()
        return whoami()

    @journy_track.user("outer")
    def outer():
        result = yield from inner()
        yield result
        yield whoami()

    assert list(outer()) == ["inner", "inner", "outer"]


# ── Undecorated: the identity reaches the consumer while it is suspended, but never for longer ──────────


def holding(user: str = "A"):
    with journy_track.user(user):
        yield user


def test_undecorated_closed_in_anothers_block_neither_erases_nor_swaps_it(whoami):
    """Naive: `reset(token)` or `set(before)` (E2): B is lost."""
    stream = holding()
    next(stream)
    with journy_track.user("B"):
        stream.close()
        assert whoami() == "B"
    assert whoami() is None


def test_undecorated_closed_under_an_unrelated_context_changes_nothing_there(whoami):
    """Naive: `reset(token)` raises `ValueError: token was created in a different Context`."""
    elsewhere = contextvars.copy_context()
    stream = holding()
    next(stream)

    def close() -> str | None:
        with journy_track.user("B"):
            stream.close()
            return whoami()

    assert elsewhere.run(close) == "B"
    assert whoami() is None


def test_undecorated_closed_in_a_copy_of_its_context_ends_in_both(whoami):
    """Naive: popping the top entry: that is right in the copy, but A keeps acting here."""
    stream = holding()
    next(stream)
    copy = contextvars.copy_context()
    assert copy.run(lambda: (stream.close(), whoami())) == (None, None)
    assert whoami() is None


def test_undecorated_and_interleaved_ends_clean_in_any_order(whoami):
    """Naive: `reset(token)` out of order restores a user whose block has ended."""
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        with journy_track.user("outer"):
            streams = [holding(user) for user in "ABC"]
            for stream in streams:
                next(stream)
            for number in order:
                streams[number].close()
            assert whoami() == "outer"


def test_a_shared_block_left_elsewhere_takes_only_its_own_entry_away(whoami):
    """Naive: a block that remembers one token: the second entry overwrites the first's."""
    shared = journy_track.user("shared")

    def enter_and_leave() -> str | None:
        with shared:
            pass
        return whoami()

    with journy_track.user("B"), shared:
        contextvars.copy_context().run(enter_and_leave)
        contextvars.Context().run(enter_and_leave)
        assert whoami() == "shared"
    assert whoami() is None


def test_a_scope_left_out_of_order_takes_its_user_with_it(whoami):
    """Naive: the user of the previous request acts in the current one."""
    with journy_track.scope():
        journy_track.set_user("outer")

        def request():
            with journy_track.scope():
                journy_track.set_user("A")
                yield

        stream = request()
        next(stream)
        with journy_track.user("B"):
            stream.close()
        assert whoami() == "outer"
