"""Bodies that are suspended and resumed: each keeps its own context and restores the consumer's.

A generator shares the context of the code that resumes it. An identity set in its body would leak to the consumer at
each yield, and closing it from elsewhere would change that code's context. So a decorated generator runs its body in
its own frame, swapped in at each resume and out at each yield.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import CoroutineType, GeneratorType
from typing import Any, Protocol

from journy_track._capture.context import BOTTOM, Change, Frame, current_frame, enter, leave, set_frame

#: Called in the body's own context when it has ended, with its result and the exception that it raised.
Finish = Callable[[Any, BaseException | None], None]

NOTHING = Change()


class Body:
    """The context of one suspended body, updated whenever the body changes it.

    *change* applies if `contextlib` resumes the body, which then implements a `with` block: it is the change of the
    context in that block, or `NOTHING`. With `None`, the body keeps its own context there, too.
    """

    __slots__ = ("change", "frame")

    def __init__(self, frame: Frame, change: Change | None = None) -> None:
        self.frame = frame
        self.change = change

    def opened(self, finish: Finish | None) -> tuple[Stepping, Finish | None]:
        """The body and the finisher to use if the body implements a `with` block, which shares its context."""
        change = self.change
        if change is None:
            return self, finish
        if change is NOTHING:
            return _SHARED, finish
        entry = enter(change)

        def left(result: Any, error: BaseException | None) -> None:
            leave(entry)
            if finish is not None:
                finish(result, error)

        return _SHARED, left

    def step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        """Run *resume* in the body's context, then restore the consumer's. Sets nothing if both are the same."""
        consumer = current_frame()
        if self.frame is not consumer:
            set_frame(self.frame)
        try:
            return resume(*arguments)
        finally:
            self.frame = frame = current_frame()
            if frame is not consumer:
                set_frame(consumer)


class _Shared(Body):
    """The body of a `with` block: each step runs in the context of the code that resumes it, and may change it."""

    __slots__ = ()

    def step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        return resume(*arguments)


_SHARED = _Shared(BOTTOM)


def _is_a_with_block(resumed_from: Any) -> bool:
    """Whether *resumed_from* is `contextlib`, which resumes a body to enter a `with` block."""
    while resumed_from is not None and resumed_from.f_globals is _OURS:  # nested drivers
        resumed_from = resumed_from.f_back
    return resumed_from is not None and resumed_from.f_globals is _CONTEXTLIB


_OURS = globals()
_CONTEXTLIB = vars(contextlib)


def driven(iterator: Any, body: Stepping, finish: Finish | None = None) -> Generator[Any, Any, Any]:
    """Run *iterator* (a generator, or an awaitable's iterator) with each of its steps in *body*."""
    if _is_a_with_block(sys._getframe().f_back):
        body, finish = body.opened(finish)
    resume, argument = iterator.send, None
    closed: BaseException | None = None
    while True:
        try:
            value = body.step(resume, argument)
            closed = None
        except StopIteration as stop:
            if finish is not None:
                body.step(finish, stop.value, closed)
            return stop.value
        except BaseException as error:
            if finish is not None:
                body.step(finish, None, error)
            raise
        try:
            argument = yield value
            resume = iterator.send
        except GeneratorExit as error:
            closed = error
            resume, argument = iterator.throw, error
        except BaseException as error:  # noqa: BLE001 - thrown into the body, which decides
            resume, argument = iterator.throw, error


class QuietCoroutine:
    """A coroutine that is wrapped in another one.

    It is closed when this object is collected, so that only the outer coroutine warns that it was never awaited.
    """

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine

    def __del__(self) -> None:
        if type(self.coroutine) is CoroutineType:
            self.coroutine.close()


class Stepping(Protocol):
    """Runs each step of a suspended body: a `Body`, or a watcher of arguments."""

    def step(self, resume: Callable[..., Any], *arguments: Any) -> Any: ...

    def opened(self, finish: Finish | None) -> tuple[Stepping, Finish | None]: ...


class Steps:
    """Awaits *awaitable*, running each of its steps in *body*."""

    __slots__ = ("_awaitable", "_body")

    def __init__(self, awaitable: Awaitable[Any], body: Stepping) -> None:
        self._awaitable = awaitable
        self._body = body

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaitable
        # A generator from @types.coroutine can be awaited but has no __await__: it is its own iterator.
        return driven(steps if isinstance(steps, GeneratorType) else steps.__await__(), self._body)


async def driven_async(
    generator: AsyncGenerator[Any, Any], body: Stepping, finish: Finish | None = None
) -> AsyncGenerator[Any, Any]:
    """Run *generator* with each of its steps in *body*."""
    if _is_a_with_block(sys._getframe().f_back):
        body, finish = body.opened(finish)
    step: Awaitable[Any] = _first_step(generator)
    closed: BaseException | None = None
    while True:
        try:
            value = await Steps(step, body)
            closed = None
        except StopAsyncIteration:
            if finish is not None:
                body.step(finish, None, closed)
            return
        except BaseException as error:
            if finish is not None:
                body.step(finish, None, error)
            raise
        try:
            step = generator.asend((yield value))
        except GeneratorExit as error:
            closed = error
            step = generator.athrow(error)
        except BaseException as error:  # noqa: BLE001 - thrown into the body, which decides
            step = generator.athrow(error)


def _first_step(generator: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """The first step, hidden from the event loop, which would otherwise close the inner generator, too."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
