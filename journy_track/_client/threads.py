"""Threads that make requests for coroutines, and waiting for them in a coroutine."""

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
    """No thread could be started: the system has no more, or the interpreter is shutting down."""


class Threads:
    """Up to *limit* daemon threads that run functions in order. They start on demand, and end when idle."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[Work] = deque()
        self._idle = 0
        self._running = 0
        self._closed = False

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Run *function* in a thread. The future raises `NoThread` if no thread can be started."""
        future: Future[T] = Future()
        with self._changed:
            self._waiting.append((future, function))
            if len(self._waiting) <= self._idle or self._running >= self._limit:
                self._changed.notify()
                return future
            self._running += 1
        try:
            # In an empty context: the threads outlive the request in which they start, and are not part of its trace.
            run = Context().run
            threading.Thread(target=run, args=(self._run,), name="journy_track client", daemon=True).start()
        except RuntimeError:
            self._not_started()
        return future

    def _not_started(self) -> None:
        with self._changed:
            self._running -= 1
            if self._running:  # the other threads will get to it
                return
            lost = list(self._waiting)
            self._waiting.clear()
        for future, _ in lost:
            if future.set_running_or_notify_cancel():
                future.set_exception(NoThread())

    def close(self) -> None:
        """End the idle threads now, and the others when they have nothing left to do."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        set_frame(INTERNAL)  # nothing in here becomes an event of the app
        self._is_idle()
        while (work := self._next()) is not None:
            settle = _done(*work)
            self._is_idle()  # first: with the result, the caller may submit again, and this thread is free
            settle()
            del work, settle

    def _is_idle(self) -> None:
        with self._changed:
            self._idle += 1

    def _next(self) -> Work | None:
        """The next work; `None` if there is none for a while, and the thread should end."""
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
    """Run *function*, unless *future* was cancelled. Returns a function that sets the result or the exception."""
    if not future.set_running_or_notify_cancel():
        return lambda: None
    try:
        return partial(future.set_result, function())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        return partial(future.set_exception, error)


async def finished(future: Future[T]) -> T:
    """Wait for *future* under asyncio or trio, and return its result.

    If cancelled, it stops waiting at once: a function that has not started is not run, and the result of a running
    one is discarded.
    """
    wake, wait = _wakeup()

    def done(_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nothing is waiting
            wake()

    future.add_done_callback(done)
    try:
        await wait()
    finally:
        future.cancel()  # has no effect if it is done
    return future.result()


def _wakeup() -> tuple[Callable[[], object], Callable[[], Awaitable[object]]]:
    """A function by which a thread wakes this coroutine, and one by which the coroutine waits for that."""
    if _in_trio():
        trio: Any = sys.modules["trio"]
        event = trio.Event()
        token = trio.lowlevel.current_trio_token()
        return lambda: token.run_sync_soon(event.set), event.wait
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    return lambda: loop.call_soon_threadsafe(event.set), event.wait


def _in_trio() -> bool:
    """Whether trio runs this coroutine, according to sniffio, which trio imports."""
    sniffio = sys.modules.get("sniffio")
    try:
        return sniffio is not None and sniffio.current_async_library() == "trio"
    except RuntimeError:  # sniffio detects no async library
        return False
