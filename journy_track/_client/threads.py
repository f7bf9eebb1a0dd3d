"""Threads that make requests for coroutines, and how a coroutine waits for one of them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

from journy_track._capture.context import INTERNAL, set_frame

T = TypeVar("T")
Work = tuple["Future[Any]", Callable[[], Any]]

#: Seconds after which an idle thread ends.
IDLE = 10.0


class NoThread(Exception):
    """The system has no more threads, or the interpreter shuts down."""


class Threads:
    """Up to *limit* daemon threads that run what they are handed, in order. They start when needed, and end idle."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[Work] = deque()
        self._idle = 0
        self._running = 0
        self._closed = False

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Have *function* run in a thread. The future raises `NoThread` where the system has none for it."""
        future: Future[T] = Future()
        with self._changed:
            self._waiting.append((future, function))
            if len(self._waiting) <= self._idle or self._running >= self._limit:
                self._changed.notify()
                return future
            self._running += 1
        try:
            # In an empty context: the threads outlive the request in which they start, and belong to no trace.
            run = Context().run
            threading.Thread(target=run, args=(self._run,), name="journy_track client", daemon=True).start()
        except RuntimeError:
            self._not_started()
        return future

    def _not_started(self) -> None:
        with self._changed:
            self._running -= 1
            if self._running:  # they come to it
                return
            lost = list(self._waiting)
            self._waiting.clear()
        for future, _ in lost:
            if future.set_running_or_notify_cancel():
                future.set_exception(NoThread())

    def close(self) -> None:
        """End the idle threads now, the others when they have nothing to do."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        set_frame(INTERNAL)  # what is logged here never becomes an event of the app
        self._is_idle()
        while (work := self._next()) is not None:
            settle = _done(*work)
            self._is_idle()  # first: whoever gets the result may call again, and needs no other thread
            settle()
            del work, settle

    def _is_idle(self) -> None:
        with self._changed:
            self._idle += 1

    def _next(self) -> Work | None:
        """What to do next. Without anything for a while, the thread ends."""
        with self._changed:
            in_time = True
            while not self._waiting and in_time and not self._closed:
                in_time = self._changed.wait(IDLE)
            self._idle -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            return None


def _done(future: Future[T], function: Callable[[], T]) -> Callable[[], object]:
    """Run *function*, unless nobody waits any more. Returns what hands *future* the result, or what was raised."""
    if not future.set_running_or_notify_cancel():
        return lambda: None
    try:
        return partial(future.set_result, function())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        return partial(future.set_exception, error)


async def finished(future: Future[T]) -> T:
    """Wait for *future* under asyncio or trio, and return its result.

    Cancelled meanwhile, it stops waiting at once: what has not begun does not begin, and what has ends unheard.
    """
    wake, wait = _wakeup()

    def done(_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            wake()

    future.add_done_callback(done)
    try:
        await wait()
    finally:
        future.cancel()  # of no effect when it is done
    return future.result()


def _wakeup() -> tuple[Callable[[], object], Callable[[], Awaitable[object]]]:
    """How a thread wakes this coroutine, and how the coroutine waits for that."""
    if _in_trio():
        trio: Any = sys.modules["trio"]
        event = trio.Event()
        token = trio.lowlevel.current_trio_token()
        return lambda: token.run_sync_soon(event.set), event.wait
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    return lambda: loop.call_soon_threadsafe(event.set), event.wait


def _in_trio() -> bool:
    """Whether trio runs this coroutine. It imports sniffio, which knows."""
    sniffio = sys.modules.get("sniffio")
    try:
        return sniffio is not None and sniffio.current_async_library() == "trio"
    except RuntimeError:  # neither is known to run
        return False
