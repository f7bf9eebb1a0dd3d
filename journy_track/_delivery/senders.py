"""Senders: threads that make requests. They are started as needed and end when idle."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from journy_track._model.apart import stay_apart
from journy_track._model.clock import monotonic

T = TypeVar("T")

#: Seconds after which an idle sender ends.
IDLE = 10.0


class _Sender(Generic[T]):
    """One thread and the work assigned to it."""

    __slots__ = ("wakeup", "work")

    def __init__(self, work: T | None) -> None:
        self.work: T | None = work
        self.wakeup = threading.Lock()
        self.wakeup.acquire()


class Senders(Generic[T]):
    """Up to *max_threads* daemon threads that run *perform* on the work assigned to them.

    *perform* returns the next piece of work, or `None`. *mark_internal* is called once in each thread.
    """

    def __init__(
        self, max_threads: int, perform: Callable[[T], T | None], mark_internal: Callable[[], object]
    ) -> None:
        self._max_threads = max_threads
        self._perform = perform
        self._mark_internal = mark_internal
        self._lock = threading.RLock()
        self._idle: list[_Sender[T]] = []
        self._threads: set[threading.Thread] = set()
        self._stopping = False

    def hand(self, work: T) -> bool:
        """Assign *work* to an idle or a new thread. Returns false if none is available."""
        with self._lock:
            if self._stopping:
                return False
            if self._idle:
                sender = self._idle.pop()
                sender.work = work
                sender.wakeup.release()
                return True
            if len(self._threads) >= self._max_threads:
                return False
            thread = self._add(contextvars.Context().run, self._run, _Sender(work))
        return self._started(thread)

    def _add(self, target: Callable[..., object], *args: object) -> threading.Thread | None:
        """Return a thread to be started, or `None` in a subinterpreter, which allows no daemon threads."""
        try:
            thread = threading.Thread(target=target, args=args, name="journy_track sender", daemon=True)
        except RuntimeError:
            return None
        self._threads.add(thread)
        return thread

    def _started(self, thread: threading.Thread | None) -> bool:
        if thread is None:
            return False
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down, or the system has no more threads
            with self._lock:
                self._threads.discard(thread)
            return False
        return True

    def make_ready(self, count: int) -> None:
        """Start idle threads until there are *count*, or as many as are allowed."""
        while True:
            with self._lock:
                if self._stopping or len(self._threads) >= min(count, self._max_threads):
                    return
                thread = self._add(self._run, _Sender[T](None))
            if not self._started(thread):
                return

    def stop(self) -> None:
        """End idle threads now and the others after their current request."""
        with self._lock:
            self._stopping = True
            idle, self._idle = self._idle, []
        for sender in idle:
            sender.wakeup.release()

    def join(self, timeout: float) -> None:
        """Wait up to *timeout* seconds in total for the threads to end."""
        deadline = monotonic() + timeout
        for thread in list(self._threads):
            # A thread that is still starting cannot be joined. It will find that it has to stop.
            if thread is not threading.current_thread() and thread.is_alive():
                thread.join(max(0.0, deadline - monotonic()))

    @property
    def alive(self) -> bool:
        """Whether any thread is still running."""
        return any(thread.is_alive() for thread in list(self._threads))

    def _run(self, sender: _Sender[T]) -> None:
        try:
            self._mark_internal()
            stay_apart()
            if sender.work is None:
                self._rest(sender)
            while (work := sender.work) is not None:
                sender.work = None
                again: T | None = work
                while again is not None:
                    again = self._perform(again)
                self._rest(sender)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _rest(self, sender: _Sender[T]) -> None:
        """Wait for work. If none arrives within `IDLE` seconds, the thread ends."""
        with self._lock:
            if self._stopping:
                return
            self._idle.append(sender)
        if not sender.wakeup.acquire(timeout=IDLE):
            with self._lock:
                if sender in self._idle:
                    self._idle.remove(sender)
                    return
            sender.wakeup.acquire()  # work was assigned at the last moment
