"""A captured item that waits for the user of its request, for database transactions, or for both."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from os import getpid
from typing import Any, Protocol


class Queue(Protocol):
    """The queue for the captured items of one process."""

    @property
    def pid(self) -> int: ...
    def offer(self, captured: tuple[Any, ...], extra: int) -> bool: ...
    def park(self, item: HeldItem, extra: int) -> bool: ...
    def unpark(self, item: HeldItem) -> None: ...
    def refuse(self, reason: str) -> None: ...


class HeldItem:
    """One captured item, and the queue that it will go to. Everything that it waits for calls it once.

    The last of these calls releases it. If one of them never comes, as after a rollback, the item is dropped.
    """

    __slots__ = ("__weakref__", "_calls", "captured", "queue", "waits_for")

    def __init__(self, queue: Queue, captured: tuple[Any, ...], waits_for: int) -> None:
        self.queue: Queue = queue
        #: The item to queue. Replaced when the user of the request is known.
        self.captured: tuple[Any, ...] = captured
        #: The number of calls that release it. Changes only before the first one.
        self.waits_for: int = waits_for
        # Counted atomically: a commit and an actor may arrive at the same time, on two threads.
        self._calls: Callable[[], int] = itertools.count(1).__next__

    def __call__(self) -> None:
        """Signal that one of the things that it waits for has happened."""
        # In a forked child this is a copy: the item belongs to the parent.
        if self._calls() == self.waits_for and self.queue.pid == getpid():
            self.queue.unpark(self)
