"""Senders: threads that make requests, started as needed, ended when idle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from journy_track._model.clock import monotonic

T = TypeVar("T")

#: Seconds after which an idle sender ends.
IDLE = 10.0


class _Sender(Generic[T]):
    """One thread and the work that it was handed."""

    __slots__ = ("bell", "work")

    def __init__(self, work: T) -> None:
        self.work: T | None = work
        self.bell = threading.Lock()
        self.bell.acquire()


class Senders(Generic[T]):
    """Up to *most* daemon threads, each running *perform* on what it is handed.

    *perform* answers what to do next, or `None`. *inside* is called once in each thread.
    """

    def __init__(self, most: int, perform: Callable[[T], T | None], inside: Callable[[], object]) -> None:
        self._most = most
        self._perform = perform
        self._inside = inside
        self._lock = threading.RLock()
        self._idle: list[_Sender[T]] = []
        self._threads: set[threading.Thread] = set()
        self._stopping = False

    def hand(self, work: T) -> bool:
        """Have *work* done by an idle or a new thread; false when none can be had."""
        with self._lock:
            if self._stopping:
                return False
            if self._idle:
                sender = self._idle.pop()
                sender.work = work
                sender.bell.release()
                return True
            if len(self._threads) >= self._most:
                return False
            thread = threading.Thread(
                target=self._run, args=(_Sender(work),), name="journy_track sender", daemon=True
            )
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no new threads: the interpreter shuts down, or the system has no more
            with self._lock:
                self._threads.discard(thread)
            return False
        return True

    def stop(self) -> None:
        """End the idle threads now, the others after their request."""
        with self._lock:
            self._stopping = True
            idle, self._idle = self._idle, []
        for sender in idle:
            sender.bell.release()

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, at most *timeout* seconds for all of them."""
        deadline = monotonic() + timeout
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - monotonic()))

    @property
    def alive(self) -> bool:
        """Whether any thread still runs."""
        return any(thread.is_alive() for thread in list(self._threads))

    def _run(self, sender: _Sender[T]) -> None:
        try:
            self._inside()
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
        """Wait for work. Without any in time, the thread ends."""
        with self._lock:
            if self._stopping:
                return
            self._idle.append(sender)
        if not sender.bell.acquire(timeout=IDLE):
            with self._lock:
                if sender in self._idle:
                    self._idle.remove(sender)
                    return
            sender.bell.acquire()  # it was handed work at the last moment
