"""The tracker, which captures items and delivers them. An application has one, and may have more beside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from pickle import PicklingError
from typing import TYPE_CHECKING, NoReturn, Unpack

from journy_track import _process
from journy_track._capture.context import in_our_own_code
from journy_track._capture.flushing import Flushed, seconds_of
from journy_track._capture.mistakes import is_strict
from journy_track._capture.queue import BoundedQueue
from journy_track._capture.recorder import Recorder
from journy_track._delivery.ledger import Watcher
from journy_track._delivery.pipeline import Pipeline
from journy_track._delivery.preparing import Preparer
from journy_track._model import frameworks
from journy_track._model.config import Config, Settings
from journy_track._model.ending import LOOK, SCRIPT_LIMIT, SERVER_LIMIT, Ending
from journy_track._model.forks import importing
from journy_track._model.logs import log
from journy_track._model.notices import Notices
from journy_track._model.numbers import Health, Receipt, Stats
from journy_track._model.outcomes import JobOutcome
from journy_track._model.secret import hidden, hidden_values
from journy_track._model.unnamed import UnnamedPlaces
from journy_track._verbs import Verbs

if TYPE_CHECKING:
    from journy_track._bulk.block import Bulk

NO_KEY = (
    "no API key: journy_track is disabled and nothing is captured. Make a key at journy.io (Settings, "
    "Connections, with the permission to track data) and set JOURNY_API_KEY, or JOURNY_WRITE_KEY to that of its "
    "API/SDK connector. To run without one, set "
    "JOURNY_ENABLED=0, or point JOURNY_BASE_URL at a local inspector (journy-track inspect)."
)


class Tracker(Verbs):
    """Captures users, accounts and events, and delivers them to journy.io on a thread of its own.

    Takes the same arguments as `configure()`. Raises `ConfigurationError` for a wrong setting. Without a key it is
    disabled and logs a warning.
    """

    #: Called with the seconds and the outcome of each request: see `Dispatcher.on_request`.
    _on_request: Callable[[float, JobOutcome | None], object] | None = None

    def __init__(self, api_key: str | None = None, **settings: Unpack[Settings]) -> None:
        api_key, settings = hidden(api_key), hidden_values(settings)  # first: no error report must show a key
        self._start(Config.load(api_key, settings))

    @classmethod
    def of(cls, config: Config) -> Tracker:
        """A tracker with these settings."""
        tracker = cls.__new__(cls)
        tracker._start(config)
        return tracker

    def _start(self, config: Config) -> None:
        #: The checked settings. The key is shown as ``***``.
        self.config = config
        self._closed = False
        self._pipelines: dict[int, Pipeline] = {}
        self._parents_pipelines: list[dict[int, Pipeline]] = []
        #: The places that captured items without a user or account: for the inspector, and for no other server.
        self._places = UnnamedPlaces() if config.loopback else None
        #: Where captured items go; `None` when disabled. While a test captures, it is the test's recorder.
        self.recorder: Recorder | None = None
        self._enabled = False
        if not config.enabled:
            return
        if not config.has_key:
            log(logging.WARNING, NO_KEY)
            return
        check = None if self._places is None else self._places.note
        if config.debug and self.strict:
            check = Preparer(config, Notices()).check
        self.recorder = Recorder(config, self._queue, check)
        self._enabled = True
        _process.watch(self)
        self._pipeline().resume()
        frameworks.started(durable=config.spool is not None or config.broker is not None)

    @property
    def strict(self) -> bool:
        """Whether wrong values raise where they are passed: as set, or else under pytest and with `debug`."""
        return is_strict(self.config)

    @property
    def enabled(self) -> bool:
        """Whether it captures anything: it is not switched off, and it has a key."""
        return self._enabled

    @property
    def closed(self) -> bool:
        """Whether it no longer accepts items: it was shut down, or replaced by another `configure()`."""
        return self._closed

    def __repr__(self) -> str:
        if not hasattr(self, "recorder"):  # a wrong setting raised, and a debugger shows this object
            return "<journy_track.Tracker not made>"
        state = "disabled" if not self._enabled else "shut down" if self._closed else "enabled"
        return f"<journy_track.Tracker {self.config.base_url} {state}>"

    def __reduce__(self) -> NoReturn:
        raise PicklingError(
            "a Tracker cannot be pickled, and neither can a function that it decorates, if pickled by value: "
            "decorate with journy_track.track_event, which uses the tracker of the calling process"
        )

    # ── Waiting and ending ──

    def flush(self, timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
        """Wait until every item captured before this call is settled: delivered, dropped or given up.

        With a spool, items that are safe on disk count as settled, unless *delivered*. *timeout* is seconds or a
        timedelta; `None` is `shutdown_timeout`. Returns false if it expired, and at once if called from the
        tracker's own thread or hooks. Does not wait for items of a request whose user is not known yet: that request
        has to end first.
        """
        seconds = self._seconds(timeout)
        if not self._enabled:
            return True
        return not in_our_own_code() and self._pipeline().waiting.flush(seconds, delivered=delivered)

    async def aflush(self, timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
        """Like `flush()`, without blocking the event loop. *timeout* is seconds or a timedelta."""
        seconds = self._seconds(timeout)
        if not self._enabled:
            return True
        return not in_our_own_code() and await self._pipeline().waiting.aflush(seconds, delivered=delivered)

    async def aflush_at_end(self) -> bool:
        """Like `aflush()`, when the server stops: waits as long as exit would."""
        if not self._enabled:
            return True
        ending = Ending(self.config.shutdown_timeout, self.exit_limit())
        pipeline = self._pipeline()
        while not await pipeline.waiting.aflush(max(0.0, min(LOOK, pipeline.left_of(ending)))):
            if pipeline.left_of(ending) <= 0:
                return False
        return True

    def flushed(self, timeout: float | timedelta | None = None) -> Flushed:
        """`flush()` at the end of a `with` or `async with` block, or of each call of a decorated function.

        For short-lived processes such as AWS Lambda, which are frozen once the handler has returned.
        *timeout* is seconds or a timedelta; `None` is `shutdown_timeout`. If the timeout expires, a warning is
        logged; nothing is raised.
        """
        return Flushed(self.flush, self.aflush, timeout)

    def bulk(self, *, patience: float | timedelta = 600.0) -> Bulk:
        """Like `journy_track.bulk()`: in this `with` block, calls wait for room instead of dropping items.

        *patience* is seconds or a timedelta: if no item is settled for that long, calls stop waiting.
        """
        with importing:
            from journy_track._bulk.block import Bulk

        return Bulk(lambda: self if self.enabled else None, seconds_of(patience, "patience"))

    def owns(self, queue: object) -> bool:
        """Whether *queue* is this tracker's queue in this process."""
        pipeline = self._pipelines.get(os.getpid())
        return pipeline is not None and pipeline.queue is queue

    @property
    def hands_over(self) -> bool:
        """Whether a relay delivers the items, from the broker."""
        return self.config.broker is not None

    def shutdown(self, timeout: float | timedelta | None = None) -> bool:
        """Deliver what is waiting, then stop. Items captured later are counted as dropped.

        *timeout* is seconds or a timedelta. `None`: for as long as deliveries succeed, up to `shutdown_limit`, and
        `shutdown_timeout` while nothing is delivered. Returns false if items were dropped because the time ran out.
        Items in a spool are not lost: another process delivers them.
        """
        ending = Ending(self.config.shutdown_timeout, self.exit_limit()) if timeout is None else None
        ending = ending or Ending(self._seconds(timeout))
        if not self._enabled:
            return True
        return not in_our_own_code() and self._end(ending)

    def retire(self) -> None:
        """Accept nothing more, deliver what is waiting, then stop. Returns at once."""
        if self._enabled:
            self._closed = True
            self._pipeline().retire(then=lambda: _process.forget(self))

    def _end(self, ending: Ending, on_wait: Callable[[int], object] = lambda left: None) -> bool:
        self._closed = True
        delivered = self._pipeline().end(ending, on_wait)
        _process.forget(self)
        return delivered

    # ── Numbers ──

    def stats(self) -> Stats:
        """What became of everything that was captured in this process."""
        return Stats() if not self._enabled else self._pipeline().stats()

    def health(self) -> Health:
        """Whether delivery works, for alerts and dashboards. Not a readiness probe: the app runs without it."""
        if not self._enabled:
            reason = "disabled: enabled is false" if not self.config.enabled else "disabled: no API key"
            return Health(ok=False, reason=reason)
        return self._pipeline().health()

    def recent(self) -> list[Receipt]:
        """The last 100 settled items, oldest first, with attempts, status and request ID."""
        return [] if not self._enabled else self._pipeline().ledger.recent()

    def _numbers(self) -> tuple[Stats, Health] | None:
        """Both, taken at the same moment, for metrics; `None` if this process has no pipeline yet.

        Starts nothing in a forked child.
        """
        pipeline = self._pipelines.get(os.getpid())
        return None if pipeline is None else pipeline.numbers()

    def _time_requests(self, on_request: Callable[[float, JobOutcome | None], object]) -> None:
        """Call *on_request* with the seconds and the outcome of each request, in this process and its children."""
        self._on_request = on_request
        for pipeline in list(self._pipelines.values()):
            pipeline.dispatcher.on_request = on_request

    def _follow(self, watcher: Watcher) -> None:
        """Call *watcher* with the outcome of each item in this process. The command line uses it to count rows."""
        self._pipeline().ledger.watcher = watcher

    # ── The process ──

    def at_exit(self, ending: Ending, on_wait: Callable[[int], object] = lambda left: None) -> None:
        """Deliver as much as *ending* leaves time for, when the process ends."""
        self._end(ending, on_wait)

    def after_fork(self) -> None:
        """Start with a new dict of pipelines in a forked child.

        On free-threaded Python each dict has a lock, which a thread of the parent may have held during the fork. The
        parent's dict is kept alive: nothing in it may be closed here.
        """
        self._parents_pipelines.append(self._pipelines)
        self._pipelines = {}

    def before_exit(self) -> None:
        """Prepare for the end of the process, after which no thread may start."""
        pipeline = self._pipelines.get(os.getpid())
        if pipeline is not None:
            pipeline.before_exit()

    def exit_timeout(self) -> float:
        """The seconds that exit waits while nothing is delivered."""
        return self.config.shutdown_timeout

    def exit_limit(self) -> float:
        """The seconds that exit waits in total."""
        config = self.config
        if config.spool is not None:  # the items are safe, so a deploy need not wait for a backlog of days
            return config.shutdown_timeout
        if config.shutdown_limit is not None:
            return config.shutdown_limit
        return SCRIPT_LIMIT if _process.ends_by_itself() else SERVER_LIMIT

    @property
    def wraps_os_exit(self) -> bool:
        """Whether a forked child delivers before `os._exit`."""
        return self.config.wrap_os_exit

    @property
    def has_waiting(self) -> bool:
        """Whether items that this process captured are waiting in memory."""
        pipeline = self._pipelines.get(os.getpid())
        return pipeline is not None and pipeline.has_waiting

    def count_refused_carrier(self) -> None:
        """Count a carrier that was not signed with `carrier_secret`."""
        if self._enabled:
            self._queue().carriers_refused.add()

    def _queue(self) -> BoundedQueue:
        return self._pipeline().queue

    def _pipeline(self) -> Pipeline:
        pid = os.getpid()
        pipeline = self._pipelines.get(pid)
        if pipeline is None:
            # A forked child creates its own pipeline on first use, not right after the fork: gevent patches a
            # gunicorn worker later than that, and the pipeline's locks must be gevent's.
            # setdefault is atomic: if two threads get here first, they share one pipeline, without a lock that a fork
            # could leave held. The parent's pipeline is neither used nor closed: its sockets belong to the parent.
            pipeline = self._pipelines.setdefault(pid, self._made())
            if self._closed:  # only then: shutdown() on another thread may have closed the queue since
                pipeline.queue.closed = True
            pipeline.dispatcher.on_request = self._on_request
        return pipeline

    def _made(self) -> Pipeline:
        return Pipeline(self.config, places=self._places)

    def _seconds(self, timeout: float | timedelta | None) -> float:
        return self.config.shutdown_timeout if timeout is None else seconds_of(timeout)
