"""Any arguments to a verb or block: outside `strict`, nothing is raised, and each call is in exactly one count."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from unittest.mock import MagicMock, Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import journy_track
from journy_track import AccountIdentified, UserIdentified
from journy_track._delivery.preparing import Dropped, Preparer
from journy_track._delivery.worker import Worker
from journy_track._model.captured import Captured
from journy_track._model.notices import Notices

ERRORS = (ValueError, KeyError, RuntimeError, RecursionError, MemoryError, StopIteration, ExceptionGroup)


def raiser(error):
    def fails(self, *_, **__):
        raise error("theirs", [ValueError()]) if error is ExceptionGroup else error("theirs")

    return fails


def hostile(name, error, *bases):
    """Return an object whose method or property *name* raises."""
    method = raiser(error)
    kind = type("Hostile", bases, {name: property(method) if name == "__class__" else method})
    return kind()


def rows(error):
    yield "u1"
    raiser(error)(None)


class Mapped(Mapping):
    def __init__(self, error):
        self.error = error

    def __getitem__(self, key):
        raiser(self.error)(self)

    __iter__ = keys = items = __len__ = __getitem__


errors = st.sampled_from(ERRORS)
names = st.sampled_from(
    ["__str__", "__eq__", "__hash__", "__bool__", "__class__", "__iter__", "__len__", "__index__", "__getattr__"]
)
SINGLES = [object(), object, print, UserIdentified("u2"), AccountIdentified("a2"), UserIdentified]
#: Functions that create a value, since hypothesis itself must not touch values that raise.
recipes = st.one_of(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3)),
        *(st.datetimes(), st.sampled_from(SINGLES), st.lists(st.text(max_size=2) | st.none(), max_size=3)),
        st.dictionaries(st.text(max_size=2), st.integers() | st.text(max_size=2), max_size=2),
    ).map(lambda value: lambda: value),
    st.tuples(names, errors).map(lambda how: lambda: hostile(*how)),
    errors.map(lambda error: lambda: hostile("__str__", error, str)),
    errors.map(lambda error: lambda: rows(error)),
    errors.map(lambda error: lambda: Mapped(error)),
    st.sampled_from([MagicMock, lambda: Mock(spec=UserIdentified), lambda: MagicMock(spec=str)]),
)
OPTIONS = {
    "track": ("user", "account", "happened_at", "after_commit", "plan"),
    "upsert_user": ("user", "user_id", "email", "after_commit", "plan"),
    "upsert_account": ("account", "account_id", "domain", "after_commit", "plan"),
    "link": ("user", "after_commit"),
    "delete_user": ("after_commit",),
    "delete_account": ("after_commit",),
    "add_users_to_account": ("after_commit",),
    "remove_users_from_account": ("after_commit",),
}
#: The number of positional arguments.
POSITIONS = {"track": 2, "add_users_to_account": 2, "remove_users_from_account": 2}
EMPTY = ("link", "add_users_to_account", "remove_users_from_account")
quickly = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def count(monkeypatch):
    """Returns how many items were captured since the last call, each in exactly one count.

    Queued items are prepared here and not by the worker: a concurrent thread would disturb hypothesis.
    """
    monkeypatch.setattr(Worker, "start", lambda self: self._queue.with_worker())
    tracker = journy_track.configure("a-key", base_url="http://127.0.0.1:9", strict=False, shutdown_timeout=0)
    queue, preparer = tracker.recorder.queue, Preparer(tracker.config, Notices())
    refused = 0

    def since() -> int:
        nonlocal refused
        taken = 0
        while (captured := queue.take()) is not None:
            taken += 1
            with suppress(Dropped):
                preparer.prepare(Captured(*captured)).body()
        before, refused = refused, sum(queue.refused().values())
        return taken + refused - before

    return since


@pytest.mark.slow
@pytest.mark.parametrize("verb", list(OPTIONS))
@quickly
@given(data=st.data())
def test_a_verb_never_raises_and_counts_once(count, verb, data):
    positional = data.draw(st.tuples(*[recipes] * POSITIONS.get(verb, 1)))
    options = data.draw(st.dictionaries(st.sampled_from(OPTIONS[verb]), recipes))
    with journy_track.user("admin") if data.draw(st.booleans()) else ExitStack():
        made = getattr(journy_track, verb)(
            *(make() for make in positional), **{k: make() for k, make in options.items()}
        )
    assert made is None
    made = count()
    assert made == 1 or (made == 0 and verb in EMPTY)


@pytest.mark.slow
@pytest.mark.parametrize("block", ["user", "account", "metadata", "set_user", "set_account", "add_metadata"])
@quickly
@given(data=st.data())
def test_a_block_never_raises_and_is_left_as_it_was_entered(count, block, data):
    beside = {"user": "email", "set_user": "email", "account": "domain", "set_account": "domain"}.get(block, "plan")
    options = {beside: data.draw(recipes)()} if data.draw(st.booleans()) else {}
    with journy_track.scope():
        made = getattr(journy_track, block)(data.draw(recipes)(), **options)
        with made or ExitStack():
            journy_track.track("went_on", account="acme")
    assert journy_track.current_context() == journy_track.Context()
    assert count() == 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_interrupts_the_app_passes(count, interruption):
    with pytest.raises(interruption):
        journy_track.add_users_to_account("acme", rows(interruption))
    with pytest.raises(interruption):
        journy_track.track("invited", user=hostile("__str__", interruption))
