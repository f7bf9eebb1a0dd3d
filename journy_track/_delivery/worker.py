"""The worker: the thread that runs the pipeline's turns."""

from __future__ import annotations

import contextvars
import itertools
import logging
import sys
import threading
from collections.abc import Callable

from journy_track._capture.queue import BoundedQueue
from journy_track._model.apart import stay_apart
from journy_track._model.clock import monotonic
from journy_track._model.errors import where_raised
from journy_track._model.logs import log
from journy_track._model.notices import Notices
from journy_track._model.once import warn_once

#: Seconds for which the worker keeps polling after traffic, since waking it costs the app more than a capture.
POLLING = 2.0
POLL = 0.1
#: The polling interval with a store on disk, where an item should be safe 50 ms after its capture.
POLL_TO_DISK = 0.02
#: Seconds after which a sleeping worker looks anyway, in case it missed a wake-up.
SLEEP = 1.0
#: If a rest overruns by this many seconds, the process must have been suspended.
SUSPENDED = 3.0


class Worker:
    """Runs turns in a thread that starts with the first item. At exit, the waiting thread may run them instead.

    *turn* does everything that can be done now and returns the seconds until the next turn, or `None` if nothing
    waits. *is_safe* is called with the last of these values and returns whether the thread may end. *last_traffic*
    returns the clock time at which an item was last taken from the queue. *resumed* is called after the process was
    suspended, *on_start* before the thread starts.
    """

    def __init__(
        self,
        queue: BoundedQueue,
        turn: Callable[[], float | None],
        notices: Notices,
        *,
        is_safe: Callable[[float | None], bool],
        last_traffic: Callable[[], float],
        resumed: Callable[[], object],
        poll: float,
        mark_internal: Callable[[], object],
        on_start: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._queue = queue
        self._turn = turn
        self._is_safe = is_safe
        self._last_traffic = last_traffic
        self._resumed = resumed
        self._notices = notices
        self._poll = poll
        self._mark_internal = mark_internal
        self._on_start = on_start
        self._clock = clock
        self._starts = itertools.count()
        self._thread: threading.Thread | None = None
        self._starting = False
        self._lock = threading.Lock()
        self._stopping = False
        self._retiring = False
        self._at_end: Callable[[], object] = lambda: None
        #: When the thread's current rest should end; `None` while it is not resting.
        self._rests_until: float | None = None
        queue.without_worker(self.start)

    # ── Life ──

    def start(self) -> None:
        """Start the thread once. The first item calls this, on the app's thread."""
        if next(self._starts) > 0:
            return
        thread = None
        ready = False
        self._starting = True
        try:
            self._queue.with_worker()
            self._on_start()
            ready = True
            thread = threading.Thread(
                target=contextvars.Context().run, args=(self._run,), name="journy_track", daemon=True
            )
            thread.start()
            self._thread = thread
        except BaseException as error:
            # RuntimeError: the interpreter is shutting down, in which case exit drains the queue, or the system has
            # no more threads. Anything else comes from a signal handler and concerns the app: a time limit, a Ctrl-C.
            # An error from `on_start` says nothing about threads.
            no_thread = ready and isinstance(error, RuntimeError)
            if no_thread and (thread is None or sys.platform == "emscripten"):
                self._goes_without(error)
            elif thread is None or thread.ident is None:
                self._again()
            else:
                self._thread = thread
            if not no_thread:
                raise
        finally:
            self._starting = False

    def _goes_without(self, error: BaseException) -> None:
        """Run without a thread. Pyodide cannot start one; a subinterpreter allows no daemon threads."""
        self._queue.without_worker(lambda: None)
        warn_once(
            "no thread",
            "no thread can deliver what is captured in this interpreter (%s): "
            "it is delivered only by flush(), aflush() and at exit.",
            error,
        )

    def _again(self) -> None:
        """Let the next item start the thread."""
        self._starts = itertools.count()
        self._queue.without_worker(self.start)

    @property
    def alive(self) -> bool:
        """Whether the thread is running or about to start."""
        # The order of the checks matters: the thread cannot end before it has started.
        return self._starting or (self._thread is not None and self._thread.is_alive())

    def retire(self, then: Callable[[], object]) -> None:
        """End the thread once everything is settled. It calls *then* last.

        Without a thread, this applies to the one that the next item starts.
        """
        self._at_end = then
        self._retiring = True
        self._queue.wake_worker()

    def stop(self, then: Callable[[], object]) -> None:
        """End the thread after this turn. It calls *then* last."""
        self._at_end = then
        self._stopping = True
        self._queue.wake_worker()

    def join(self, timeout: float) -> None:
        """Wait up to *timeout* seconds for the thread to end."""
        thread = self._thread
        # A thread that has not started cannot be joined.
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(timeout)

    # ── Turns ──

    def _run(self) -> None:
        started = self._clock()
        try:
            self._mark_internal()
            stay_apart()
            self._turn_by_turn()
        except BaseException as error:  # noqa: BLE001 - a killed greenlet, a SystemExit: the next thread goes on
            # Logged without its traceback, because the frames may hold personal data.
            log(
                logging.ERROR,
                "journy_track's worker thread ended with %s; a new one takes over",
                type(error).__name__,
            )
            self._again()
            if self._clock() - started > 1.0:  # a thread that dies at once is restarted only by the next item
                self.start()
            return
        self._at_end()

    def _turn_by_turn(self) -> None:
        while not self._stopping:
            try:
                wait = self.step()
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever a turn runs into
                self._notices.log(
                    "turn",
                    "journy_track's worker thread hit an error and continues: %s",
                    where_raised(error),
                    level=logging.ERROR,
                )
                wait = 1.0
            if self._retiring and not len(self._queue) and self._is_safe(wait):
                break
            self._rest(wait)

    def step(self) -> float | None:
        """Run one turn. Returns the seconds until the next, or `None` if nothing waits."""
        with self._lock:
            return self._turn()

    def _rest(self, wait: float | None) -> None:
        if wait is not None and wait <= 0:
            return
        polls = self._retiring or self._clock() - self._last_traffic() < POLLING
        longest = self._poll if polls else SLEEP
        timeout = longest if wait is None else min(wait, longest)
        self._rests_until = self._clock() + timeout
        try:
            self._queue.wait(timeout, wakeable=not polls)
            self.look_for_a_pause()
        finally:
            self._rests_until = None

    def look_for_a_pause(self) -> None:
        """Call *resumed* if the process was suspended, since the time before that is not a delay by the server."""
        until = self._rests_until
        if until is not None and self._clock() - until > SUSPENDED:
            self._resumed()

    def drain(self, until: Callable[[], float]) -> None:
        """Run turns in this thread until nothing is left or *until()* has passed. For exit without threads."""
        contextvars.copy_context().run(self._drain, until)

    def _drain(self, until: Callable[[], float]) -> None:
        self._mark_internal()
        while self._clock() < until():
            wait = self.step()
            if wait is None and not len(self._queue):
                return
            left = until() - self._clock()  # read after the turn, which may have changed it by sending
            if wait and left > 0:
                self._queue.wait(min(wait, left), wakeable=False)
