"""Where code flags decide what a call creates, as on PyPy: only code from the compiler has such flags."""

from __future__ import annotations

import inspect
import sys

import pytest

from journy_track import track_event

MAKES_SOMETHING = (
    inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
)


@pytest.fixture(autouse=True)
def _another_interpreter(monkeypatch):
    monkeypatch.setattr(sys.implementation, "name", "pypy")


async def coroutine(plan): ...


def generator(plan):
    yield plan


async def async_generator(plan):
    yield plan


@pytest.mark.parametrize("function", [coroutine, generator, async_generator])
def test_code_that_makes_something_is_the_code_of_the_function(function):
    decorated = track_event("worked")(function)
    assert decorated is not function
    assert decorated.__code__ is function.__code__
    for kind_of in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert kind_of(decorated) == kind_of(function), kind_of.__name__


def test_a_plain_function_gets_code_that_makes_nothing():
    decorated = track_event("worked")(lambda plan: plan)
    assert type(decorated) is type(lambda: None)
    assert not decorated.__code__.co_flags & MAKES_SOMETHING


@pytest.mark.parametrize("arguments", [{}, {"seats": 5}])
def test_the_arguments_of_every_kind_have_their_names(kind, kept, arguments):
    changed = kind(track_event("changed_plan", user="jane", capture=("plan", "seats")))
    assert changed("pro", **arguments) == "PRO"
    assert kept.one().metadata == {"plan": "pro", "seats": 3, **arguments}


def test_the_code_of_no_stand_in_makes_something(monkeypatch):
    """This includes stand-ins that only reorder arguments."""
    from journy_track._capture.signatures import named
    from journy_track._capture.stand_ins import stand_in

    assert named(generator, ("pro",), {}, in_order=False) == {"plan": "pro"}
    assert not stand_in(generator, print).__code__.co_flags & MAKES_SOMETHING
