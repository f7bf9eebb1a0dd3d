"""Logging: a log record that names an event becomes that event; and log lines that name who acts."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from journy_track._capture.attributes import UNSET
from journy_track._capture.context import known_ids
from journy_track._runtime import get_tracker, track

__all__ = ["JournyFilter", "JournyHandler"]

#: Loggers of what delivery itself runs on: an event of each of their records would never end.
_OURS = ("journy_track", "urllib3", "requests")


class JournyHandler(logging.Handler):
    """Makes an event of each record that names one, and leaves the others alone.

        logging.getLogger().addHandler(JournyHandler())
        log.info("signed in", extra={"journy_event": "signed_in", "journy_metadata": {"method": "sso"}})

    ``journy_metadata`` is a mapping; ``journy_user`` and ``journy_account`` are as `track()`'s *user* and
    *account*, and where they are left out the context decides. Nothing else of the record is sent, neither its
    message nor its other attributes; the event's time is the record's. *level* is the least that becomes an
    event. Behind a `QueueHandler` records are handled on another thread, where there is no context: give
    ``journy_user`` there.

    Records of this library, of urllib3 and of requests never become events. What is wrong in the extras is treated
    as in `track()`; where that raises, while ``strict``, the record is counted as ``invalid`` and goes to
    `logging.Handler.handleError`, as any error of a handler.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the event that *record* names, if it names one. Does not wait."""
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
            if tracker is not None and tracker.recorder is not None:  # with raiseExceptions off, nothing else tells
                tracker.recorder.refuse("invalid")
            self.handleError(record)


class JournyFilter(logging.Filter):
    """Adds ``user_id`` and ``account_id`` to each record, as attributes for a format or a JSON formatter.

        handler.addFilter(JournyFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s user=%(user_id)s account=%(account_id)s %(message)s"))

    They are the IDs of the context, `None` where there is none or it is not known yet: the request's user is not
    asked for, since that may query the database, which may log. Never an e-mail address or a domain. What the record
    has already, as from ``extra=``, stays. Put it on the handlers: a filter of a logger is not called for records of
    the loggers below it. A `QueueHandler` needs it itself, as the thread behind it has no user. Lets every record
    pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what is known. Returns true."""
        user, account = known_ids()
        record.__dict__.setdefault("user_id", user)
        record.__dict__.setdefault("account_id", account)
        return True
