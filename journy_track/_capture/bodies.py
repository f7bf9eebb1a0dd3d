"""Bodies that are suspended and resumed: each keeps its own context, and gives back the consumer's.

A generator shares the context of whoever resumes it. An identity set in its body would reach the consumer at
each yield, and closing it from elsewhere would change that context. So a decorated generator runs its body in
a frame of its own, swapped in at each resume and out at each yield.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import CoroutineType, GeneratorType
from typing import Any

from journy_track._capture.context import Frame, current_frame, set_frame

#: Called in the body's own context when it has ended: its result and what it raised.
Finish = Callable[[Any, BaseException | None], None]


class Body:
    """The context of one suspended body. Changes each time the body changes it."""

    __slots__ = ("frame",)

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        """Run *resume* in the body's context, then put back the consumer's."""
        consumer = current_frame()
        set_frame(self.frame)
        try:
            return resume(*arguments)
        finally:
            self.frame = current_frame()
            set_frame(consumer)


def driven(iterator: Any, body: Body, finish: Finish | None = None) -> Generator[Any, Any, Any]:
    """*iterator* (a generator, or what `await` drives), each of its steps in *body*."""
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


class Inner:
    """A coroutine that another one stands for. When neither is awaited, only the outer one is to warn."""

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine

    def __del__(self) -> None:
        if type(self.coroutine) is CoroutineType:
            self.coroutine.close()


class Steps:
    """Awaits *awaitable* with each of its steps in *body*."""

    __slots__ = ("_awaitable", "_body")

    def __init__(self, awaitable: Awaitable[Any], body: Body) -> None:
        self._awaitable = awaitable
        self._body = body

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaitable
        # What is beneath @types.coroutine is awaited, and has no __await__: it is its own iterator.
        return driven(steps if isinstance(steps, GeneratorType) else steps.__await__(), self._body)


async def driven_async(
    generator: AsyncGenerator[Any, Any], body: Body, finish: Finish | None = None
) -> AsyncGenerator[Any, Any]:
    """*generator*, each of its steps in *body*."""
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
    """The first step, unseen by the event loop: it would close the inner generator beside the outer one."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
