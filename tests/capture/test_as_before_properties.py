"""For any arguments, result and exception, a decorated function behaves like the bare one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import journy_track
from journy_track import in_context, track_event

pytestmark = pytest.mark.slow

quickly = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

names = st.sampled_from(["self", "cls", "wrapped", "instance", "args", "kwargs", "name", "user", "plan", "a b", ""])
objects = st.builds(object) | st.none() | st.integers() | st.text() | st.lists(st.floats()) | st.builds(dict)
arguments = st.tuples(st.lists(objects, max_size=4), st.dictionaries(names, objects, max_size=4))
exceptions = st.sampled_from(
    [
        *(ValueError, KeyError, OSError, StopIteration, StopAsyncIteration, RuntimeError, TypeError, AttributeError),
        *(asyncio.CancelledError, SystemExit, GeneratorExit, ExceptionGroup),
    ]
).map(lambda kind: kind("group", [ValueError()]) if kind is ExceptionGroup else kind("mine"))
endings = st.tuples(st.just("returns"), objects) | st.tuples(st.just("raises"), exceptions)
decorators = st.sampled_from(
    [
        track_event("worked"),
        track_event("worked", on="always", duration=True),
        track_event("worked", on="always", metadata=lambda call: {"n": len(call.arguments)}, when=lambda call: True),
        track_event("worked", on="error", user=lambda call: call.exception, capture=("plan",)),
        journy_track.user("jane"),
        journy_track.scope(inherit=True),
        in_context,
    ]
)


class Body:
    """A function body that ends in a given way, and records the arguments it was called with."""

    def __init__(self, how: str, what: Any) -> None:
        self.how = how
        self.what = what
        self.called: Any = None

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.called = (args, kwargs)
        if self.how == "raises":
            raise self.what
        return self.what


def outcome(run: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "returns", run()
    except BaseException as error:
        return "raises", error


def check(body: Body, args: list[Any], kwargs: dict[str, Any], got: tuple[str, Any], how: str, what: Any) -> None:
    assert got[0] == how
    assert got[1] is what
    assert [id(argument) for argument in body.called[0]] == [id(argument) for argument in args]
    assert {key: id(value) for key, value in body.called[1].items()} == {k: id(v) for k, v in kwargs.items()}


@pytest.mark.parametrize("configured", [True, False])
@quickly
@given(decorate=decorators, given_=arguments, ending=endings)
def test_a_function(request, configured, decorate, given_, ending):
    _ = configured and request.getfixturevalue("kept")
    body, (args, kwargs) = Body(*ending), given_

    @decorate
    def work(*args: Any, **kwargs: Any) -> Any:
        return body(args, kwargs)

    check(body, args, kwargs, outcome(lambda: work(*args, **kwargs)), *ending)


@pytest.mark.parametrize("configured", [True, False])
@quickly
@given(decorate=decorators, given_=arguments, ending=endings)
def test_a_coroutine_function(request, configured, decorate, given_, ending):
    _ = configured and request.getfixturevalue("kept")
    body, (args, kwargs) = Body(*ending), given_

    async def bare(*args: Any, **kwargs: Any) -> Any:
        return body(args, kwargs)

    def steps(function: Any) -> tuple[str, Any]:
        return outcome(lambda: function(*args, **kwargs).send(None))

    (expected, at_first), (how, what) = steps(bare), steps(decorate(bare))
    assert (how, type(what), str(what)) == (expected, type(at_first), str(at_first))
    if isinstance(what, StopIteration) and ending[0] == "returns":
        what = what.value
    elif type(what) is RuntimeError and what.__cause__ is not None:  # StopIteration cannot leave a coroutine
        what = what.__cause__
    check(body, args, kwargs, (ending[0], what), *ending)


@pytest.mark.parametrize("configured", [True, False])
@quickly
@given(decorate=decorators, given_=arguments, ending=endings, rows=st.lists(objects, max_size=3))
def test_a_generator_function(request, configured, decorate, given_, ending, rows):
    _ = configured and request.getfixturevalue("kept")
    body, (args, kwargs) = Body(*ending), given_

    @decorate
    def stream(*args: Any, **kwargs: Any) -> Any:
        received = []
        for row in rows:
            received.append((yield row))
        assert all(got is sent for got, sent in zip(received, rows, strict=True))
        return body(args, kwargs)

    made = stream(*args, **kwargs)
    sent: Any = None
    for row in rows:
        assert made.send(sent) is row
        sent = row
    how, what = outcome(lambda: made.send(sent))
    assert how == "raises"
    if ending[0] == "returns":
        assert type(what) is StopIteration
        what = what.value
    elif type(what) is RuntimeError and type(ending[1]) is StopIteration:
        what = what.__cause__
    check(body, args, kwargs, (ending[0], what), *ending)


@pytest.mark.parametrize("configured", [True, False])
@quickly
@given(decorate=decorators, given_=arguments, ending=endings, rows=st.lists(objects, max_size=3))
def test_an_async_generator_function(request, configured, decorate, given_, ending, rows):
    _ = configured and request.getfixturevalue("kept")
    body, (args, kwargs) = Body(*ending), given_

    @decorate
    async def stream(*args: Any, **kwargs: Any) -> Any:
        for row in rows:
            yield row
        body(args, kwargs)

    made = stream(*args, **kwargs)
    for row in rows:
        [stop] = [outcome(lambda: anext(made).send(None))[1]]
        assert stop.value is row
    how, what = outcome(lambda: anext(made).send(None))
    assert how == "raises"
    if ending[0] == "returns":
        assert type(what) is StopAsyncIteration
        what = ending[1]
    elif type(what) is RuntimeError and type(ending[1]) in (StopIteration, StopAsyncIteration):
        what = what.__cause__
    check(body, args, kwargs, (ending[0], what), *ending)
