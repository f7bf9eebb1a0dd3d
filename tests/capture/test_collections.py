"""Garbage collections that interrupt Python while it sets or copies the variables of a context."""

from __future__ import annotations

import contextvars
import gc
import sys
import types
import weakref
from typing import Any

import pytest

import journy_track

variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")


@journy_track.user("jane")
def decorated():
    yield


def block():
    with journy_track.user("jane"):
        yield


@journy_track.user("jane")
async def coroutine():
    await types.coroutine(lambda: (yield))()


class Resource:
    @journy_track.user("jane")
    def close(self):
        pass

    def __del__(self):
        self.close()


def begun(generator):
    generator.send(None)
    return generator


@pytest.fixture(
    params=[lambda: begun(decorated()), lambda: begun(block()), lambda: begun(coroutine()), Resource],
    ids=["decorated generator", "block in a generator", "decorated coroutine", "decorated function in __del__"],
)
def abandoned(request):
    """Leaves a cycle to the garbage collector that sets one of the library's variables when it is collected."""

    def abandon() -> None:
        cycle = [request.param()]
        cycle.append(cycle)

    return abandon


def variables() -> Any:
    """Return the object that holds the variables of a context. Python replaces it when one of them is set."""
    return gc.get_referents(contextvars.copy_context())[0]


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="since Python 3.12, no collection interrupts a set or a copy")
def test_the_variables_that_an_interrupted_set_reads_outlive_the_collection(abandoned):
    """https://github.com/python/cpython/issues/148891: otherwise the interrupted set reads freed memory."""
    seen = []

    def see(phase: str, info: dict[str, int]) -> None:
        seen.append(weakref.ref(variables()) if phase == "start" else (seen[-1](), variables()))

    abandoned()
    gc.callbacks.append(see)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(see)
    before, after = seen[-1]
    assert before is not None
    assert after is not before, "nothing was set in this collection"


def test_a_program_that_abandons_decorated_generators_does_not_crash(run_program):
    ran = run_program("""
        import gc
        import journy_track

        @journy_track.user("reader")
        def numbers():
            yield from range(10_000)

        def abandon():
            generator = numbers()
            next(generator)
            cycle = [generator]
            cycle.append(cycle)

        for threshold in (1, 2, 7, 11, 50):
            gc.set_threshold(threshold)
            for number in numbers():
                if number % 7 == 0:
                    abandon()
        print("done")
    """)
    assert (ran.status, ran.out, ran.err) == (0, "done\n", "")


class Value:
    """The value of a variable."""


def context_with_a_value() -> tuple[contextvars.Context, weakref.ref[Value]]:
    context, value = contextvars.copy_context(), Value()
    context.run(variable.set, value)
    return context, weakref.ref(value)


@pytest.mark.slow
def test_a_collection_keeps_no_context_alive():
    context, value = context_with_a_value()
    context.run(gc.collect)
    del context
    assert value() is None


@pytest.mark.slow
def test_a_collection_in_which_a_variable_was_set_keeps_the_context_until_the_next_one(abandoned):
    context, value = context_with_a_value()
    abandoned()
    context.run(gc.collect)
    del context
    gc.collect()
    assert value() is None
