"""A captured item that waits: for who acts in its request, for database transactions, or for both."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from os import getpid
from typing import Any, Protocol


class Queue(Protocol):
    """Where captured items go: those of one process."""

    @property
    def pid(self) -> int: ...
    def offer(self, captured: tuple[Any, ...], extra: int) -> bool: ...
    def park(self, item: HeldItem, extra: int) -> bool: ...
    def unpark(self, item: HeldItem) -> None: ...
    def refuse(self, reason: str) -> None: ...


class HeldItem:
    """One captured item, and the queue that it will go to. Everything that it waits for calls it once.

    The last call lets it go. If one of them never comes, as after a rollback, it is just forgotten.
    """

    __slots__ = ("__weakref__", "_calls", "captured", "queue", "waits_for")

    def __init__(self, queue: Queue, captured: tuple[Any, ...], waits_for: int) -> None:
        self.queue: Queue = queue
        #: What will go. Changes when who acts is known.
        self.captured: tuple[Any, ...] = captured
        #: How many calls let it go. Changes only before the first one.
        self.waits_for: int = waits_for
        # Counted in one step: a commit and an actor may come at once, on two threads.
        self._calls: Callable[[], int] = itertools.count(1).__next__

    def __call__(self) -> None:
        """One of the things that it waits for has happened."""
        # In a forked child it is a copy: the item is the parent's.
        if self._calls() == self.waits_for and self.queue.pid == getpid():
            self.queue.unpark(self)
