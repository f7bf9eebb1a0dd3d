"""The worker: one thread that takes what was captured, makes items of it, and has them sent."""

from __future__ import annotations

import contextvars
import itertools
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from journy_track._delivery.ledger import Ledger
from journy_track._delivery.notices import Notices
from journy_track._delivery.preparing import Dropped, Preparer, Throttled
from journy_track._delivery.taken import Taken
from journy_track._model.clock import monotonic
from journy_track._model.logs import say

#: Seconds for which the worker looks by itself after traffic: waking it costs the app more than the capture.
POLLING = 2.0
POLL = 0.1
#: The same with a spool: 50 ms after its capture an item is on disk.
POLL_TO_DISK = 0.02
#: Seconds after which a sleeping worker looks anyway, should a wake have been missed.
SLEEP = 1.0
#: Seconds between two looks for what has to be said.
TELLING = 0.5
#: Seconds without any success, while items wait, after which that is said aloud.
STALL = 60.0


class Bell(Protocol):
    """The queue, as far as the worker waits on it."""

    def __len__(self) -> int: ...
    def without_worker(self, starter: Callable[[], None]) -> None: ...
    def with_worker(self) -> None: ...
    def ring(self) -> None: ...
    def wait(self, timeout: float, *, ring: bool) -> None: ...
    def refused(self) -> dict[str, int]: ...


class Delivery(Protocol):
    """What sends: the dispatcher or, with a broker, the publisher."""

    inline: bool
    deadline: float | None

    def put(self, taken: Taken, /) -> None: ...
    def dispatch(self) -> float | None: ...
    def stop(self) -> None: ...
    def join(self, timeout: float, /) -> None: ...


class Store(Protocol):
    """The spool, as far as the worker fills it."""

    def add(self, taken: Taken, /) -> None: ...
    def turn(self) -> float | None: ...


class Worker:
    """Runs turns: in a thread that starts with the first item, or, at exit, in the thread that waits.

    Where the spool holds what others left, the thread starts before the first item.
    """

    def __init__(
        self,
        queue: Bell,
        preparer: Preparer,
        dispatcher: Delivery,
        ledger: Ledger,
        notices: Notices,
        *,
        inside: Callable[[], object],
        on_start: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = monotonic,
        spool: Store | None = None,
    ) -> None:
        self._queue = queue
        self._preparer = preparer
        self._dispatcher = dispatcher
        self._ledger = ledger
        self._notices = notices
        self._inside = inside
        self._on_start = on_start
        self._clock = clock
        self._spool = spool
        self._poll = POLL if spool is None else POLL_TO_DISK
        self._starts = itertools.count()
        self._thread: threading.Thread | None = None
        self._starting = False
        self._turns = threading.Lock()
        self._stopping = False
        self._retiring = False
        self._at_end: Callable[[], object] = lambda: None
        self._told_of_refused: dict[str, int] = {}
        self._last_traffic = self._tell_at = clock()
        queue.without_worker(self.start)

    # ── Life ──

    def start(self) -> None:
        """Start the thread, once. Called with the first item, on the app's thread."""
        if next(self._starts) > 0:
            return
        thread = None
        self._starting = True
        try:
            self._queue.with_worker()
            self._on_start()
            thread = threading.Thread(target=self._run, name="journy_track", daemon=True)
            thread.start()
            self._thread = thread
        except BaseException as error:
            # RuntimeError: no new threads while the interpreter shuts down, where exit drains by itself, or the
            # system has none. Anything else is a signal handler's, and the app's: a time limit, a Ctrl-C.
            if thread is None or thread.ident is None:
                self._again()
            else:
                self._thread = thread
            if not isinstance(error, RuntimeError):
                raise
        finally:
            self._starting = False

    def _again(self) -> None:
        """The next item starts the thread."""
        self._starts = itertools.count()
        self._queue.without_worker(self.start)

    @property
    def alive(self) -> bool:
        """Whether the thread runs, or is about to."""
        # In this order: it does not end before it has started.
        return self._starting or (self._thread is not None and self._thread.is_alive())

    def retire(self, then: Callable[[], object]) -> None:
        """End the thread once everything is settled. *then* is the last it calls."""
        self._at_end = then
        self._retiring = True
        self._queue.ring()

    def stop(self, then: Callable[[], object]) -> None:
        """End all threads after the requests that are on their way. *then* is the last that this one calls."""
        self._at_end = then
        self._stopping = True
        self._dispatcher.stop()
        self._queue.ring()

    def hurry(self, deadline: float) -> None:
        """No request may last beyond *deadline*."""
        self._dispatcher.deadline = deadline
        self._queue.ring()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, at most *timeout* seconds."""
        thread = self._thread
        # Without an ident it never started: no new threads could be had.
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(timeout)
        self._dispatcher.join(timeout)

    # ── Turns ──

    def _run(self) -> None:
        started = self._clock()
        try:
            self._inside()
            self._turn_by_turn()
        except BaseException as error:  # noqa: BLE001 - a killed greenlet, a SystemExit: the next thread goes on
            # Without its traceback: the frames may hold personal data.
            say(logging.ERROR, "the worker of journy_track died of %s; another takes its place", type(error).__name__)
            self._again()
            if self._clock() - started > 1.0:  # at once, unless it would die again at once: then with the next item
                self.start()
            return
        self._at_end()

    def _turn_by_turn(self) -> None:
        while not self._stopping:
            try:
                wait = self.step()
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever a turn runs into
                say(logging.ERROR, "the worker of journy_track failed in a turn and goes on", exc_info=error)
                wait = 1.0
            if self._retiring and not len(self._queue) and self._is_safe(wait):
                break
            self._rest(wait)

    def _is_safe(self, wait: float | None) -> bool:
        """Whether nobody is needed any more for what waits."""
        return wait is None if self._spool is None else not self._ledger.in_memory

    def _rest(self, wait: float | None) -> None:
        if wait is not None and wait <= 0:
            return
        if self._retiring or self._clock() - self._last_traffic < POLLING:
            self._queue.wait(self._poll if wait is None else min(wait, self._poll), ring=False)
        else:
            self._queue.wait(SLEEP if wait is None else min(wait, SLEEP), ring=True)

    def drain(self, deadline: float) -> None:
        """Run turns in this thread, until nothing is left or *deadline*. For exit, when no thread can run."""
        contextvars.copy_context().run(self._drain, deadline)

    def _drain(self, deadline: float) -> None:
        self._inside()
        before = self._dispatcher.inline, self._dispatcher.deadline
        self._dispatcher.inline, self._dispatcher.deadline = True, deadline
        try:
            while self._clock() < deadline:
                wait = self.step()
                if wait is None and not len(self._queue):
                    return
                left = deadline - self._clock()  # after the turn, which may have sent
                if wait and left > 0:
                    self._queue.wait(min(wait, left), ring=False)
        finally:  # a thread may be had again: flush() is not the end
            self._dispatcher.inline, self._dispatcher.deadline = before

    def step(self) -> float | None:
        """One turn: take what was captured, start what may go. Answers seconds to the next; `None`: nothing waits."""
        with self._turns:
            self._take()
            again = None if self._spool is None else self._spool.turn()
            self._tell()
            wait = self._dispatcher.dispatch()
            return min((seconds for seconds in (wait, again) if seconds is not None), default=None)

    def _take(self) -> None:
        while (taken := self._ledger.take()) is not None:
            self._last_traffic = self._clock()
            captured, taken.captured = taken.captured, None
            assert captured is not None
            try:
                taken.item = self._preparer.prepare(captured)
                (self._dispatcher.put if self._spool is None else self._spool.add)(taken)
            except Dropped as dropped:
                if str(dropped):
                    self._notices.say(
                        ("dropped", str(dropped)), "dropped and counted as %s: %s", dropped.reason, dropped
                    )
                self._ledger.dropped(taken, dropped.reason)
            except Throttled:
                self._ledger.throttled(taken)
            except Exception as error:  # noqa: BLE001 - counted, and said
                self._notices.say("internal", "an item could not be made ready: %s", type(error).__name__)
                self._ledger.dropped(taken, "internal_error")
            except BaseException:  # Ctrl-C, while exit drains in the main thread
                self._ledger.dropped(taken, "internal_error")
                raise

    def _tell(self) -> None:
        now = self._clock()
        if now >= self._tell_at:  # each look takes locks, and there are 20 turns a second
            self._tell_at = now + TELLING
            self._tell_of_refused()
            self._tell_of_a_stall()

    def _tell_of_a_stall(self) -> None:
        stalled = self._ledger.stalled(STALL)
        if stalled is not None:
            self._notices.say(
                "stall",
                "items wait for %.0f s and nothing was delivered in the meantime: see health() and the lines above.",
                stalled,
                level=logging.ERROR,
            )

    def _tell_of_refused(self) -> None:
        refused = self._queue.refused()
        for reason, count in refused.items():
            if count > self._told_of_refused.get(reason, 0) and reason in _TELL:
                self._notices.say(("refused", reason), _TELL[reason], count)
        self._told_of_refused = refused


_TELL = {
    "waiting_room_full": "%d items were dropped so far: too many of one request waited to know its user. Set it with "
    "set_user() before, or pass user=.",
    "queue_full": "the queue is full: %d items were dropped so far, the newest first. journy.io may be unreachable "
    "or the key's rate too low; see queue_size, queue_bytes and stats().",
    "own_code": "%d items so far were captured in journy_track's own threads or hooks, and dropped: tracking our "
    "own work would never end.",
}
