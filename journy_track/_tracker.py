"""The tracker: capture in, numbers out. One per application; a second one may stand beside it."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Unpack

from journy_track import _process
from journy_track._capture.context import in_our_own_code
from journy_track._capture.flushing import Flushed, seconds_of
from journy_track._capture.queue import BoundedQueue
from journy_track._capture.recorder import Recorder
from journy_track._delivery.ledger import Watcher
from journy_track._delivery.notices import Notices
from journy_track._delivery.preparing import Preparer
from journy_track._engine import Engine
from journy_track._model.clock import monotonic
from journy_track._model.config import Config, Settings
from journy_track._model.logs import say
from journy_track._model.numbers import Health, Receipt, Stats
from journy_track._model.once import warn_once
from journy_track._verbs import Verbs

NO_KEY = (
    "no API key: journy_track is disabled and nothing is captured. Make a key at journy.io (Settings, "
    "Connections, with the permission to track data) and set JOURNY_API_KEY. To run without one, set "
    "JOURNY_ENABLED=0, or point JOURNY_BASE_URL at a local inspector (journy-track inspect)."
)

NO_THREADS = (
    "uWSGI runs here without Python's threads, so nothing would be delivered while it serves: start it with "
    "--enable-threads (or --threads)."
)


class Tracker(Verbs):
    """Captures users, accounts and events, and delivers them to journy.io on a thread of its own.

    Takes what `configure()` takes. Raises `ConfigurationError` for a wrong setting. Without a key it is
    disabled, and says so once.
    """

    def __init__(self, api_key: str | None = None, **settings: Unpack[Settings]) -> None:
        self._start(Config.load(api_key, settings))

    @classmethod
    def of(cls, config: Config) -> Tracker:
        """A tracker with these settings."""
        tracker = cls.__new__(cls)
        tracker._start(config)
        return tracker

    def _start(self, config: Config) -> None:
        #: The settings, checked. The key shows as ``***``.
        self.config = config
        self._closed = False
        self._engines: dict[int, Engine] = {}
        #: Where captured items go; `None` when disabled. While a test captures, that is the test's.
        self.recorder: Recorder | None = None
        self._enabled = False
        if not config.enabled:
            return
        if config.usable_key is None:
            say(logging.WARNING, NO_KEY)
            return
        check = Preparer(config, Notices()).check if config.debug else None
        self.recorder = Recorder(config, self._queue, check)
        self._enabled = True
        _process.watch(self)
        self._engine().resume()
        if _process.uwsgi_without_threads():
            warn_once("uwsgi", NO_THREADS)

    @property
    def closed(self) -> bool:
        """Whether it takes nothing more: it was shut down, or replaced by another `configure()`."""
        return self._closed

    def __repr__(self) -> str:
        if not hasattr(self, "recorder"):  # a wrong setting raised, and a debugger looks at it
            return "<journy_track.Tracker not made>"
        state = "disabled" if not self._enabled else "shut down" if self._closed else "enabled"
        return f"<journy_track.Tracker {self.config.base_url} {state}>"

    # ── Waiting and ending ──

    def flush(self, timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
        """Wait until every item captured before this call is settled: delivered, dropped or given up.

        With a spool it is enough that they are safe on disk, unless *delivered*. *timeout* is seconds or a
        timedelta; `None` is `shutdown_timeout`. Answers false when it was not enough, and at once when called
        from the tracker's own thread or hooks.
        What still waits to know its request's user is not waited for: that request has to end first.
        """
        seconds = self._seconds(timeout)
        if not self._enabled:
            return True
        return not in_our_own_code() and self._engine().flush(seconds, delivered=delivered)

    async def aflush(self, timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
        """As `flush()`, without blocking the event loop. *timeout* is seconds or a timedelta."""
        seconds = self._seconds(timeout)
        if not self._enabled:
            return True
        return not in_our_own_code() and await self._engine().aflush(seconds, delivered=delivered)

    def flushed(self, timeout: float | timedelta | None = None) -> Flushed:
        """`flush()` at the end of a `with` or `async with` block, or of each call of a decorated function.

        For short-lived processes, such as AWS Lambda handlers: they are frozen once the handler has returned.
        *timeout* is seconds or a timedelta; `None` is `shutdown_timeout`. What is late is said, and raises nothing.
        """
        return Flushed(self.flush, self.aflush, timeout)

    def shutdown(self, timeout: float | timedelta | None = None) -> bool:
        """Deliver what waits, then stop. What is captured later is counted as dropped.

        *timeout* is seconds or a timedelta; `None` is `shutdown_timeout`. Answers false when something had to
        be dropped for lack of time. What is safe in a spool is not lost: another process delivers it.
        """
        seconds = self._seconds(timeout)
        if not self._enabled:
            return True
        if in_our_own_code():
            return False
        return self._end(monotonic() + seconds)

    def retire(self) -> None:
        """Take nothing more, deliver what waits, then stop. Does not wait."""
        if self._enabled:
            self._closed = True
            self._engine().retire(then=lambda: _process.forget(self))

    def _end(self, deadline: float) -> bool:
        self._closed = True
        delivered = self._engine().end(deadline)
        _process.forget(self)
        return delivered

    # ── Numbers ──

    def stats(self) -> Stats:
        """What became of everything that was captured in this process."""
        return Stats() if not self._enabled else self._engine().ledger.stats()

    def health(self) -> Health:
        """Whether delivery works, for alerts and dashboards. Never a readiness probe: the app runs without it."""
        if not self._enabled:
            reason = "disabled: enabled is false" if not self.config.enabled else "disabled: no API key"
            return Health(ok=False, reason=reason)
        return self._engine().health()

    def recent(self) -> list[Receipt]:
        """The last 100 settled items, oldest first, with attempts, status and request ID."""
        return [] if not self._enabled else self._engine().ledger.recent()

    def _follow(self, watcher: Watcher) -> None:
        """Tell *watcher* what becomes of each item of this process. For the command line, which counts rows."""
        self._engine().ledger.watcher = watcher

    # ── The process ──

    def at_exit(self, deadline: float) -> None:
        """The process ends: deliver what can be delivered until *deadline*, in seconds of the monotonic clock."""
        self._end(deadline)

    def exit_timeout(self) -> float:
        """The seconds that exit may wait."""
        return self.config.shutdown_timeout

    def _queue(self) -> BoundedQueue:
        return self._engine().queue

    def _engine(self) -> Engine:
        pid = os.getpid()
        engine = self._engines.get(pid)
        if engine is None:
            # A forked child makes its own when it first needs it, and not as soon as it is forked: a worker of
            # gunicorn that is patched by gevent is patched later, and its locks must be gevent's.
            # setdefault is atomic: two threads that come first make one engine, without a lock that a fork
            # could leave held. The parent's is kept, neither used nor closed: its sockets are the parent's.
            engine = self._engines.setdefault(pid, Engine(self.config))
            engine.queue.closed = self._closed
        return engine

    def _seconds(self, timeout: float | timedelta | None) -> float:
        return self.config.shutdown_timeout if timeout is None else seconds_of(timeout)
