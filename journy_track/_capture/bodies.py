"""Bodies that are suspended and resumed: each keeps its own context, and gives back the consumer's.

A generator shares the context of whoever resumes it. An identity set in its body would reach the consumer at
each yield, and closing it from elsewhere would change that context. So a decorated generator runs its body in
a frame of its own, swapped in at each resume and out at each yield.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import CoroutineType, GeneratorType
from typing import Any, Protocol

from journy_track._capture.context import BOTTOM, Change, Frame, current_frame, enter, leave, set_frame

#: Called in the body's own context when it has ended: its result and what it raised.
Finish = Callable[[Any, BaseException | None], None]

NOTHING = Change()


class Body:
    """The context of one suspended body. Changes each time the body changes it.

    *change* is what holds in the `with` block that the body stands for, where `contextlib` resumes it: `NOTHING`, or
    what a block changes. `None`: it keeps its context to itself there, too.
    """

    __slots__ = ("change", "frame")

    def __init__(self, frame: Frame, change: Change | None = None) -> None:
        self.frame = frame
        self.change = change

    def opened(self, finish: Finish | None) -> tuple[Stepping, Finish | None]:
        """This body, and what is to be called at its end, where the `with` block's context is to be the body's."""
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
        """Run *resume* in the body's context, then put back the consumer's. Sets nothing where both are the same."""
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
    """The body of a `with` block: each of its steps runs in the context of whoever resumes it, and may change it."""

    __slots__ = ()

    def step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        return resume(*arguments)


_SHARED = _Shared(BOTTOM)


def _is_a_with_block(resumed_from: Any) -> bool:
    """Whether *resumed_from* is `contextlib`, which resumes a body to enter a `with` block."""
    while resumed_from is not None and resumed_from.f_globals is _OURS:  # one driver within another
        resumed_from = resumed_from.f_back
    return resumed_from is not None and resumed_from.f_globals is _CONTEXTLIB


_OURS = globals()
_CONTEXTLIB = vars(contextlib)


def driven(iterator: Any, body: Stepping, finish: Finish | None = None) -> Generator[Any, Any, Any]:
    """*iterator* (a generator, or what `await` drives), each of its steps in *body*."""
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
    """A coroutine that another one stands for: closed when this is collected, so that only the outer one warns that
    it was never awaited.
    """

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine

    def __del__(self) -> None:
        if type(self.coroutine) is CoroutineType:
            self.coroutine.close()


class Stepping(Protocol):
    """What each step of something that is suspended runs in: a `Body`, or who watches."""

    def step(self, resume: Callable[..., Any], *arguments: Any) -> Any: ...

    def opened(self, finish: Finish | None) -> tuple[Stepping, Finish | None]: ...


class Steps:
    """Awaits *awaitable* with each of its steps in *body*."""

    __slots__ = ("_awaitable", "_body")

    def __init__(self, awaitable: Awaitable[Any], body: Stepping) -> None:
        self._awaitable = awaitable
        self._body = body

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaitable
        # What is beneath @types.coroutine is awaited, and has no __await__: it is its own iterator.
        return driven(steps if isinstance(steps, GeneratorType) else steps.__await__(), self._body)


async def driven_async(
    generator: AsyncGenerator[Any, Any], body: Stepping, finish: Finish | None = None
) -> AsyncGenerator[Any, Any]:
    """*generator*, each of its steps in *body*."""
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
    """The first step, unseen by the event loop: else it would close the inner generator as well as the outer one."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
