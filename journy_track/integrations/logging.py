"""Logging: a handler that turns log records into events, and a filter that adds the user and account to records."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from journy_track._capture.attributes import UNSET
from journy_track._capture.context import known_ids
from journy_track._runtime import get_tracker, track

__all__ = ["JournyFilter", "JournyHandler"]

#: Loggers that delivery itself uses: events made from their records would cause an endless loop.
_OURS = ("journy_track", "urllib3", "requests")


class JournyHandler(logging.Handler):
    """Tracks an event for each record that names one, and ignores the others.

        logging.getLogger().addHandler(JournyHandler())
        log.info("signed in", extra={"journy_event": "signed_in", "journy_metadata": {"method": "sso"}})

    ``journy_metadata`` is a mapping; ``journy_user`` and ``journy_account`` are like *user* and *account* of
    `track()`, and default to those of the context. Nothing else in the record is sent, neither its message nor its
    other attributes; the event's time is the record's. *level* is the lowest level that becomes an event. Behind a
    `QueueHandler`, records are handled on another thread, where there is no context: pass ``journy_user`` there.

    Records of this library, of urllib3 and of requests never become events. Invalid extras are treated as in
    `track()`. If that raises, because of ``strict``, the record is counted as ``invalid`` and passed to
    `logging.Handler.handleError`, like any error in a handler.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the event that *record* names, if any. Does not block."""
        given = record.__dict__
        name = given.get("journy_event")
        if name is None or record.name.partition(".")[0] in _OURS:
            return
        try:
            track(
                name,
                given.get("journy_metadata") or None,
                user=given.get("journy_user", UNSET),
                account=given.get("journy_account", UNSET),
                happened_at=datetime.fromtimestamp(record.created, UTC),
            )
        except Exception:  # noqa: BLE001 - what a handler does with its errors is logging's own matter
            tracker = get_tracker()
            if tracker is not None and tracker.recorder is not None:  # the only trace with raiseExceptions off
                tracker.recorder.refuse("invalid")
            self.handleError(record)


class JournyFilter(logging.Filter):
    """Adds ``user_id`` and ``account_id`` to each record, as attributes for a format string or a JSON formatter.

        handler.addFilter(JournyFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s user=%(user_id)s account=%(account_id)s %(message)s"))

    They are the IDs of the context, never an e-mail address or a domain, and `None` if there is none or it is not
    known yet: the request's user is not looked up, since that may query the database, which may log. Attributes that
    the record already has, for example from ``extra=``, are kept. Add the filter to handlers: a logger's filter is
    not called for records of its child loggers. Add it to a `QueueHandler` itself, as the thread behind it has no
    user. Every record passes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the IDs that are known. Returns true."""
        user, account = known_ids()
        record.__dict__.setdefault("user_id", user)
        record.__dict__.setdefault("account_id", account)
        return True
