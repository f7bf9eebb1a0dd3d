"""What a decorator does around the calls of a function, whatever kind of function that is."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from journy_track._capture.bodies import NOTHING, Body, Finish, QuietCoroutine, Stepping, driven, driven_async
from journy_track._capture.context import live_frame
from journy_track._capture.functions import F, kind_of, named_like, substitute
from journy_track._capture.results import ENDED, Goes, how_it_goes_on, when_done


def decorated(function: F, around: Around) -> F:
    """*function*, with *around* around each of its calls.

    A Python function becomes another one. What `classmethod` and its like hold is decorated inside of them. All else
    that can be called gets a transparent proxy; on other interpreters than CPython, so do coroutine functions and
    generator functions.
    """
    thing: Any = function
    made: Any
    if isinstance(thing, (classmethod, staticmethod)):
        made = _with_attributes(type(thing)(decorated(thing.__func__, around)), thing)
    elif isinstance(thing, functools.partialmethod):
        inner = decorated(thing.func, around)
        made = _with_attributes(type(thing)(inner, *thing.args, **thing.keywords), thing)
    else:
        made = substitute(thing, getattr(around, kind_of(thing).name.lower()))
    return made  # type: ignore[no-any-return]  # of the same type as what it stands for


def _with_attributes(made: Any, original: Any) -> Any:
    """*made*, with the attributes that were set on *original*."""
    for name, value in vars(original).items():
        vars(made).setdefault(name, value)
    return made


class Invocation:
    """What is done around one call of a decorated function. By itself: nothing."""

    __slots__ = ()

    #: How a result may go on so that the call has not ended with it.
    follows: ClassVar[frozenset[Goes]] = frozenset(Goes)

    #: What is called when the call has ended, with its result and what it raised: a method, or nothing.
    finish: Finish | None = None

    def made(self, function: Any, args: Any, kwargs: Any) -> Any:
        """What the call returns: of a coroutine function or a generator function, what has still to run."""
        return function(*args, **kwargs)

    def run(self, function: Any, args: Any, kwargs: Any) -> Any:
        """The call of a plain function, from its start to its end."""
        return self.made(function, args, kwargs)

    async def awaited(self, quiet: QuietCoroutine) -> Any:
        """A coroutine, from its start to its end. `finish` is not called besides."""
        return await quiet.coroutine

    def body(self) -> Stepping:
        """What each step of a generator runs in."""
        return Body(live_frame(), NOTHING)


_NOTHING_AROUND = Invocation()


class Around(Invocation):
    """What a decorator does around every call of one function. Each kind of function is written here, and once.

    Each gets the function with the arguments of the call, and returns what the caller gets. To be pickled by value
    (as cloudpickle does), it has to be an object that can be pickled.
    """

    __slots__ = ()

    def begin(self, function: Any, args: Any, kwargs: Any) -> Invocation | None:
        """What is done around this call: by itself, the same around each. `None`: nothing, this time."""
        return self

    def plain(self, function: Any, args: Any, kwargs: Any) -> Any:
        call = self.begin(function, args, kwargs)
        if call is None:
            return function(*args, **kwargs)
        finish = call.finish
        try:
            result = call.run(function, args, kwargs)
        except BaseException as error:
            if finish is not None:
                finish(None, error)
            raise
        if id(type(result)) not in ENDED:
            goes = how_it_goes_on(result, function)
            if goes is not None and goes in call.follows:
                return self.going_on(goes, result, function, call)
        if finish is not None:
            finish(result, None)
        return result

    def coroutine(self, function: Any, args: Any, kwargs: Any) -> Any:
        call = self.begin(function, args, kwargs)
        if call is None:
            return function(*args, **kwargs)
        return named_like(call.awaited(QuietCoroutine(call.made(function, args, kwargs))), function)

    def generator(self, function: Any, args: Any, kwargs: Any) -> Any:
        # Also where nothing is done around it, the body keeps its context to itself.
        call = self.begin(function, args, kwargs) or _NOTHING_AROUND
        return named_like(driven(call.made(function, args, kwargs), call.body(), call.finish), function)

    def async_generator(self, function: Any, args: Any, kwargs: Any) -> Any:
        call = self.begin(function, args, kwargs) or _NOTHING_AROUND
        return named_like(driven_async(call.made(function, args, kwargs), call.body(), call.finish), function)

    def going_on(self, goes: Goes, result: Any, function: Any, call: Invocation) -> Any:
        """What the caller gets in place of *result*, with which *call* has not ended."""
        if goes is Goes.COROUTINE:
            return named_like(call.awaited(QuietCoroutine(result)), function)
        if goes is Goes.GENERATOR:
            return named_like(driven(result, call.body(), call.finish), function)
        if goes is Goes.ASYNC_GENERATOR:
            return named_like(driven_async(result, call.body(), call.finish), function)
        if goes is Goes.FUTURE:
            if call.finish is not None:
                when_done(result, call.finish)
            return result
        # A context manager stays the object that it is. Used as a decorator it makes another of itself for each call:
        # those are each a call of their own.
        made_by = result.func
        if goes is Goes.BLOCK:
            result.gen = driven(result.gen, call.body(), call.finish)
            result.func = lambda *args, **kwargs: self.generator(made_by, args, kwargs)
        else:
            result.gen = driven_async(result.gen, call.body(), call.finish)
            result.func = lambda *args, **kwargs: self.async_generator(made_by, args, kwargs)
        return result
