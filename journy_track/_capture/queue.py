"""The bounded queue between the app and the worker.

The app's side takes no lock and never blocks: it may run in a signal handler, a finaliser, or a forked child in
which the thread that held a lock does not exist. (With queue.Queue, 195 to 200 of 200 such children hung.)
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from journy_track._capture.held import HeldItem
from journy_track._capture.room import waiters
from journy_track._model.once import warn_once

#: The minimum number of bytes charged for an item: about what a typical one takes until it is settled. Larger items
#: are charged further units of it: their *extra*.
UNIT = 2048


class Tally:
    """A counter that any thread can increment at any time, without a lock and without lost updates."""

    __slots__ = ("_count", "_lock", "_reads", "add")

    def __init__(self) -> None:
        self._count = itertools.count()
        self._reads = 0
        self._lock = threading.RLock()
        #: Increments the count.
        self.add: Callable[[], int] = self._count.__next__

    def read(self) -> int:
        """The count. It may be off by one in a signal handler that interrupts this method."""
        with self._lock:
            value = next(self._count) - self._reads
            self._reads += 1
            return value


class BoundedQueue:
    """A queue of captured items for the worker, at most *size* items and about *max_bytes* unsettled bytes."""

    __slots__ = (
        "_items",
        "_max_units",
        "_refused",
        "_released",
        "_size",
        "_units",
        "_used",
        "_wakeup",
        "carriers_refused",
        "closed",
        "outside",
        "parked",
        "pid",
        "starter",
        "wake",
    )

    def __init__(self, size: int, max_bytes: int) -> None:
        self.pid = os.getpid()
        self.closed = False
        #: The number of items that are taken but not settled, plus the parked ones. Only the worker's side writes it.
        self.outside = 0
        #: Items that wait until the user of their request is known. `set.remove()` is atomic: exactly one thread
        #: removes each item.
        self.parked: set[HeldItem] = set()
        self._items: deque[Any] = deque()
        self._size = size
        self._max_units = max(1, max_bytes // UNIT)
        # Units beyond the first of each item: charged here without a lock, released by the worker's side.
        self._units = itertools.count(1)
        self._used = 0
        self._released = 0
        self._refused = {
            "queue_full": Tally(),
            "closed": Tally(),
            "own_code": Tally(),
            "capture_failed": Tally(),
            "invalid": Tally(),
            "suppressed": Tally(),
            "waiting_room_full": Tally(),
            "too_many_devices": Tally(),
        }
        #: Counts refused carriers, which are not items: see `_capture.carrier`.
        self.carriers_refused = Tally()
        self._wakeup = threading.Lock()
        self._wakeup.acquire()
        #: What an offer must call to wake or start the worker; `None` while the worker is awake.
        self.wake: Callable[[], None] | None = None
        #: Starts a worker; `None` while there is one.
        self.starter: Callable[[], None] | None = None

    # ── The app's side ──

    def offer(self, captured: Any, extra: int) -> bool:
        """Append an item, or refuse and count it. Wakes the worker only if it sleeps."""
        items = self._items
        held = len(items) + self.outside
        if self.closed:
            self._refuse_late()
            return False
        if held >= self._size or held + self._used - self._released + extra >= self._max_units:
            return self._offer_later(captured, extra)
        if extra:
            self._charge(extra)
        items.append(captured)
        try:
            wake = self.wake
            if wake is not None:
                wake()
        except Exception as error:  # noqa: BLE001 - it is in the queue, and not lost: whoever looks next finds it
            log_not_woken(error)
        return True

    def _offer_later(self, captured: Any, extra: int) -> bool:
        """Handle a full queue: wait for room in a `bulk()` block, refuse the item elsewhere."""
        fits_at_all = extra < self._max_units
        if fits_at_all and any(waiter.wait_for_room(self, extra) for waiter in waiters.get()):
            return self.offer(captured, extra)
        self._refused["queue_full"].add()
        return False

    def has_room(self, extra: int) -> bool:
        """Whether an item that is charged *extra* would be accepted, or refused for another reason than the bound."""
        held = len(self._items) + self.outside
        full = held >= self._size or held + self._used - self._released + extra >= self._max_units
        return self.closed or not full

    def park(self, item: HeldItem, extra: int) -> bool:
        """Like `offer`, for an item that must wait before it may be queued. It counts towards the bound."""
        held = len(self._items) + max(self.outside, len(self.parked))
        if self.closed:
            self._refuse_late()
            return False
        if held >= self._size or held + self._used - self._released + extra >= self._max_units:
            self._refused["queue_full"].add()
            return False
        self._charge(extra)
        self.parked.add(item)
        return True

    def unpark(self, item: HeldItem) -> None:
        """Queue a parked item. Does nothing if it was removed meanwhile."""
        try:
            self.parked.remove(item)
        except KeyError:  # already counted as dropped, at shutdown
            return
        if self.closed:
            self._refuse_late()
            return
        self._items.append(item.captured)
        try:
            wake = self.wake
            if wake is not None:
                wake()
        except Exception as error:  # noqa: BLE001 - as in `offer`; this may run in the app's commit
            log_not_woken(error)

    def _refuse_late(self) -> None:
        self._refused["closed"].add()
        warn_once(
            "closed",
            "an item was captured after shutdown(), or with a tracker that another configure() has replaced: it was "
            "dropped, and counted as closed.",
        )

    def _charge(self, extra: int) -> None:
        for _ in range(extra):
            self._used = next(self._units)

    def refuse(self, reason: str) -> None:
        """Count an item that was lost before it could be offered."""
        self._refused[reason].add()

    def wake_worker(self) -> None:
        """Wake the worker. Never blocks."""
        self._awake()
        with suppress(RuntimeError):  # it is already awake
            self._wakeup.release()

    # ── The worker's side ──

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_half_full(self) -> bool:
        """Whether at least half of the capacity is used, including items that were taken but not settled."""
        held = len(self._items) + self.outside
        return 2 * held >= self._size or 2 * (held + self._used - self._released) >= self._max_units

    def take(self) -> Any | None:
        """Remove and return the oldest item; `None` if there is none."""
        try:
            return self._items.popleft()
        except IndexError:
            return None

    def take_parked(self) -> bool:
        """Remove one parked item; returns false if there is none."""
        try:
            self.parked.pop()
        except KeyError:
            return False
        return True

    def release(self, extra: int) -> None:
        """Release the units charged beyond the first one of an item."""
        self._released += extra

    def wait(self, timeout: float, *, wakeable: bool) -> None:
        """Wait until *timeout* or a call to `wake_worker()`; with *wakeable*, also until an item is offered."""
        if wakeable:
            self.wake = self.wake_worker
            if self._items:  # it was offered just before `wake` was set
                self._awake()
                return
        self._wakeup.acquire(timeout=timeout)
        self._awake()

    def _awake(self) -> None:
        """Record that the worker is awake. If it has died, the next offer must start a new one."""
        # Without a worker this is never `None`, not even for a moment: an offer would take the worker for awake.
        self.wake = self.starter
        # Checked last: a worker that dies at this moment has set its starter before it set wake.
        if self.starter is not None:
            self.wake = self.starter

    def without_worker(self, starter: Callable[[], None]) -> None:
        """Record that there is no worker: the next offer calls *starter*."""
        self.starter = starter
        self.wake = starter

    def with_worker(self) -> None:
        """Record that there is a worker, and that it is awake."""
        self.starter = None
        self.wake = None

    def refused(self) -> dict[str, int]:
        """The numbers of refused items, by reason."""
        return {reason: tally.read() for reason, tally in self._refused.items()}


def log_not_woken(error: Exception) -> None:
    """Log once that the worker could not be woken. Items wait, and whoever looks next finds them."""
    warn_once("wake", "waking the worker raised %s; delivery may be a few seconds late", type(error).__name__)
