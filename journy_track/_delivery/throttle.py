"""Detects items that need not be sent: events throttled with `at_most_every`, and upserts that change nothing."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

from journy_track._delivery.ordering import account_names, user_names
from journy_track._model.items import DeleteAccount, DeleteUser, Event, Item, UpsertAccount, UpsertUser

#: How many identities are remembered. Beyond that, the one not seen for longest is forgotten, so its next item is
#: sent.
REMEMBERED = 10_000


V = TypeVar("V")


class Memory(OrderedDict[Hashable, V]):
    """A mapping that keeps the last `REMEMBERED` keys."""

    def keep(self, key: Hashable, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


class AtMostEvery:
    """Lets through one event per name and complete identity in each window, by capture time."""

    def __init__(self) -> None:
        self._last: Memory[float] = Memory()

    def lets_through(self, event: Event, seconds: float, captured_at: float) -> bool:
        """Return whether *event*, captured at that time in seconds, may be delivered. Retries skip this check."""
        key = event.name, event.user, event.account
        last = self._last.get(key)
        if last is not None and abs(captured_at - last) < seconds:
            return False
        self._last.keep(key, captured_at)
        return True


@dataclass(slots=True, eq=False)
class _Sent:
    """The last upsert of an identity: a digest of it, and when journy.io confirmed it."""

    digest: int
    number: int
    confirmed_at: float | None = None


class Unchanged:
    """Remembers a hash of the last upsert that journy.io confirmed for each identity, for *seconds*."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: Memory[_Sent] = Memory()

    def is_unchanged(self, item: Item, number: int, now: float) -> bool:
        """Return whether *item* need not be sent. If it is sent, it will be confirmed under *number*."""
        if not self._seconds or not isinstance(item, (UpsertUser, UpsertAccount)):
            return False
        names = names_of_subject(item)
        first = self._last.get(names[0])
        # All its names must refer to the same upsert, because another one may have used the e-mail address alone.
        if first is not None and first.confirmed_at is not None and first.digest == _digest(item):
            same = all(self._last.get(name) is first for name in names)
            if same and now - first.confirmed_at < self._seconds:
                return True
        self.sends(item, number)
        return False

    def sends(self, item: Item, number: int) -> None:
        """Record that *item* is sent under *number*. Called again when another item is merged into it."""
        if self._seconds and isinstance(item, (UpsertUser, UpsertAccount)):
            sent = _Sent(_digest(item), number)
            for name in names_of_subject(item):
                self._last.keep(name, sent)

    def confirmed(self, item: Item, number: int, now: float) -> None:
        """Record that journy.io accepted all of *item*. If another item was queued since, this has no effect."""
        if isinstance(item, (UpsertUser, UpsertAccount)):
            for name in names_of_subject(item):
                sent = self._last.get(name)
                if sent is not None and sent.number == number:
                    sent.confirmed_at = now

    def save(self) -> None:
        """Do nothing: there is nothing to save."""

    def close(self, *, save: bool = True) -> None:
        """Do nothing: there is nothing to close."""

    def forget(self, item: Item) -> None:
        """Forget the identity of *item*, which was deleted or failed, so that its next upsert is sent."""
        if isinstance(item, (UpsertUser, UpsertAccount, DeleteUser, DeleteAccount)):
            for name in names_of_subject(item):
                self._last.pop(name, None)


def names_of_subject(item: UpsertUser | UpsertAccount | DeleteUser | DeleteAccount) -> list[str]:
    """The names of the user or account that *item* concerns: those of its ID and of its alias."""
    names = user_names(item.user) if isinstance(item, (UpsertUser, DeleteUser)) else account_names(item.account)
    return [name for name in names if name is not None]


def _digest(item: UpsertUser | UpsertAccount) -> int:
    # The JSON is hashed because Python considers 1 and True equal, and so are their hashes.
    return hash(json.dumps(item.body(), sort_keys=True))
