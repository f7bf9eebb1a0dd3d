"""What the inspector knows from the requests that it accepted: users, accounts and events."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from datetime import UTC, datetime
from typing import Any

from journy_track.inspector.directory import Directory, Profile
from journy_track.inspector.room import KeptKind, KeptNames, Newest, weight_of
from journy_track.inspector.values import KnownAccount, KnownUser, ReceivedEvent

Identification = dict[str, str]

EVENT = 300  # approximate bytes of an event without its fields
MESSAGE_ID = 100  # approximate bytes of a stored message ID
MAX_MESSAGE_IDS = 100_000  # IDs stored to recognise duplicates


class Known:
    """Data from accepted requests, at most `keep` items of each kind. The inspector's state guards it."""

    def __init__(self, keep: int) -> None:
        self._users = Directory(keep, "userId", "email", self._user_is_forgotten)
        self._accounts = Directory(keep, "accountId", "domain", self._account_is_forgotten)
        self._named_in: dict[Profile, set[Profile]] = {}  # for each user, the accounts that list it
        self._events: Newest[ReceivedEvent] = Newest(keep)
        self._event_names, self._user_properties, self._account_properties = (
            KeptNames(keep),
            KeptNames(keep),
            KeptNames(keep),
        )
        self._number, self._moment = 0, datetime.now(UTC)
        self._message_ids = MessageIds()
        self.accepted_events: int = 0
        self.messages: Counter[str] = Counter()  # new ones, by type
        self.duplicates: int = 0
        self.ignored_messages: int = 0

    def kinds(self) -> list[KeptKind]:
        """Everything stored here, for `make_room`."""
        names = (self._event_names, self._user_properties, self._account_properties)
        return [self._users, self._accounts, self._events, self._message_ids, *names]

    def during(self, number: int, moment: datetime) -> None:
        """Attribute the changes that follow to this request."""
        self._number, self._moment = number, moment

    def add_message(self, kind: str, message_id: str | None) -> bool:
        """Count a message of the batch API. Returns False if its ID is known: nothing in it may be used then."""
        if message_id is not None and not self._message_ids.add(message_id):
            self.duplicates += 1
            return False
        self.messages[kind] += 1
        return True

    def add_event(self, body: dict[str, Any], message_id: str | None = None) -> None:
        user, account = body["identification"].get("user"), body["identification"].get("account")
        if user is not None:
            self._count(self._users, user)
        if account is not None:
            self._count(self._accounts, account)
        event = ReceivedEvent(
            body["name"], user, account, body.get("metadata", {}), body.get("triggeredAt"), message_id
        )
        self._events.add(event, EVENT + weight_of(body))
        self._event_names.add([event.name])
        self.accepted_events += 1

    def upsert_user(self, user: Identification, properties: dict[str, Any]) -> dict[str, str]:
        """Store a user's properties. Returns the rejected ones, with the reasons."""
        entry = self._seen(self._users, user)
        rejected = entry.store(properties)
        self._users.weigh(entry)
        self._user_properties.add(name for name in properties if name not in rejected)
        return rejected

    def upsert_account(self, account: Identification, properties: dict[str, Any]) -> dict[str, str]:
        """Store an account's properties. Returns the rejected ones, with the reasons."""
        entry = self._seen(self._accounts, account)
        rejected = entry.store(properties)
        self._accounts.weigh(entry)
        self._account_properties.add(name for name in properties if name not in rejected)
        return rejected

    def delete_user(self, user: Identification) -> None:
        self._users.forget(user)

    def delete_account(self, account: Identification) -> None:
        self._accounts.forget(account)

    def set_members(self, account: Identification, users: list[Identification], *, present: bool) -> None:
        """Add users to an account, or mark them as removed from it. The users themselves are kept."""
        entry = self._seen(self._accounts, account)
        self._accounts.weigh(entry)
        for user in users:
            member = self._seen(self._users, user)
            entry.members[member] = present
            self._named_in.setdefault(member, set()).add(entry)
            self._users.weigh(member)
        self._accounts.weigh(entry)

    def link(self, user: Identification, device_id: str) -> None:
        entry = self._seen(self._users, user)
        entry.link(device_id)
        self._users.weigh(entry)

    @property
    def number_of_users(self) -> int:
        return len(self._users)

    @property
    def number_of_accounts(self) -> int:
        return len(self._accounts)

    def events(self) -> list[ReceivedEvent]:
        return list(self._events.things)

    def users(self, after: int = 0) -> list[KnownUser]:
        """The users that were named by a request with a number above `after`."""
        return [
            KnownUser(
                entry.id,
                entry.alias,
                entry.snapshot(),
                tuple(entry.devices),
                entry.events,
                entry.first_seen,
                entry.last_seen,
                entry.last_number,
            )
            for entry in self._users
            if entry.last_number > after
        ]

    def accounts(self, after: int = 0) -> list[KnownAccount]:
        """The accounts that were named by a request with a number above `after`."""
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

    def _seen(self, directory: Directory, identification: Identification) -> Profile:
        entry = directory.remember(identification)
        entry.seen(self._number, self._moment)
        return entry

    def _count(self, directory: Directory, identification: Identification) -> None:
        entry = self._seen(directory, identification)
        entry.events += 1
        directory.weigh(entry)

    def _user_is_forgotten(self, entry: Profile) -> None:
        for account in self._named_in.pop(entry, ()):
            account.members.pop(entry, None)
            self._accounts.weigh(account)

    def _account_is_forgotten(self, entry: Profile) -> None:
        for user in entry.members:
            self._named_in[user].discard(entry)

    def _identifications(self, account: Profile, *, present: bool) -> tuple[Identification, ...]:
        members = account.members.items()
        return tuple(self._users.identification(user) for user, is_member in members if is_member is present)


class MessageIds:
    """The newest message IDs: at most `MAX_MESSAGE_IDS`, as 8-byte hashes."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._order: deque[int] = deque()

    @property
    def weight(self) -> int:
        return MESSAGE_ID * len(self._order)

    def add(self, message_id: str) -> bool:
        """Add *message_id*. Returns False if it is known already."""
        hashed = _hash(message_id)
        if hashed in self._known:
            return False
        self._known.add(hashed)
        self._order.append(hashed)
        if len(self._order) > MAX_MESSAGE_IDS:
            self.drop_oldest()
        return True

    def drop_oldest(self) -> None:
        self._known.discard(self._order.popleft())


def _hash(message_id: str) -> int:
    digest = hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)
