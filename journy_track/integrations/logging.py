"""Logging: a log record that names an event becomes that event."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from journy_track._capture.context import UNSET
from journy_track._runtime import get_tracker, track

__all__ = ["JournyHandler"]

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

    Records of this library, of urllib3 and of requests never become events. One whose extras are wrong is counted
    as dropped, ``invalid``, and goes to `logging.Handler.handleError`, as any error of a handler.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the event that *record* names, if it names one. Does not wait."""
        given = record.__dict__
        name = given.get("journy_event")
        if name is None or record.name.partition(".")[0] in _OURS:
            return
        metadata: Any = given.get("journy_metadata") or {}
        try:
            track(
                name,
                metadata,
                user=given.get("journy_user", UNSET),
                account=given.get("journy_account", UNSET),
                happened_at=datetime.fromtimestamp(record.created, UTC),
            )
        except Exception:  # noqa: BLE001 - what a handler does with its errors is logging's own matter
            tracker = get_tracker()
            if tracker is not None and tracker.recorder is not None:  # with raiseExceptions off, nothing else tells
                tracker.recorder.refuse("invalid")
            self.handleError(record)
