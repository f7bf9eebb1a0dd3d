"""A tracker for tests that keeps what it captures: it starts no threads and sends nothing."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

from journy_track import _runtime
from journy_track._capture.flushing import seconds_of
from journy_track._capture.held import HeldItem
from journy_track._capture.recorder import Recorder
from journy_track._delivery.preparing import Dropped, Preparer, Throttled
from journy_track._model.captured import Captured
from journy_track._model.config import Config
from journy_track._model.items import Event, Item
from journy_track._model.notices import Notices
from journy_track._model.numbers import Health, Receipt, Stats
from journy_track._model.places import caller, captured_at
from journy_track._model.secret import Secret
from journy_track._testing import leaks, pools
from journy_track._tracker import Tracker


@dataclass(frozen=True, slots=True)
class Stray:
    """An item captured by a thread or task that outlived its test. *owner* names the test, *thread* the thread."""

    owner: str
    label: str
    thread: str
    place: str

    def __str__(self) -> str:
        return f"{self.owner}: {self.label!r} at {self.place}, in thread {self.thread}"


#: The capture that the current code belongs to. Propagates through `await`, tasks and `in_context()`; a plain thread
#: starts without one.
_owner: ContextVar[Capture | None] = ContextVar("journy_track_test", default=None)
#: Threads that started during a capture and outlived it.
_outlived: WeakKeyDictionary[threading.Thread, Capture] = WeakKeyDictionary()
#: The strays of all finished captures.
strays: list[Stray] = []
_MAX_STRAYS = 1000


class Capture:
    """Collects what is captured until it is closed, in order. It serves as the queue of its tracker."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed: bool = False
        self.strays: list[Stray] = []
        before = _runtime.get_tracker()
        self.tracker: CapturingTracker = CapturingTracker(
            Config(api_key=Secret("testing")) if before is None else before.config, self
        )
        # Other threads append while this one reads or clears, so these objects are never replaced.
        self._raw: deque[tuple[tuple[Any, ...], str, Preparer]] = deque()
        self._parked: dict[HeldItem, str] = {}
        self._items: list[Item] = []
        self._problems: list[str] = []
        self._converting = threading.RLock()
        self._threads = set(threading.enumerate())
        self._strays_before = len(strays)

    # ── As a queue ──

    @property
    def pid(self) -> int:
        return os.getpid()

    def offer(self, captured: tuple[Any, ...], extra: int) -> bool:
        if self._is_stray(captured):
            return False
        self._raw.append((captured, captured_at(), self.tracker.preparer))
        return True

    def park(self, item: HeldItem, extra: int) -> bool:
        """Keep an item that waits until the user of its request is known."""
        if self._is_stray(item.captured):
            return False
        self._parked[item] = captured_at()
        return True

    def unpark(self, item: HeldItem) -> None:
        """Capture a parked item, whose user is now known."""
        place = self._parked.pop(item, None)
        if place is not None:
            self._raw.append((item.captured, place, self.tracker.preparer))

    def _is_stray(self, captured: tuple[Any, ...]) -> bool:
        owner = self if self.closed else _owner.get() or _outlived.get(threading.current_thread())
        if owner is not None and owner.closed:
            label = f"{captured[0].operation} {captured[2] if captured[0] is Event else ''}".strip()
            if len(strays) < _MAX_STRAYS:
                stray = Stray(owner.name, label, threading.current_thread().name, caller())
                strays.append(stray)
                owner.strays.append(stray)
            return True
        return False

    def refuse(self, reason: str) -> None:
        if reason == "suppressed":
            return  # intended
        self._problems.append(f"an item was lost while it was captured ({reason}), at {caller()}")

    # ── What was captured ──

    def items(self) -> list[Item]:
        """The items so far, as they would be sent. They are converted here, not on the app's threads."""
        with self._converting:
            while self._raw:
                captured, place, preparer = self._raw.popleft()
                self._convert(Captured(*captured), place, preparer)
            return list(self._items)

    def problems(self) -> list[str]:
        """What would have been lost, and where it was captured."""
        self.items()
        return list(self._problems)

    def passed_by(self) -> list[Stray]:
        """The strays that were captured meanwhile, by threads and tasks of finished captures."""
        return strays[self._strays_before :]

    def clear(self) -> None:
        """Forget what was captured so far, including any problems."""
        with self._converting:
            self._raw.clear()
            self._items.clear()
            self._problems.clear()

    def _convert(self, captured: Captured, place: str, preparer: Preparer) -> None:
        self.tracker.notices.place = place
        try:
            self._items.append(preparer.prepare(captured))
        except Throttled:
            pass  # intended
        except Dropped as dropped:
            if str(dropped):
                self.found(f"{dropped}, at {place}")

    def found(self, problem: str) -> None:
        """Note a problem: something would have been lost."""
        self._problems.append(problem)

    def close(self) -> None:
        """End the capture. Items that are captured later are strays."""
        self.closed = True
        for thread in threading.enumerate():
            if thread not in self._threads and thread is not threading.current_thread():
                _outlived.setdefault(thread, self)


class _Problems(Notices):
    """Collects what the worker would log about the values of items."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = capture
        self.place = ""

    def log(self, cause: Any, message: str, *arguments: Any, level: int = 0, counts: bool = True) -> None:
        self._capture.found(f"{message % arguments}, at {self.place}")


class CapturingTracker(Tracker):
    """The tracker of a test. `flush()` and `shutdown()` do not wait, and it captures even after `shutdown()`."""

    def __init__(self, config: Config, capture: Capture) -> None:
        self._closed = False
        self._pipelines = {}
        self._enabled = True
        self._capture = capture
        self.notices: _Problems = _Problems(capture)
        self.configured(config)

    def configured(self, config: Config) -> CapturingTracker:
        """From now on, capture with these settings, even if they would send nothing."""
        self.config = config
        self.preparer: Preparer = Preparer(config, self.notices)
        check = Preparer(config, self.notices).check if config.debug and self.strict else None
        self.recorder: Recorder | None = Recorder(config, lambda: self._capture, check)
        return self

    @property
    def strict(self) -> bool:
        """Whether wrong values raise where they are passed: true unless the settings say otherwise."""
        return self.config.strict is not False

    def flush(self, timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
        return timeout is None or seconds_of(timeout) >= 0

    async def aflush(self, timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
        return self.flush(timeout)

    async def aflush_at_end(self) -> bool:
        return True

    def shutdown(self, timeout: float | timedelta | None = None) -> bool:
        return self.flush(timeout)

    def retire(self) -> None:
        pass

    def stats(self) -> Stats:
        count = len(self._capture.items())
        return Stats(captured=count, delivered=count)

    def health(self) -> Health:
        return Health(ok=True)

    def recent(self) -> list[Receipt]:
        return [Receipt(item.label(), "delivered", 1) for item in self._capture.items()[-100:]]


@contextmanager
def capturing(name: str) -> Iterator[Capture]:
    """Capture into a `Capture` until the end of the block. Does not check what was captured."""
    capture = Capture(name)
    kept = _runtime.get_tracker()  # the app may have kept a reference to it, and track with it
    recorder = None if kept is None else kept.recorder

    def configured(config: Config) -> Tracker:
        capture.tracker.configured(config)
        _runtime.reinstall(capture.tracker)
        if kept is not None:
            kept.recorder = capture.tracker.recorder
        return capture.tracker

    leaks.watch()
    outer = _owner.get()
    _owner.set(capture)
    try:
        with pools.carrying(_owner), _runtime.replaced(capture.tracker, configured):
            try:
                if kept is not None:
                    kept.recorder = capture.tracker.recorder
                yield capture
            finally:
                if kept is not None:
                    kept.recorder = recorder
    finally:
        _owner.set(outer)
        capture.close()
