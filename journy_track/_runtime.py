"""The one global tracker and the module-level verbs: the only process-wide state."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Unpack

from journy_track._capture.flushing import Flushed
from journy_track._capture.records import Records
from journy_track._model.forks import configuring, importing
from journy_track._model.logs import say
from journy_track._model.numbers import Health, Receipt, Stats
from journy_track._model.once import forget as forget_what_was_said
from journy_track._model.once import warn_once
from journy_track._verbs import Verbs

if TYPE_CHECKING:
    from journy_track._model.config import Config, Settings
    from journy_track._tracker import Tracker

NOT_CONFIGURED = (
    "journy_track was used before journy_track.configure(): nothing is captured until it is called. "
    "Call it once at start-up, or configure(enabled=False) where nothing shall be tracked."
)


class _NotConfigured:
    """Takes the place of a recorder until `configure()` is called: says so at the first use."""

    debug = False

    @property
    def after_commit(self) -> _NotConfigured:
        return self

    def record(self, *_: Any, **__: Any) -> bool:
        _global.recorder = None
        warn_once("not configured", NOT_CONFIGURED)
        return False

    def refuse(self, reason: str) -> None:
        """There is nothing to count."""


class _Global(Verbs):
    """The verbs of whichever tracker is installed now."""

    def __init__(self) -> None:
        self.tracker: Tracker | None = None
        self.recorder: Records | None = _NotConfigured()
        self.place: str | None = None
        self.lock = configuring
        #: While a test captures: takes what `configure()` was given, in place of a tracker of its own.
        self.captures: Callable[[Config], Tracker] | None = None

    def install(self, tracker: Tracker | None, place: str | None) -> Tracker | None:
        """Put *tracker* in place and answer the one before it."""
        before = self.tracker
        self.tracker = tracker
        self.recorder = _NotConfigured() if tracker is None else tracker.recorder
        self.place = place
        return before


_global = _Global()

# Final: type checkers of other projects take the type as it is found here.
track: Final = _global.track
track_event: Final = _global.track_event
upsert_user: Final = _global.upsert_user
upsert_account: Final = _global.upsert_account
add_users_to_account: Final = _global.add_users_to_account
remove_users_from_account: Final = _global.remove_users_from_account
link: Final = _global.link
delete_user: Final = _global.delete_user
delete_account: Final = _global.delete_account


def configure(api_key: str | None = None, **settings: Unpack[Settings]) -> Tracker:
    """Install the process's one tracker and return it. An argument wins over its environment variable.

    Called again with the same settings it does nothing; with others it replaces the tracker, and the old one
    delivers what it holds on a thread of its own. Raises `ConfigurationError` naming the wrong argument.

    Each setting, with its environment variable and default; durations are seconds or a timedelta.

    - *api_key* (`JOURNY_API_KEY`): of journy.io, Settings, Connections. Without one: one warning, and the tracker is
      disabled. Not needed with a *broker*, nor when *base_url* is this machine. *required*: a missing key raises.
    - *base_url* (`JOURNY_BASE_URL`, https://api.journy.io). Plain http:// to other machines needs *allow_http*
      (`JOURNY_ALLOW_HTTP`).
    - *enabled* (`JOURNY_ENABLED`, true): false makes every call a no-op.
    - *queue_size* (`JOURNY_QUEUE_SIZE`, 10 000 items) and *queue_bytes* (`JOURNY_QUEUE_BYTES`, 64 MiB in bytes):
      bounds of what is held in memory.
    - *max_connections* (`JOURNY_MAX_CONNECTIONS`, 8): requests in flight at once, at most.
    - *share* (`JOURNY_SHARE`): this process's fixed part of the key's budget, above 0 to 1; without it the rate
      headers tell.
    - *timeout* (`JOURNY_TIMEOUT`, 10 s) of one request, connecting and reading, but not looking up the host's name,
      from which the system cannot be called away. *shutdown_timeout* (`JOURNY_SHUTDOWN_TIMEOUT`, 5 s): what exit may
      wait.
    - *max_age* (`JOURNY_MAX_AGE`, 1 h; in a spool 7 days): how long after capture an item is still tried.
    - *on_ambiguous* (`JOURNY_ON_AMBIGUOUS`, `"retry"`): `"drop"` gives up an event whose request may have been
      processed.
    - *skip_unchanged* (`JOURNY_SKIP_UNCHANGED`, 0: off): an upsert identical to one that was confirmed within that
      time is not sent again.
    - *spool* (`JOURNY_SPOOL`): a folder in which items survive the process. *spool_limit* (`JOURNY_SPOOL_LIMIT`,
      1 GiB in bytes): above it the newest are refused.
    - *broker* (`JOURNY_BROKER_URL`): a redis:// URL, or an object as in `journy_track.broker`; a relay delivers.
    - *metadata*: for every event. *trace_ids* (`JOURNY_TRACE_IDS`, true): attach the active OpenTelemetry span's IDs.
      *span_events* (`JOURNY_SPAN_EVENTS`, false): also record each event on that span.
    - *before_send(item)*: returns the item, a changed one, or `None` to drop it; one that raises drops it.
      *on_error(undelivered)*: gets an `Undelivered` for each item that was given up. Both run on the worker.
    - *http_client*: any `HttpClient`. *debug* (`JOURNY_DEBUG`, false): log every item, raise where it is captured.

    With a spool, what `flush()` or 50 ms have passed over survives `kill -9`; delivery is at least once; the order
    per user and account is kept within a process. After a power failure the last moments before it may be lost: the
    disk is not forced at every write.
    """
    # Here, so that a process that never configures it pays for capture at most; and all of it, so that nothing is
    # left to import where an event is captured: in a signal handler, say, or in a child that was just forked.
    with importing:
        from journy_track._model.config import Config
        from journy_track._tracker import Tracker

    config = Config.load(api_key, settings)
    if _global.captures is not None:
        return _global.captures(config)
    place = _caller()
    with _global.lock:
        current = _global.tracker
        if current is not None and current.config == config and not current.closed:
            return current
        before, before_place = current, _global.place
        tracker = Tracker.of(config)
        _global.install(tracker, place)
    if before is not None:
        replaced_alive = not before.closed
        before.retire()
        if place != before_place and replaced_alive:
            say(
                logging.WARNING,
                "configure() was called again with other settings, at %s after %s: the new ones hold",
                place,
                before_place,
            )
    return tracker


def get_tracker() -> Tracker | None:
    """The tracker that `configure()` installed, `None` before."""
    return _global.tracker


def flush(timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
    """Wait until every item captured before this call is settled: delivered, dropped or given up.

    With a spool or a broker it is enough that they are safe there, unless *delivered*. *timeout* is seconds or a
    timedelta; `None` is `shutdown_timeout`. Answers false when it was not enough. Raises `InvalidArgument` for a
    negative *timeout*.
    """
    return _global.tracker is None or _global.tracker.flush(timeout, delivered=delivered)


async def aflush(timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
    """As `flush()`, without blocking the event loop. *timeout* is seconds or a timedelta."""
    return _global.tracker is None or await _global.tracker.aflush(timeout, delivered=delivered)


def flushed(timeout: float | timedelta | None = None) -> Flushed:
    """`flush()` at the end of a `with` or `async with` block, or of each call of a decorated function.

    For short-lived processes, such as AWS Lambda handlers: they are frozen once the handler has returned. Sync and
    async functions alike. *timeout* is seconds or a timedelta; `None` is `shutdown_timeout`. What is late is said,
    and raises nothing.
    """
    return Flushed(flush, aflush, timeout)


def shutdown(timeout: float | timedelta | None = None) -> bool:
    """Deliver what waits, then stop. What is captured later is counted as dropped.

    *timeout* is seconds or a timedelta; `None` is `shutdown_timeout`. Answers false when something had to be dropped
    for lack of time. What is safe in a spool is not lost: another process delivers it.
    """
    return _global.tracker is None or _global.tracker.shutdown(timeout)


def stats() -> Stats:
    """What became of everything that was captured in this process."""
    return Stats() if _global.tracker is None else _global.tracker.stats()


def health() -> Health:
    """Whether delivery works, for alerts and dashboards. Never a readiness probe: the app runs without it."""
    return Health(ok=False, reason="not configured") if _global.tracker is None else _global.tracker.health()


def recent() -> list[Receipt]:
    """The last 100 settled items, oldest first, with attempts, status and request ID."""
    return [] if _global.tracker is None else _global.tracker.recent()


@contextmanager
def replaced(tracker: Tracker, captures: Callable[[Config], Tracker]) -> Iterator[None]:
    """*tracker* in place of whichever is installed, for tests; `configure()` hands what it is given to *captures*."""
    with _global.lock:
        place, before_captures = _global.place, _global.captures
        before = _global.install(tracker, None)
        _global.captures = captures
    forget_what_was_said()
    try:
        yield
    finally:
        forget_what_was_said()
        with _global.lock:
            _global.install(before, place)
            _global.captures = before_captures


@contextmanager
def restored() -> Iterator[None]:
    """What is configured, linked and said inside holds no longer than the block, for tests."""
    before, place = _global.tracker, _global.place
    was_closed = before is None or before.closed
    try:
        yield
    finally:
        forget_what_was_said()
        installed = _global.tracker
        replaced_it = installed is not before
        if replaced_it and before is not None and before.closed and not was_closed:  # configure() has retired it
            before = type(before).of(before.config)
        with _global.lock:
            _global.install(before, place)
        if replaced_it and installed is not None and not installed.closed:
            installed.retire()


def reinstall(tracker: Tracker) -> None:
    """*tracker* has another recorder than before."""
    _global.recorder = tracker.recorder


def reset() -> Tracker | None:
    """As before the first `configure()`, for tests. Answers the tracker that was installed: shut it down."""
    forget_what_was_said()
    with _global.lock:
        _global.captures = None
        return _global.install(None, None)


def _caller() -> str:
    frame = sys._getframe(2)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
