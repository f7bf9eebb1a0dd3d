"""Whether a user may be tracked: the app's `allow` is asked, and its answer holds for a minute."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

from journy_track._delivery.throttle import Memory
from journy_track._model.clock import monotonic
from journy_track._model.config import Allow
from journy_track._model.identity import UserIdentified
from journy_track._model.items import AddUsersToAccount, Item, UpsertAccount

#: Seconds for which an answer holds.
HOLDS = 60.0


class Consent:
    """Asks *allow* about the users that an item names. For the worker's thread."""

    def __init__(self, allow: Allow, clock: Callable[[], float] = monotonic) -> None:
        self._allow = allow
        self._clock = clock
        self._answers: Memory[tuple[bool, float]] = Memory()

    def applied(self, item: Item) -> Item | None:
        """*item*, without the members that may not be tracked; `None` where nothing of it may go out.

        What names no user passes, and so does what takes data away. Raises what *allow* raises, and `TypeError` where
        its answer has to be awaited.
        """
        if item.erases or isinstance(item, UpsertAccount):
            return item
        if isinstance(item, AddUsersToAccount):
            allowed = tuple(user for user in item.users if self._allows(user))
            if len(allowed) == len(item.users):
                return item
            return replace(item, users=allowed) if allowed else None
        user: UserIdentified | None = getattr(item, "user", None)
        return item if user is None or self._allows(user) else None

    def _allows(self, user: UserIdentified) -> bool:
        now = self._clock()
        known = self._answers.get(user)
        if known is not None and now - known[1] < HOLDS:
            return known[0]
        answer = self._allow(user)
        if inspect.isawaitable(answer):  # of a lambda around an async function: it would count as true
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError("allow must answer at once: nobody awaits it")
        self._answers.keep(user, (bool(answer), now))
        return bool(answer)
