"""What the inspector has learnt from the requests it accepted: users, accounts and events."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any

from journy_track.inspector.directory import Directory, Entry
from journy_track.inspector.values import KnownAccount, KnownUser, ReceivedEvent

Identification = dict[str, str]


class Known:
    """What accepted requests left behind, at most `keep` of each kind. The inspector's state guards it."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._users = Directory("userId", "email")
        self._accounts = Directory("accountId", "domain")
        self._devices: dict[Entry, dict[str, None]] = {}
        # Of an account its users, and whether they still are; of a user the accounts that name it.
        self._members: dict[Entry, dict[Entry, bool]] = {}
        self._named_in: dict[Entry, set[Entry]] = {}
        self._events: deque[ReceivedEvent] = deque(maxlen=keep)
        # Dicts for their order: names appear as they first arrived.
        self._event_names: dict[str, None] = {}
        self._user_properties: dict[str, None] = {}
        self._account_properties: dict[str, None] = {}
        self._number, self._moment = 0, datetime.now(UTC)
        self.accepted_events: int = 0

    def during(self, number: int, moment: datetime) -> None:
        """What comes next is learnt from this request."""
        self._number, self._moment = number, moment

    def add_event(self, body: dict[str, Any]) -> None:
        user, account = body["identification"].get("user"), body["identification"].get("account")
        if user is not None:
            self._user(user).events += 1
        if account is not None:
            self._account(account).events += 1
        event = ReceivedEvent(body["name"], user, account, body.get("metadata", {}), body.get("triggeredAt"))
        self._events.append(event)
        self._event_names[event.name] = None
        self.accepted_events += 1

    def upsert_user(self, user: Identification, properties: dict[str, Any]) -> dict[str, str]:
        """Answers the rejected properties, with their reasons."""
        rejected = self._user(user).store(properties)
        self._user_properties |= dict.fromkeys(name for name in properties if name not in rejected)
        return rejected

    def upsert_account(self, account: Identification, properties: dict[str, Any]) -> dict[str, str]:
        """Answers the rejected properties, with their reasons."""
        rejected = self._account(account).store(properties)
        self._account_properties |= dict.fromkeys(name for name in properties if name not in rejected)
        return rejected

    def delete_user(self, user: Identification) -> None:
        entry = self._users.forget(user)
        if entry is not None:
            self._forget_user(entry)

    def delete_account(self, account: Identification) -> None:
        entry = self._accounts.forget(account)
        if entry is not None:
            self._forget_account(entry)

    def set_members(self, account: Identification, users: list[Identification], *, present: bool) -> None:
        """Add users to an account, or mark them as removed from it: they stay users."""
        entry = self._account(account)
        for user in users:
            member = self._user(user)
            self._members.setdefault(entry, {})[member] = present
            self._named_in.setdefault(member, set()).add(entry)

    def link(self, user: Identification, device_id: str) -> None:
        self._devices.setdefault(self._user(user), {})[device_id] = None

    @property
    def number_of_users(self) -> int:
        return len(self._users)

    @property
    def number_of_accounts(self) -> int:
        return len(self._accounts)

    def events(self) -> list[ReceivedEvent]:
        return list(self._events)

    def users(self, after: int = 0) -> list[KnownUser]:
        """The users that a request behind number `after` named."""
        return [
            KnownUser(
                entry.id,
                entry.alias,
                entry.snapshot(),
                tuple(self._devices.get(entry, ())),
                entry.events,
                entry.first_seen,
                entry.last_seen,
                entry.last_number,
            )
            for entry in self._users
            if entry.last_number > after
        ]

    def accounts(self, after: int = 0) -> list[KnownAccount]:
        """The accounts that a request behind number `after` named."""
        return [
            KnownAccount(
                entry.id,
                entry.alias,
                entry.snapshot(),
                self._identifications(entry, present=True),
                self._identifications(entry, present=False),
                entry.events,
                entry.first_seen,
                entry.last_seen,
                entry.last_number,
            )
            for entry in self._accounts
            if entry.last_number > after
        ]

    def event_names(self) -> list[str]:
        return list(self._event_names)

    def user_properties(self) -> list[str]:
        return list(self._user_properties)

    def account_properties(self) -> list[str]:
        return list(self._account_properties)

    def _user(self, user: Identification) -> Entry:
        entry = self._users.remember(user)
        entry.seen(self._number, self._moment)
        if oldest := self._users.oldest_beyond(self._keep):
            self._forget_user(oldest)
        return entry

    def _account(self, account: Identification) -> Entry:
        entry = self._accounts.remember(account)
        entry.seen(self._number, self._moment)
        if oldest := self._accounts.oldest_beyond(self._keep):
            self._forget_account(oldest)
        return entry

    def _forget_user(self, entry: Entry) -> None:
        self._devices.pop(entry, None)
        for account in self._named_in.pop(entry, ()):
            self._members[account].pop(entry, None)

    def _forget_account(self, entry: Entry) -> None:
        for user in self._members.pop(entry, ()):
            self._named_in[user].discard(entry)

    def _identifications(self, account: Entry, *, present: bool) -> tuple[Identification, ...]:
        members = self._members.get(account, {})
        return tuple(self._users.identification(user) for user, is_member in members.items() if is_member is present)
