"""What is said of delivery: in the log, each cause at most once a minute, and to `on_error`."""

from __future__ import annotations

import json
import logging

from journy_track._delivery.notices import Notices
from journy_track._delivery.taken import Taken
from journy_track._model.config import Config
from journy_track._model.frozendict import FrozenDict
from journy_track._model.logs import say, show
from journy_track._model.outcomes import Answer, Outcome, Undelivered

WHERE = "at journy.io: Settings, Connections"


class Reports:
    """Says what the app's people need to know. Does not raise, but Ctrl-C within `on_error`."""

    def __init__(self, config: Config, notices: Notices) -> None:
        self._config = config
        self._notices = notices

    def outcome(self, taken: Taken, outcome: Outcome) -> None:
        """In debug mode: every item and its answer."""
        if self._config.debug:
            show(f"{taken.item.label()} {json.dumps(taken.item.body(), ensure_ascii=False)}: {outcome}")

    def rejected_properties(self, taken: Taken, answer: Answer) -> None:
        """An upsert was taken, but not all of its properties."""
        for name, why in answer.rejected.items():
            self._notices.say(
                ("rejected", name),
                "%s was delivered, but journy.io did not take the property %r: %s (request ID %s)",
                taken.item.label(),
                name,
                why,
                answer.request_id,
            )

    def deferred(self, reason: str) -> None:
        """Items wait for another try."""
        self._notices.say(
            ("deferred", reason), "delivery to journy.io is delayed: %s; items wait and are tried again.", reason
        )

    def given_up(self, taken: Taken, reason: str, answer: Answer | None) -> None:
        """It is not tried again. Tells `on_error`."""
        status, request_id, fields = None, None, FrozenDict()
        if answer is not None:
            status, request_id, fields = answer.status, answer.request_id, FrozenDict(answer.fields)
        self._notices.say(
            ("given up", reason, tuple(fields)),
            "%s was given up: %s (request ID %s%s)",
            taken.item.label(),
            reason,
            request_id,
            "".join(f"; {name}: {what}" for name, what in fields.items()),
        )
        try:
            if self._config.on_error is not None:
                self._config.on_error(Undelivered(taken.item, reason, status, request_id, fields, taken.attempts))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the item is counted all the same
            self._notices.say("on_error", "on_error raised %s", type(error).__name__)

    def missing_permission(self, operation: str, answer: Answer) -> None:
        """The key is good, but not for this."""
        self._notices.say(
            ("permission", operation),
            f"the API key lacks the permission for %s (status %d, request ID %s): its items are given up. "
            f"Add the permission {WHERE}.",
            operation,
            answer.status,
            answer.request_id,
            level=logging.ERROR,
        )

    def key_refused(self, answer: Answer) -> None:
        """The key is no good for anything."""
        self._notices.say(
            "key",
            "journy.io refuses the API key (status %d, request ID %s): nothing is delivered, items wait, and the key "
            f"is tried again with growing pauses. Check JOURNY_API_KEY, and the key {WHERE}.",
            answer.status,
            answer.request_id,
            level=logging.ERROR,
        )

    def key_accepted(self) -> None:
        """The key is good again."""
        say(logging.WARNING, "journy.io accepts the API key again: what waited is delivered now.")

    def our_mistake(self, error: Exception) -> None:
        """Something in here went wrong; one item was counted for it."""
        self._notices.say("internal", "deciding on an outcome raised %s", type(error).__name__)
