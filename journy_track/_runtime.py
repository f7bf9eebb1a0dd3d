"""The global tracker and the module-level verbs: the only process-wide state."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Unpack

from journy_track._capture import mistakes
from journy_track._capture.flushing import Flushed, seconds_of
from journy_track._capture.records import Records
from journy_track._model.forks import configuring, importing
from journy_track._model.frameworks import propagate
from journy_track._model.logs import log
from journy_track._model.numbers import Health, Receipt, Stats
from journy_track._model.once import forget as forget_what_was_said
from journy_track._model.once import warn_once
from journy_track._model.secret import hidden, hidden_values
from journy_track._verbs import Verbs

if TYPE_CHECKING:
    from journy_track._bulk.block import Bulk
    from journy_track._model.config import Config, Settings
    from journy_track._tracker import Tracker

NOT_CONFIGURED = (
    "nothing is captured before journy_track.configure() is called, as at %s. "
    "Call it once at the start of each process, or configure(enabled=False) where nothing should be tracked."
)
NOT_INHERITED = (
    "nothing is captured in this child process, which could not get the settings of its parent: %s. Call "
    "journy_track.configure() in the child, for example as initializer= of its pool; or pass only functions and "
    "objects that can be pickled, such as functions of a module, to configure() in the parent."
)


class _NotConfigured:
    """A placeholder for the recorder until `configure()` is called: on first use it inherits settings, or warns."""

    debug = False

    @property
    def after_commit(self) -> Records:
        inherit()
        recorder = self._installed()
        return self if recorder is None else recorder.after_commit

    def record(self, *arguments: Any, **named: Any) -> bool:
        recorder = self._inherited()
        return recorder is not None and recorder.record(*arguments, **named)

    def refuse(self, reason: str) -> None:
        """Log that nothing is configured: there is no count to add to."""
        recorder = self._inherited()
        if recorder is not None and reason:
            recorder.refuse(reason)

    def _inherited(self) -> Records | None:
        if not inherit():
            _global.capture_nothing()
            with importing:
                from journy_track._model.places import captured_at
            warn_once("not configured", NOT_CONFIGURED, captured_at())
        return self._installed()

    def _installed(self) -> Records | None:
        # Not `_global.recorder`, which is still a placeholder while another thread is in the middle of `install()`.
        tracker = _global.tracker
        return None if tracker is None else tracker.recorder


class _Global(Verbs):
    """The verbs of the currently installed tracker."""

    def __init__(self) -> None:
        self.tracker: Tracker | None = None
        self.recorder: Records | None = _NotConfigured()
        self.place: str | None = None
        self.lock = configuring
        #: Whether the settings of a parent process are being read.
        self.inheriting = False
        #: Called with each tracker that is installed.
        self.followers: list[Callable[[Tracker | None], object]] = []
        #: While a test captures: called with the settings passed to `configure()`, which then makes no new tracker.
        self.captures: Callable[[Config], Tracker] | None = None

    def __reduce__(self) -> str:
        """Pickle by name: a function that is pickled by value uses the tracker of the process that loads it."""
        return "_global"

    @property
    def strict(self) -> bool:
        return super().strict if self.tracker is None else self.tracker.strict

    def install(self, tracker: Tracker | None, place: str | None) -> Tracker | None:
        """Install *tracker* and return the previous one."""
        before = self.tracker
        self.tracker = tracker
        self.recorder = _NotConfigured() if tracker is None else tracker.recorder
        _hand_over(None if tracker is None else tracker.config)
        self.place = place
        for follower in self.followers:
            follower(tracker)
        return before

    def capture_nothing(self) -> None:
        """Make later captures cost nothing, unless a tracker is installed or is just being installed."""
        # Never waits for the lock: in a signal handler, its holder might be waiting for this thread.
        if self.lock.acquire(blocking=False):
            try:
                if self.tracker is None:
                    self.recorder = None
            finally:
                self.lock.release()


_global = _Global()
mistakes.strict = lambda: _global.strict

# Final, so that type checkers infer the types in other projects.
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
    """Install the process's tracker and return it. An argument overrides its environment variable.

    A second call with the same settings does nothing. With different settings it replaces the tracker; the old one
    delivers its remaining items on its own thread. Raises `ConfigurationError` naming the wrong argument.

    The settings, with their environment variables and defaults; durations are seconds or a timedelta:

    - *api_key* (`JOURNY_API_KEY`): from journy.io (Settings, Connections). Without one, a warning is logged and the
      tracker is disabled; with *required*, `configure()` raises instead. Not needed with a *broker*, or if *base_url*
      points to this machine.
    - *base_url* (`JOURNY_BASE_URL`, https://api.journy.io). Plain http:// to other machines needs *allow_http*
      (`JOURNY_ALLOW_HTTP`).
    - *write_key* (`JOURNY_WRITE_KEY`): the key of journy.io's API/SDK connector. Events, upserts and memberships are
      then sent in batches to *batch_url* (`JOURNY_BATCH_URL`, https://analyze.journy.io/backend/v1/batch, or this
      machine if *base_url* points to it). A batch is sent when it is full or after *batch_interval*
      (`JOURNY_BATCH_INTERVAL`, 0.5 s). Calls that batches do not support use the REST API if there is an *api_key*;
      otherwise they are dropped and counted as `no_counterpart`.
    - *enabled* (`JOURNY_ENABLED`, true): false makes every call a no-op.
    - *queue_size* (`JOURNY_QUEUE_SIZE`, 10 000 items) and *queue_bytes* (`JOURNY_QUEUE_BYTES`, 64 MiB in bytes):
      limits on what is held in memory.
    - *max_connections* (`JOURNY_MAX_CONNECTIONS`, 8): the maximum number of requests in flight.
    - *share* (`JOURNY_SHARE`): this process's fixed share of the key's budget, above 0 and up to 1; without it, the
      pace follows the rate-limit headers. *priority* (`JOURNY_PRIORITY`, `"live"`): `"bulk"` uses only the part of
      the budget that live events leave, for imports, syncs and nightly scripts.
    - *max_delay* (`JOURNY_MAX_DELAY`, 60 s): `health()` is not ok while an item has been waiting longer than this.
    - *timeout* (`JOURNY_TIMEOUT`, 10 s): for one request, for connecting and reading, but not for resolving the host
      name, which cannot be interrupted.
    - *shutdown_timeout* (`JOURNY_SHUTDOWN_TIMEOUT`, 5 s): how long exit waits while nothing is delivered.
      *shutdown_limit* (`JOURNY_SHUTDOWN_LIMIT`, 25 s; 10 minutes if a script ends by itself): how long it waits in
      total, while deliveries succeed. With a *spool* it waits *shutdown_timeout* in total. *wrap_os_exit*
      (`JOURNY_WRAP_OS_EXIT`, true): forked children deliver before `os._exit`.
    - *max_age* (`JOURNY_MAX_AGE`, 1 h; with a spool, 7 days): how long after capture delivery is still attempted.
    - *on_ambiguous* (`JOURNY_ON_AMBIGUOUS`, `"retry"`): `"drop"` gives up an event whose request may have been
      processed.
    - *skip_unchanged* (`JOURNY_SKIP_UNCHANGED`, 0: off): an upsert identical to one that was confirmed within that
      time is not sent again. *skip_unchanged_state* (`JOURNY_SKIP_UNCHANGED_STATE`): a SQLite file of keyed digests,
      readable only by its owner, which makes this survive restarts and shares it between processes. The time then
      differs for each user and account, between half of *skip_unchanged* and all of it, so that they are not all sent
      again on the same day. Deletes and other upserts by trackers that use the same file are taken into account. With
      a different key, everything is sent once more.
    - *spool* (`JOURNY_SPOOL`): a folder in which items survive the process. *spool_limit* (`JOURNY_SPOOL_LIMIT`,
      1 GiB in bytes): when it is reached, new items are refused. *spool_shared* (`JOURNY_SPOOL_SHARED`, false): allow
      a folder that belongs to, or can be written by, other users.
    - *broker* (`JOURNY_BROKER_URL`): a redis:// URL, or an object as in `journy_track.broker`; a relay delivers.
    - *metadata*: added to every event. *trace_ids* (`JOURNY_TRACE_IDS`, true): attach the IDs of the active
      OpenTelemetry span.
      *span_events* (`JOURNY_SPAN_EVENTS`, false): also record each event on that span.
    - *before_send(item)*: returns the item, a changed one, or `None` to drop it. If it raises, the item is dropped.
      *allow(user)*: returns whether that `UserIdentified` may be tracked, for example whether they consented. Called
      at most once a minute for each user. If it returns false or raises, the item is dropped; deletes and removals
      are still sent. *on_error(undelivered)*: receives an `Undelivered` for each item that was given up. All three
      run on the worker thread.
    - *strict* (`JOURNY_STRICT`; by default, under pytest and with *debug*): wrong values, such as an empty ID, raise
      `InvalidArgument` where they are passed. Otherwise the item is sent without that value, or is dropped, counted
      as `invalid` and logged.
    - *propagate_to* (`JOURNY_PROPAGATE_TO`, comma-separated): hosts of your own services, as in ``("*.internal",)``.
      Requests to them by requests, httpx, aiohttp and urllib3 include the header that `inject()` writes; requests to
      other hosts never do.
    - *carrier_secret* (`JOURNY_CARRIER_SECRET`): signs what `inject()` writes; `extract()` then refuses anything that
      is not signed with it. At least 16 characters.
    - *http_client*: any `HttpClient`. *debug* (`JOURNY_DEBUG`, false): log every item, and raise errors where the
      item is captured.

    With a spool, everything that was flushed, or captured more than 50 ms ago, survives `kill -9`. Delivery is at
    least once, and the order per user and account is kept within a process. After a power failure the last items
    captured before it may be lost: not every write is synced to disk.
    """
    api_key, settings = hidden(api_key), hidden_values(settings)  # first: no error report must show a key
    # Imported here, so that a process that never calls configure() loads capture at most; and completely, so that
    # capturing an event imports nothing, for example in a signal handler or in a freshly forked child.
    with importing:
        from journy_track._model.config import Config, misspelt
        from journy_track._tracker import Tracker

    config = Config.load(api_key, settings)
    for name, meant in misspelt(os.environ):
        warn_once(name, "%s is not a setting of journy_track, and is ignored: did you mean %s?", name, meant)
    if _global.captures is not None:
        return _global.captures(config)
    place = _caller()
    with _global.lock:
        current = _global.tracker
        if current is not None and current.config == config and not current.closed:
            return current
        before_place = _global.place
        tracker = Tracker.of(config)
        before = _global.install(tracker, place)
    if config.propagate_to:
        propagate()
    if before is not None:
        replaced_alive = not before.closed
        before.retire()
        if place != before_place and replaced_alive:
            log(
                logging.WARNING,
                "configure() was called again with different settings, at %s after %s: the new ones apply. Keep one "
                "of the calls.",
                place,
                before_place,
            )
    return tracker


def inherit() -> bool:
    """Install a tracker with the parent's settings, in a multiprocessing child that has configured nothing.

    Returns whether a tracker is installed. If the settings could not be handed over, a warning is logged.
    """
    if _global.tracker is not None:
        return True
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return False
    with importing:
        from journy_track._model import children
        from journy_track._tracker import Tracker

    with _global.lock:
        if _global.inheriting:  # a module imported while reading the settings tracks something
            return False
        if _global.tracker is None:
            _global.inheriting = True
            try:
                config = children.inherited()
            except children.NotInherited as why:
                if _global.tracker is None:
                    warn_once("not configured", NOT_INHERITED, why)
                config = None
            finally:
                _global.inheriting = False
            if _global.tracker is not None:  # a module imported while reading the settings has called configure()
                return True
            if config is None:
                return False
            _global.install(Tracker.of(config), None)
            if config.propagate_to:
                propagate()
    return True


def _hand_over(config: Config | None) -> None:
    with importing, suppress(ImportError):  # some systems have no processes
        from journy_track._model import children

        children.hand_over(config)


def refuse(reason: str) -> None:
    """Count an item that was lost before it was captured, if there is a tracker to count it."""
    recorder = _global.recorder
    if recorder is not None:
        recorder.refuse(reason)


def get_tracker() -> Tracker | None:
    """The tracker that `configure()` installed; `None` if there is none.

    A multiprocessing child gets a tracker with its parent's settings.
    """
    inherit()
    return _global.tracker


def follow(follower: Callable[[Tracker | None], object]) -> None:
    """Call *follower* with the installed tracker, now and whenever another one is installed."""
    with _global.lock:
        _global.followers.append(follower)
        follower(_global.tracker)


def is_captured() -> bool:
    """Whether a test is capturing what is tracked."""
    return _global.captures is not None


def enabled_tracker() -> Tracker | None:
    """The tracker that `configure()` installed; `None` if it captures nothing. Warns before `configure()`."""
    if _global.tracker is None:
        refuse("")  # warns that nothing is configured
    return _global.tracker if _global.tracker is not None and _global.tracker.enabled else None


def flush(timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
    """Wait until every item captured before this call is settled: delivered, dropped or given up.

    With a spool or a broker, items that are stored there count as settled, unless *delivered*. *timeout* is seconds
    or a timedelta; `None` is `shutdown_timeout`. Returns false if it expired. Raises `InvalidArgument` for a negative
    *timeout*.
    """
    return _global.tracker is None or _global.tracker.flush(timeout, delivered=delivered)


async def aflush(timeout: float | timedelta | None = None, *, delivered: bool = False) -> bool:
    """Like `flush()`, without blocking the event loop. *timeout* is seconds or a timedelta."""
    return _global.tracker is None or await _global.tracker.aflush(timeout, delivered=delivered)


def flushed(timeout: float | timedelta | None = None) -> Flushed:
    """`flush()` at the end of a `with` or `async with` block, or of each call of a decorated function.

    For short-lived processes such as AWS Lambda, which are frozen once the handler has returned. Works with sync and
    async functions. *timeout* is seconds or a timedelta; `None` is `shutdown_timeout`. If the timeout expires, a
    warning is logged; nothing is raised.
    """
    return Flushed(flush, aflush, timeout)


def bulk(*, patience: float | timedelta = 600.0) -> Bulk:
    """A `with` block in which calls wait for room in the queue instead of dropping items, for scripts and jobs.

        with journy_track.bulk() as job:
            for account in accounts:
                journy_track.upsert_account(account_id=account.id, plan=account.plan)
        print(job.report)

    Memory stays within `queue_size` and `queue_bytes`. Leaving the block waits until everything is delivered; with a
    broker, until it is published. Then `job.report` is a frozen `Report`. Progress is shown in the terminal (with the
    extra `cli`), or logged every minute. Threads started in the block also wait if their function was wrapped in
    `in_context()`; other threads drop items as usual. Items with `after_commit` wait for their commit, within limits.

    Calls stop waiting after *patience* seconds (or a timedelta) in which nothing was settled, or if the key is
    refused; `job.report.stopped` gives the reason. After Ctrl-C or any other exception, leaving does not wait either:
    delivery continues until the process ends.

    Raises `JournyError` on an event loop, in a web request and in a signal handler, which must not wait, and
    `InvalidArgument` for a negative *patience*. Calls made from such a place inside the block drop items as usual.
    """
    with importing:
        from journy_track._bulk.block import Bulk

    return Bulk(enabled_tracker, seconds_of(patience, "patience"))


def shutdown(timeout: float | timedelta | None = None) -> bool:
    """Deliver what is waiting, then stop. Items captured later are counted as dropped.

    *timeout* is seconds or a timedelta. `None`: for as long as deliveries succeed, up to `shutdown_limit`, and
    `shutdown_timeout` while nothing is delivered. Returns false if items were dropped because the time ran out.
    Items in a spool are not lost: another process delivers them.
    """
    return _global.tracker is None or _global.tracker.shutdown(timeout)


def stats() -> Stats:
    """What became of everything that was captured in this process."""
    tracker = get_tracker()
    return Stats() if tracker is None else tracker.stats()


def health() -> Health:
    """Whether delivery works, for alerts and dashboards. Not a readiness probe: the app runs without it."""
    tracker = get_tracker()
    return Health(ok=False, reason="not configured") if tracker is None else tracker.health()


def recent() -> list[Receipt]:
    """The last 100 settled items, oldest first, with attempts, status and request ID."""
    tracker = get_tracker()
    return [] if tracker is None else tracker.recent()


@contextmanager
def replaced(tracker: Tracker, captures: Callable[[Config], Tracker]) -> Iterator[None]:
    """Install *tracker* for the block, for tests; `configure()` passes its settings to *captures*."""
    with _global.lock:
        place, before_captures = _global.place, _global.captures
        before = _global.install(tracker, None)
        _hand_over(None)  # otherwise child processes would deliver
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
    """Undo at the end of the block what was configured, linked and logged in it, for tests."""
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
    """Use the recorder of *tracker*, which has changed."""
    _global.recorder = tracker.recorder


def reset() -> Tracker | None:
    """Return to the state before the first `configure()`, for tests.

    Returns the tracker that was installed; the caller shuts it down.
    """
    forget_what_was_said()
    with _global.lock:
        _global.captures = None
        return _global.install(None, None)


def _caller() -> str:
    frame = sys._getframe(2)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
