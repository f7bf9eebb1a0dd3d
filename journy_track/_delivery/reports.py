"""Logs delivery problems, each cause at most once a minute, and calls `on_error`."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from itertools import islice

from journy_track._delivery.inspecting import Inspecting
from journy_track._model.config import Config
from journy_track._model.frozendict import FrozenDict
from journy_track._model.logs import log, log_or_print
from journy_track._model.notices import Notices
from journy_track._model.outcomes import JobOutcome, Response, Undelivered
from journy_track._model.secret import KeyName
from journy_track._stores.store import Job

#: The maximum number of a response's fields in a log message.
MAX_FIELDS = 10
WHERE = "at journy.io: Settings, Connections"


class Reports:
    """Logs what the operators of the app need to know. Raises only a `KeyboardInterrupt` from within `on_error`."""

    def __init__(self, config: Config, notices: Notices, inspecting: Inspecting | None = None) -> None:
        self._config = config
        self._notices = notices
        self._inspecting = inspecting
        #: Whether every outcome is printed.
        self.debug = config.debug

    def outcome(self, job: Job, outcome: JobOutcome) -> None:
        """Log an item and its outcome, in debug mode."""
        log_or_print(f"{job.item.label()} {json.dumps(job.item.body(), ensure_ascii=False)}: {outcome}")

    def rejected_properties(self, job: Job, response: Response) -> None:
        """Log that an upsert was accepted, but not all of its properties."""
        for name, why in response.rejected.items():
            self._notices.log(
                ("rejected", job.item.label(), name),
                "%s was delivered, but journy.io did not accept the property %r: %s%s",
                job.item.label(),
                name,
                why,
                _in_brackets(_request_id(response)),
            )

    def deferred(self, reason: str) -> None:
        """Log that items wait to be retried."""
        self._notices.log(
            ("deferred", reason),
            "delivery to %s is delayed: %s; items wait and are retried.",
            self._config.server,
            reason,
        )

    def not_published(self, reason: str) -> None:
        """Log that the broker did not accept items, which wait to be retried."""
        self._notices.log(
            ("broker", reason),
            "the broker does not accept items: %s. They wait here and are retried.",
            reason,
            level=logging.ERROR,
        )

    def unsendable(self, job: Job, reason: str, why: str) -> None:
        """Log that an item cannot be written as a request or a message."""
        if self._inspecting is None:
            self._log_unsendable(job, reason, why)
        else:
            self._inspecting.item_dropped(job.item, reason, why)
            with self._inspecting.logging_a_drop():
                self._log_unsendable(job, reason, why)

    def _log_unsendable(self, job: Job, reason: str, why: str) -> None:
        self._notices.log(("dropped", job.item.label()), "dropped and counted as %s: %s", reason, why)

    def outage(self, reason: str) -> None:
        """Log that requests fail in a row, so that all items wait."""
        self._notices.log(
            "outage",
            "%s cannot be reached: %s. Items wait, and one request at a time is retried with growing pauses, "
            "up to 10 s.",
            self._config.server,
            reason,
        )

    def held_back(self, seconds: float, own: int, used: int | None) -> None:
        """Log that items wait because the key's requests for this minute are used up."""
        others = "unknown" if used is None else str(max(0, used - own))
        self._notices.log(
            "held back",
            "items have been waiting for %.0f s, held back by the key's rate limit: requests in the last minute: %d "
            "by this process, %s by others.",
            seconds,
            own,
            others,
            counts=False,
        )

    def slow(self, seconds: float, busy: int, latency: float) -> None:
        """Log that items wait for the responses to earlier requests."""
        self._notices.log(
            "slow",
            "items have been waiting for %.0f s: the server is slow. A response takes %.1f s or more, and %d %s.",
            seconds,
            latency,
            busy,
            "request waits for one" if busy == 1 else "requests wait for one each",
            counts=False,
        )

    def recovered(self, count: int, seconds: float) -> None:
        """Log that an outage is over and that the waiting items were delivered."""
        log(
            logging.INFO,
            "delivery has recovered: %d %s in %.0f s",
            count,
            "item" if count == 1 else "items",
            seconds,
        )
        self._notices.log_left_out("outage", "deferred")

    def given_up(self, job: Job, reason: str, response: Response | None) -> None:
        """Log that an item is not retried, and call `on_error`."""
        status, request_id, fields = None, None, FrozenDict()
        if response is not None:
            status, request_id, fields = response.status, response.request_id, FrozenDict(response.fields)
        self._notices.log(
            ("given up", reason, tuple(fields)),
            "%s was given up: %s%s",
            job.item.label(),
            reason,
            _in_brackets(
                _request_id(response), *(f"{name}: {what}" for name, what in islice(fields.items(), MAX_FIELDS))
            ),
        )
        try:
            if self._config.on_error is not None:
                self._config.on_error(Undelivered(job.item, reason, status, request_id, fields, job.attempts))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the item is counted all the same
            self._notices.log("on_error", "on_error raised %s", type(error).__name__)

    def missing_permission(self, operation: str, response: Response) -> None:
        """Log that the key is valid but lacks the permission for *operation*."""
        self._notices.log(
            ("permission", operation),
            f"the API key lacks the permission for %s%s: its items are given up. Add the permission {WHERE}.",
            operation,
            _in_brackets(f"status {response.status}", _request_id(response), separator=", "),
            level=logging.ERROR,
        )

    def key_refused(self, key: KeyName, response: Response) -> None:
        """Log that the key is refused for every operation."""
        self._notices.log(
            ("key", key.name),
            "%s refuses the %s%s: nothing is delivered with it, items wait, and the key is retried with growing "
            f"pauses. %s Check %s, and the key {WHERE}.",
            self._config.server,
            key.name,
            _in_brackets(f"status {response.status}", _request_id(response), separator=", "),
            _meaning(response.status),
            key.variable,
            level=logging.ERROR,
        )

    def key_accepted(self, key: KeyName) -> None:
        """Log that the key is accepted again."""
        log(logging.INFO, "journy.io accepts the %s again: what waited is delivered now.", key.name)

    def our_mistake(self, error: Exception) -> None:
        """Log an internal error while deciding on an outcome."""
        self._notices.log(
            "internal",
            "handling a response failed with %s: an item may be counted as internal_error. Please report this.",
            type(error).__name__,
        )


def _meaning(status: int) -> str:
    """What the status says about a refused key: journy.io responds with 403 if the key is disabled."""
    return "The key is disabled." if status == 403 else "The key is unknown: mistyped, incomplete or deleted."


def _request_id(response: Response | None) -> str:
    return f"request ID {response.request_id}" if response is not None and response.request_id else ""


def _in_brackets(*parts: str, separator: str = "; ") -> str:
    """Join what is known about a response, in brackets, to append it to a sentence."""
    known = separator.join(part for part in parts if part)
    return f" ({known})" if known else ""


class OutageLog:
    """Logs when an outage begins and, once the waiting items have been delivered, that it is over.

    *delivered* returns the number of items delivered so far.
    """

    def __init__(self, reports: Reports, delivered: Callable[[], int], clock: Callable[[], float]) -> None:
        self._reports = reports
        self._delivered = delivered
        self._clock = clock
        self._lock = threading.Lock()
        #: Whether an outage is in progress and, after one, when it ended and how many items were delivered by then.
        self.is_on = False
        self._over: tuple[float, int] | None = None
        #: Whether an outage is over but items that waited may not be delivered yet.
        self.is_recovering = False

    def note(self, reason: str | None) -> None:
        """Record that a request has ended. *reason* is why requests fail; `None` if they do not."""
        with self._lock:
            begins = reason is not None and not self.is_on
            if reason is not None:
                self.is_on, self._over = True, None
                self.is_recovering = False
            elif self.is_on:
                self.is_on, self._over = False, (self._clock(), self._delivered())
                self.is_recovering = True
        if reason is not None and begins:
            self._reports.outage(reason)

    def note_recovery(self) -> None:
        """Record that nothing waits any longer, and log the recovery."""
        with self._lock:
            over, self._over = self._over, None
            self.is_recovering = False
        if over is not None:
            self._reports.recovered(self._delivered() - over[1], self._clock() - over[0])
