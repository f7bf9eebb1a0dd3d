"""Running code around the calls of a function of any kind, as a decorator does."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from journy_track._capture.bodies import NOTHING, Body, Finish, QuietCoroutine, Stepping, driven, driven_async
from journy_track._capture.context import live_frame
from journy_track._capture.functions import F, kind_of, named_like, substitute
from journy_track._capture.results import ENDED, Goes, how_it_goes_on, when_done


def decorated(function: F, around: Around) -> F:
    """Wrap *function* so that *around* runs around each of its calls.

    A Python function is replaced by another Python function. For a `classmethod` and the like, the function inside is
    decorated. Any other callable gets a transparent proxy; on interpreters other than CPython, so do coroutine
    functions and generator functions.
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
    """Copy the attributes that were set on *original* to *made*."""
    for name, value in vars(original).items():
        vars(made).setdefault(name, value)
    return made


class Invocation:
    """The code around one call of a decorated function. This base class adds nothing."""

    __slots__ = ()

    #: The kinds of result that continue the call after the function has returned.
    follows: ClassVar[frozenset[Goes]] = frozenset(Goes)

    #: Called with the result and the exception when the call has ended; `None`: nothing is called.
    finish: Finish | None = None

    def made(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Call *function*. A coroutine function or generator function returns an object that has yet to run."""
        return function(*args, **kwargs)

    def run(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Run a plain function from start to end."""
        return self.made(function, args, kwargs)

    async def awaited(self, quiet: QuietCoroutine) -> Any:
        """Run a coroutine from start to end. The caller does not call `finish` in addition."""
        return await quiet.coroutine

    def body(self) -> Stepping:
        """The body in which each step of a generator runs."""
        return Body(live_frame(), NOTHING)


_NOTHING_AROUND = Invocation()


class Around(Invocation):
    """The code around every call of one function, with one method for each kind of function.

    Each of these methods receives the function and the arguments of the call, and returns what the caller gets.
    Instances must be picklable, for tools that pickle functions by value, such as cloudpickle.
    """

    __slots__ = ()

    def begin(self, function: Any, args: Any, kwargs: Any) -> Invocation | None:
        """The `Invocation` for this call; by default the same for every call. `None`: add nothing to this call."""
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
        # Even if nothing runs around it, the body keeps its own context.
        call = self.begin(function, args, kwargs) or _NOTHING_AROUND
        return named_like(driven(call.made(function, args, kwargs), call.body(), call.finish), function)

    def async_generator(self, function: Any, args: Any, kwargs: Any) -> Any:
        call = self.begin(function, args, kwargs) or _NOTHING_AROUND
        return named_like(driven_async(call.made(function, args, kwargs), call.body(), call.finish), function)

    def going_on(self, goes: Goes, result: Any, function: Any, call: Invocation) -> Any:
        """What the caller gets in place of *result*, when *call* continues after the function has returned."""
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
        # The caller gets the same context manager object. Used as a decorator, it creates a new one for each call:
        # each of those counts as a separate call.
        made_by = result.func
        if goes is Goes.BLOCK:
            result.gen = driven(result.gen, call.body(), call.finish)
            result.func = lambda *args, **kwargs: self.generator(made_by, args, kwargs)
        else:
            result.gen = driven_async(result.gen, call.body(), call.finish)
            result.func = lambda *args, **kwargs: self.async_generator(made_by, args, kwargs)
        return result
