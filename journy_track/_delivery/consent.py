"""Checks whether a user may be tracked: calls the app's `allow`, and caches the result for a minute."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

from journy_track._delivery.throttle import Memory
from journy_track._model.clock import monotonic
from journy_track._model.config import Allow
from journy_track._model.identity import UserIdentified
from journy_track._model.items import AddUsersToAccount, Item, UpsertAccount

#: Seconds for which a result is cached.
HOLDS = 60.0


class Consent:
    """Calls *allow* for the users that an item names. Only for the worker's thread."""

    def __init__(self, allow: Allow, clock: Callable[[], float] = monotonic) -> None:
        self._allow = allow
        self._clock = clock
        self._answers: Memory[tuple[bool, float]] = Memory()

    def applied(self, item: Item) -> Item | None:
        """Return *item* without the members that may not be tracked, or `None` if nothing of it may be sent.

        Items that name no user pass, as do items that erase data. Raises whatever *allow* raises, and `TypeError` if
        *allow* returns an awaitable.
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
        if inspect.isawaitable(answer):  # from a lambda around an async function; it would be truthy
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError("allow must be a plain function, as it is not awaited")
        self._answers.keep(user, (bool(answer), now))
        return bool(answer)
