"""What need not be sent at all: events throttled with `at_most_every`, and upserts that change nothing."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

from journy_track._delivery.ordering import account_names, user_names
from journy_track._model.items import DeleteAccount, DeleteUser, Event, Item, UpsertAccount, UpsertUser

#: How many identities are remembered; beyond, the one not seen for longest is forgotten, and is sent.
REMEMBERED = 10_000


V = TypeVar("V")


class Memory(OrderedDict[Hashable, V]):
    """Remembers the last `REMEMBERED` keys."""

    def keep(self, key: Hashable, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


class AtMostEvery:
    """Lets one event per name and complete identity through in each window, judged by capture time."""

    def __init__(self) -> None:
        self._last: Memory[float] = Memory()

    def lets_through(self, event: Event, seconds: float, captured_at: float) -> bool:
        """Whether *event*, captured at that second, may enter delivery. A retry is not asked again."""
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
    """Knows what journy.io confirmed last of each identity, by its hash, for *seconds*."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: Memory[_Sent] = Memory()

    def is_unchanged(self, item: Item, number: int, now: float) -> bool:
        """Whether *item* need not be sent. If it is sent, it is what will be confirmed under *number*."""
        if isinstance(item, (DeleteUser, DeleteAccount)):
            self.forget(item)
        if not self._seconds or not isinstance(item, (UpsertUser, UpsertAccount)):
            return False
        names = names_of_subject(item)
        first = self._last.get(names[0])
        # All its names must stand for the same upsert: another one may have come by the e-mail alone.
        if first is not None and first.confirmed_at is not None and first.digest == _digest(item):
            same = all(self._last.get(name) is first for name in names)
            if same and now - first.confirmed_at < self._seconds:
                return True
        self.sends(item, number)
        return False

    def sends(self, item: Item, number: int) -> None:
        """*item* is what is sent under *number*, also after another was merged into it."""
        if self._seconds and isinstance(item, (UpsertUser, UpsertAccount)):
            sent = _Sent(_digest(item), number)
            for name in names_of_subject(item):
                self._last.keep(name, sent)

    def confirmed(self, item: Item, number: int, now: float) -> None:
        """journy.io took *item* whole. If another was queued since, that one counts."""
        if isinstance(item, (UpsertUser, UpsertAccount)):
            for name in names_of_subject(item):
                sent = self._last.get(name)
                if sent is not None and sent.number == number:
                    sent.confirmed_at = now

    def save(self) -> None:
        """There is nothing to save."""

    def close(self) -> None:
        """There is nothing to close."""

    def forget(self, item: Item) -> None:
        """It was deleted, or something went wrong with it: the next upsert is sent."""
        if isinstance(item, (UpsertUser, UpsertAccount, DeleteUser, DeleteAccount)):
            for name in names_of_subject(item):
                self._last.pop(name, None)


def names_of_subject(item: UpsertUser | UpsertAccount | DeleteUser | DeleteAccount) -> list[str]:
    """The names of whom *item* is about: of the ID, and of the alias."""
    names = user_names(item.user) if isinstance(item, (UpsertUser, DeleteUser)) else account_names(item.account)
    return [name for name in names if name is not None]


def _digest(item: UpsertUser | UpsertAccount) -> int:
    # Of the JSON: to Python, 1 and True are equal, and so are their hashes.
    return hash(json.dumps(item.body(), sort_keys=True))
