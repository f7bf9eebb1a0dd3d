"""Who waits for whom: order per user and account, and no more order than that.

Each item claims names. A shared claim lets others share it; an exclusive one waits for all that claimed the
name before, and holds back all that come after. That gives the order which is promised: the items of one user
one after the other, upserts, deletes and memberships as barriers for whatever names the same user or account,
and events of different users of one account side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.items import (
    AddUsersToAccount,
    DeleteUser,
    Event,
    Item,
    Link,
    RemoveUsersFromAccount,
    UpsertUser,
)

#: Names, and whether each is claimed alone.
Claims = Mapping[str, bool]
#: The name of an identity's ID and that of its alias (e-mail, domain).
Names = tuple[str | None, str | None]


def claims_of(item: Item) -> Claims:
    """What *item* claims."""
    claims: dict[str, bool] = {}
    if isinstance(item, Event):
        if item.user is not None:
            _claim_in_order(claims, user_names(item.user))
        if item.account is not None:
            names = account_names(item.account)
            _claim(claims, names, alone=False)
            if item.user is None:  # in order among themselves, and side by side with those of the account's users
                _claim_in_order(claims, _lanes_beside(names))
    elif isinstance(item, (UpsertUser, DeleteUser, Link)):
        _claim(claims, user_names(item.user), alone=True)
    else:
        _claim(claims, account_names(item.account), alone=True)
        if isinstance(item, (AddUsersToAccount, RemoveUsersFromAccount)):
            for user in item.users:
                _claim(claims, user_names(user), alone=True)
    return claims


def user_names(user: UserIdentified) -> Names:
    """The names of a user's ID and e-mail."""
    key, alias = user.user_id, user.email
    return None if key is None else f"user {key}", None if alias is None else f"email {alias}"


def account_names(account: AccountIdentified) -> Names:
    """The names of an account's ID and domain."""
    key, alias = account.account_id, account.domain
    return None if key is None else f"account {key}", None if alias is None else f"domain {alias}"


def _claim(claims: dict[str, bool], names: Names, *, alone: bool) -> None:
    for name in names:
        if name is not None:
            claims[name] = alone


def _claim_in_order(claims: dict[str, bool], names: Names) -> None:
    """Two identities are one when their IDs are equal or, where one has none, their aliases.

    So who has an ID shares the alias (two IDs with one e-mail are two users, and go side by side), and who is
    known by the alias alone claims it alone.
    """
    key, alias = names
    if key is not None:
        claims[key] = True
    if alias is not None:
        claims[alias] = key is None


def _lanes_beside(names: Names) -> Names:
    key, alias = names
    return None if key is None else f"lane {key}", None if alias is None else f"lane {alias}"


class Ticket:
    """One item's standing. *ready* once nobody is before it."""

    __slots__ = ("_alone", "_blocked", "_names")

    def __init__(self) -> None:
        #: The names that it claims, those first that it claims alone, and how many these are.
        self._names: tuple[str, ...] = ()
        self._alone = 0
        #: At how many of them somebody is before it.
        self._blocked = 0

    @property
    def ready(self) -> bool:
        """Whether nobody that claimed the same names is before it."""
        return self._blocked == 0

    @property
    def stands(self) -> bool:
        """Whether it claims anything, now."""
        return bool(self._names)

    def claims_alone(self, name: str) -> bool:
        """Whether it lets nobody share *name*, which it claims."""
        return name in self._names[: self._alone]


T = TypeVar("T", bound=Ticket)


class _Group(Generic[T]):
    """Neighbours that wait at a name and may go together: one that claims it alone, or some that share it."""

    __slots__ = ("behind", "shared", "tickets")

    def __init__(self, ticket: T, *, shared: bool) -> None:
        self.shared = shared
        self.tickets = [ticket]
        self.behind: _Group[T] | None = None


class _Line(Generic[T]):
    """The line at one name: how many are in front together, whether they share it, and the groups behind them."""

    __slots__ = ("behind", "in_front", "last", "shared")

    def __init__(self, *, shared: bool) -> None:
        self.in_front = 1
        self.shared = shared
        self.behind: _Group[T] | None = None
        self.last: _Group[T] | None = None

    def enter(self, ticket: T, *, shared: bool) -> bool:
        """Stand at the end. Answers whether that is in front, too."""
        last = self.last
        if shared and (self.shared if last is None else last.shared):
            if last is None:
                self.in_front += 1
                return True
            last.tickets.append(ticket)
            return False
        self.last = _Group(ticket, shared=shared)
        if last is None:
            self.behind = self.last
        else:
            last.behind = self.last
        return False

    def withdraw(self, ticket: T) -> bool:
        """Leave, if it is behind; false when it is in front."""
        before, group = None, self.behind
        while group is not None and ticket not in group.tickets:
            before, group = group, group.behind
        if group is None:
            return False
        group.tickets.remove(ticket)
        if not group.tickets:
            if before is None:
                self.behind = group.behind
            else:
                before.behind = group.behind
            if group is self.last:
                self.last = before
        return True

    def advance(self) -> list[T]:
        """The front is empty: the first behind it are in front now, and answered."""
        group = self.behind
        if group is None:
            return []
        self.in_front, self.shared = len(group.tickets), group.shared
        self.behind = group.behind
        if self.behind is None:
            self.last = None
        return group.tickets


class Lanes(Generic[T]):
    """Draws tickets and calls them. Not thread-safe: its owner holds a lock.

    Most names have one ticket at a time, of which there may be ten thousand: it stands there itself, and only
    with the second a line forms.
    """

    def __init__(self) -> None:
        self._at: dict[str, T | _Line[T]] = {}

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def enter(self, ticket: T, claims: Claims) -> None:
        """Stand at the end of the line of each claimed name. A ticket may enter again with further claims."""
        held = ticket._names
        alone = [name for name, exclusive in claims.items() if exclusive and name not in held]
        shared = [name for name, exclusive in claims.items() if not exclusive and name not in held]
        for name in alone:
            self._stand(ticket, name, shared=False)
        for name in shared:
            self._stand(ticket, name, shared=True)
        ticket._names = (*alone, *held, *shared)
        ticket._alone += len(alone)

    def _stand(self, ticket: T, name: str, *, shared: bool) -> None:
        there = self._at.setdefault(name, ticket)
        if there is ticket:
            return
        if not isinstance(there, _Line):
            there = self._at[name] = _Line(shared=not there.claims_alone(name))
        if not there.enter(ticket, shared=shared):
            ticket._blocked += 1

    def leave(self, ticket: T) -> list[T]:
        """Give up all places. Answers the tickets that are ready now and were not before."""
        called: list[T] = []
        for name in ticket._names:
            line = self._at[name]
            if not isinstance(line, _Line):
                del self._at[name]
                continue
            if not ticket.ready and line.withdraw(ticket):
                continue
            line.in_front -= 1
            if line.in_front:
                continue
            for waiting in line.advance():
                waiting._blocked -= 1
                if waiting.ready:
                    called.append(waiting)
            if not line.in_front:
                del self._at[name]
        ticket._names = ()
        ticket._alone = ticket._blocked = 0
        return called

    def is_last(self, ticket: T) -> bool:
        """Whether nobody waits behind it: only then may another item still join it."""
        return all(self._ends_with(name, ticket) for name in ticket._names)

    def _ends_with(self, name: str, ticket: T) -> bool:
        line = self._at[name]
        return not isinstance(line, _Line) or line.last is None or ticket in line.last.tickets
