"""`sync_accounts()` and `sync_users()`, which send a row if it differs from what journy.io last confirmed."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from journy_track._bulk.block import PATIENCE, Bulk
from journy_track._bulk.report import Report
from journy_track._capture.flushing import seconds_of
from journy_track._model import checks
from journy_track._model.clock import monotonic
from journy_track._model.config import Config
from journy_track._model.errors import ConfigurationError, InvalidArgument, JournyError, described
from journy_track._model.logs import log
from journy_track._model.secret import Secret
from journy_track._runtime import enabled_tracker, get_tracker, is_captured
from journy_track._state.alone import Alone, AloneInRedis, AloneWithFile
from journy_track._state.digests import Digests, trouble_with
from journy_track._stores.store import StoreError
from journy_track._sync.rows import ACCOUNTS, USERS, AccountRow, Kind, UserRow, calls_of, names_nobody
from journy_track._sync.tracker import SyncTracker
from journy_track._tracker import Tracker

_GO_ON = "Run it again: what journy.io confirmed is not sent again."
_MONTH = timedelta(days=30)
#: Seconds after which a waiting sync checks again.
_LOOK_AGAIN = 0.2


def sync_accounts(
    rows: Iterable[AccountRow],
    *,
    state: str | os.PathLike[str] | None = None,
    max_age: float | timedelta = _MONTH,
    share: float = 0.5,
    dry_run: bool = False,
    everything: bool = False,
    patience: float | timedelta = PATIENCE,
    wait: float | timedelta = 0.0,
) -> Report:
    """Bring every account at journy.io up to date. Only rows that differ from what it last confirmed are sent.

        report = journy_track.sync_accounts(
            ((account.id, {"plan": account.plan, "seats": account.seats}) for account in accounts),
            state="journy.state",
        )

    *rows* is any iterable (a generator, a cursor, a queryset's iterator) of ``(identity, properties)``. The identity
    is an ID or an `AccountIdentified`. A row may also be a mapping such as ``{"account_id": "acme", "plan": "pro"}``,
    with `account_id` or `domain` or both, like the records of a DataFrame, ``df.to_dict("records")``. A property
    whose value is `None` is deleted, as is one with a DataFrame's nan, NaT or NA. Rows are read one by one, so memory
    use does not grow with their number.

    *state* is the path of a SQLite file, readable only by its owner. It holds keyed digests and no personal data. The
    default is `skip_unchanged_state`, else the Redis of `broker`. If the app also deletes or upserts accounts, set
    `skip_unchanged_state` to the same file there, so that the sync knows about these changes. Confirmations are
    stored at once: after a Ctrl-C or a kill, a second run continues where the first one ended.

    *max_age* (seconds or a timedelta): what was confirmed longer ago is sent again. Each account gets its own time
    between half of it and all of it, so that they are not all sent on one day. *share*: the most it uses of the key's
    budget, above 0 and up to 1; live events come first. *dry_run*: send nothing, and count in `Report.would_send`.
    *everything*: send all rows, even unchanged ones. *patience*: as for `bulk()`.

    Two concurrent syncs of accounts with the same state would send the same rows, so the second one raises
    `JournyError`, which names the running process. With *wait* (seconds or a timedelta), it first waits that long for
    the other one to finish. A killed sync does not block the next one (with a state in Redis, for at most half a
    minute). A dry run ignores other syncs.

    It waits until everything is delivered, and returns a report of what became of the rows. It sends to journy.io
    directly, even if the app has a broker, because it needs the confirmations; so it needs a key. Raises
    `InvalidArgument` for anything that is not a row, `ConfigurationError` without a key or a usable state, and, like
    `bulk()`, `JournyError` where it must not wait.
    """
    options = _Options(state, max_age, share, patience, wait, dry_run=dry_run, everything=everything)
    return _sync(rows, ACCOUNTS, "sync_accounts()", options)


def sync_users(
    rows: Iterable[UserRow],
    *,
    state: str | os.PathLike[str] | None = None,
    max_age: float | timedelta = _MONTH,
    share: float = 0.5,
    dry_run: bool = False,
    everything: bool = False,
    patience: float | timedelta = PATIENCE,
    wait: float | timedelta = 0.0,
) -> Report:
    """Like `sync_accounts()`, but for users: each row is an ID or a `UserIdentified`, and the user's properties.

    A mapping is a row if it has `user_id` or `email`. *max_age*, *patience* and *wait* are seconds or timedeltas.
    """
    options = _Options(state, max_age, share, patience, wait, dry_run=dry_run, everything=everything)
    return _sync(rows, USERS, "sync_users()", options)


class _Options:
    """The checked arguments of a sync. Raises `InvalidArgument`."""

    def __init__(
        self,
        state: str | os.PathLike[str] | None,
        max_age: float | timedelta,
        share: float,
        patience: float | timedelta,
        wait: float | timedelta,
        *,
        dry_run: bool,
        everything: bool,
    ) -> None:
        self.state = None if state is None else _checked("state", checks.file, state)
        self.max_age = seconds_of(max_age, "max_age")
        self.share: float = _checked("share", checks.share, share)
        self.patience = seconds_of(patience, "patience")
        self.wait = seconds_of(wait, "wait")
        self.dry_run = _checked("dry_run", checks.flag, dry_run)
        self.everything = _checked("everything", checks.flag, everything)


def _checked(name: str, check: Any, value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise InvalidArgument(f"{name} must be {error}; got {described(value)}") from None


def _sync(rows: Iterable[Any], kind: Kind, name: str, options: _Options) -> Report:
    app = enabled_tracker()
    if app is None:
        _refuse_without_a_key(name)
        return Report()
    if is_captured():  # a test that captures items sees every row
        return _run(app, rows, kind, name, options)
    digests, alone = _state_of(app.config, options, kind, name)
    trouble = trouble_with(digests)
    if trouble is not None:  # without a state, every sync would send all rows
        digests.close()
        raise ConfigurationError(f"{name} cannot use its state: {trouble}")
    if options.dry_run:
        return _with(digests, app, rows, kind, name, options)
    try:
        _take(alone, name, options.wait)
    except BaseException:
        digests.close()
        raise
    try:
        return _with(digests, app, rows, kind, name, options)
    finally:
        alone.release()


def _take(alone: Alone, name: str, wait: float) -> None:
    """Reserve the state for this sync, waiting up to *wait* seconds for another one. Raises `JournyError`."""
    until, told = monotonic() + wait, False
    while True:
        try:
            holder = alone.take()
        except StoreError as error:
            raise ConfigurationError(f"{name} cannot use its state: {error}") from None
        if holder is None:
            return
        left = until - monotonic()
        if left <= 0:
            raise JournyError(
                f"{name}: another sync is using this state: {holder}. Run this again when that one is done, or pass "
                "wait= to wait for it"
            )
        if not told:
            told = True
            log(logging.INFO, "%s: waiting for another sync that is using this state: %s", name, holder)
        threading.Event().wait(min(left, _LOOK_AGAIN))


def _with(digests: Digests, app: Tracker, rows: Iterable[Any], kind: Kind, name: str, options: _Options) -> Report:
    tracker = SyncTracker(
        app.config,
        digests,
        share=options.share,
        max_age=0.0 if options.everything else options.max_age,
        dry_run=options.dry_run,
    )
    try:
        return _run(tracker, rows, kind, name, options)
    finally:
        tracker.leave()


def _run(tracker: Tracker, rows: Iterable[Any], kind: Kind, name: str, options: _Options) -> Report:
    upsert = getattr(tracker, kind.verb)
    with Bulk(lambda: tracker, options.patience, name, _GO_ON) as job:
        warned = False
        for number, (properties, whose) in enumerate(calls_of(rows, kind), 1):
            if not warned and names_nobody(whose):
                warned = True
                log(
                    logging.WARNING,
                    "%s: row %d has no identity and is dropped, as is every other such row. Leave them out of the "
                    "query.",
                    name,
                    number,
                )
            upsert(properties, **whose)
            if job.stopped is not None:
                break
    report = job.report
    return replace(report, delivered=0, would_send=report.delivered) if options.dry_run else report


def _refuse_without_a_key(name: str) -> None:
    """Raise `ConfigurationError` if a key is missing: the sync must not look as if it had nothing to send."""
    tracker = get_tracker()
    if tracker is not None and tracker.config.enabled:
        raise ConfigurationError(
            f"{name} needs a key: set JOURNY_API_KEY or JOURNY_WRITE_KEY. To run without one, set JOURNY_ENABLED=0"
        )


def _state_of(config: Config, options: _Options, kind: Kind, name: str) -> tuple[Digests, Alone]:
    if config.api_key is None and config.write_key is None and not config.loopback:
        raise ConfigurationError(
            f"{name} needs journy.io's confirmation, so it needs a key even with a broker: set JOURNY_API_KEY or "
            "JOURNY_WRITE_KEY where it runs"
        )
    path = options.state or config.skip_unchanged_state
    if path is not None:
        from journy_track._state.sqlite import SqliteDigests

        return SqliteDigests(path), AloneWithFile(path, kind.rows)
    if isinstance(config.broker, Secret):
        from journy_track._state.redis import RedisDigests

        return RedisDigests(config.broker), AloneInRedis(RedisDigests(config.broker), kind.rows)
    raise ConfigurationError(
        f"{name} needs a place for its digests: pass state= (the path of a file), or set skip_unchanged_state"
    )
