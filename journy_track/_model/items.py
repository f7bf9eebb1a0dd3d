"""Items to deliver: one frozen dataclass per API call that changes something, with method, path and body.

Paths, fields and status codes follow journy.io's public API description, version 1.0.0.
To add a call, write one class here, or in `reads` if it only reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Self, TypeAlias

from journy_track._model.arguments import check, frozen_dict, membership_users, moment, text
from journy_track._model.call import ApiCall
from journy_track._model.errors import InvalidArgument, shortened
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.values import iso, plain_metadata, plain_properties

#: The most users in one membership call (the API's `maxItems`).
MAX_USERS = 100
#: The maximum size of a JSON body in bytes. An item with a larger one is refused.
MAX_BODY = 64 * 1024


def label_of(kind: type[ApiCall], name: str | None = None) -> str:
    """The name of a call of that *kind* in log lines; *name* is that of an event."""
    return kind.operation if name is None else f"event {shortened(name)!r}"


@dataclass(frozen=True, slots=True)
class Event(ApiCall):
    """Something that a user, an account, or a user in an account did. The name is in the past tense: `signed_in`.

    *triggered_at* is when it happened; `None` is the time at which the API receives it. *metadata* holds strings,
    numbers, booleans and datetimes. Raises `InvalidArgument` if the name is empty, or there is no user or account.
    """

    path: ClassVar[str] = "/track"
    operation: ClassVar[str] = "track"
    repeatable: ClassVar[bool] = False

    name: str
    user: UserIdentified | None = None
    account: AccountIdentified | None = None
    triggered_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", text(self.name, "name"))
        check(self.user, UserIdentified, "user", optional=self.account is not None)
        check(self.account, AccountIdentified, "account", optional=True)
        if self.triggered_at is not None:
            object.__setattr__(self, "triggered_at", moment(self.triggered_at, "triggered_at"))
        object.__setattr__(self, "metadata", frozen_dict(self.metadata, "metadata"))

    @classmethod
    def for_user(cls, name: str, user: UserIdentified) -> Self:
        """An event of a user."""
        check(user, UserIdentified, "user")
        return cls(name, user=user)

    @classmethod
    def for_account(cls, name: str, account: AccountIdentified) -> Self:
        """An event of an account."""
        check(account, AccountIdentified, "account")
        return cls(name, account=account)

    @classmethod
    def for_user_in_account(cls, name: str, user: UserIdentified, account: AccountIdentified) -> Self:
        """An event of a user, acting in an account."""
        check(user, UserIdentified, "user")
        check(account, AccountIdentified, "account")
        return cls(name, user=user, account=account)

    def happened_at(self, moment: datetime) -> Self:
        """The same event at that time. A naive datetime is taken as local time, as in `datetime.astimezone`."""
        check(moment, datetime, "moment")
        return replace(self, triggered_at=moment)

    def with_metadata(self, metadata: Mapping[str, Any]) -> Self:
        """The same event with *metadata* merged over its own."""
        return replace(self, metadata={**self.metadata, **frozen_dict(metadata, "metadata")})

    def body(self) -> dict[str, Any]:
        identification: dict[str, Any] = {}
        if self.user is not None:
            identification["user"] = self.user.wire()
        if self.account is not None:
            identification["account"] = self.account.wire()
        body: dict[str, Any] = {"identification": identification, "name": self.name}
        if self.triggered_at is not None:
            body["triggeredAt"] = iso(self.triggered_at)
        if self.metadata:
            body["metadata"] = self.metadata
        return body

    def converted(self) -> tuple[Self, list[tuple[str, str]]]:
        taken, problems = plain_metadata(self.metadata)
        return replace(self, metadata=FrozenDict(taken)), problems

    def label(self) -> str:
        return label_of(Event, self.name)


@dataclass(frozen=True, slots=True)
class UpsertUser(ApiCall):
    """Create or update a user. `None` as a property's value deletes that property; an empty string is a value."""

    path: ClassVar[str] = "/users/upsert"
    operation: ClassVar[str] = "upsert_user"
    mergeable: ClassVar[bool] = True

    user: UserIdentified
    properties: Mapping[str, Any] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        check(self.user, UserIdentified, "user")
        object.__setattr__(self, "properties", frozen_dict(self.properties, "properties"))

    def body(self) -> dict[str, Any]:
        return _upsert_body(self.user.wire(), self.properties)

    def converted(self) -> tuple[Self, list[tuple[str, str]]]:
        taken, problems = plain_properties(self.properties)
        return replace(self, properties=FrozenDict(taken)), problems


@dataclass(frozen=True, slots=True)
class DeleteUser(ApiCall):
    """Delete a user."""

    method: ClassVar[str] = "DELETE"
    path: ClassVar[str] = "/users"
    operation: ClassVar[str] = "delete_user"
    erases: ClassVar[bool] = True

    user: UserIdentified

    def __post_init__(self) -> None:
        check(self.user, UserIdentified, "user")

    def body(self) -> dict[str, Any]:
        return {"identification": self.user.wire()}


@dataclass(frozen=True, slots=True)
class UpsertAccount(ApiCall):
    """Create or update an account. `None` as a property's value deletes that property."""

    path: ClassVar[str] = "/accounts/upsert"
    operation: ClassVar[str] = "upsert_account"
    mergeable: ClassVar[bool] = True

    account: AccountIdentified
    properties: Mapping[str, Any] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        check(self.account, AccountIdentified, "account")
        object.__setattr__(self, "properties", frozen_dict(self.properties, "properties"))

    def body(self) -> dict[str, Any]:
        return _upsert_body(self.account.wire(), self.properties)

    def converted(self) -> tuple[Self, list[tuple[str, str]]]:
        taken, problems = plain_properties(self.properties)
        return replace(self, properties=FrozenDict(taken)), problems


@dataclass(frozen=True, slots=True)
class DeleteAccount(ApiCall):
    """Delete an account."""

    method: ClassVar[str] = "DELETE"
    path: ClassVar[str] = "/accounts"
    operation: ClassVar[str] = "delete_account"
    erases: ClassVar[bool] = True

    account: AccountIdentified

    def __post_init__(self) -> None:
        check(self.account, AccountIdentified, "account")

    def body(self) -> dict[str, Any]:
        return {"identification": self.account.wire()}


@dataclass(frozen=True, slots=True)
class _Membership(ApiCall):
    account: AccountIdentified
    users: tuple[UserIdentified, ...]

    def __post_init__(self) -> None:
        check(self.account, AccountIdentified, "account")
        object.__setattr__(self, "users", membership_users(self.users))
        if len(self.users) > MAX_USERS:
            raise InvalidArgument(f"users: one call takes at most {MAX_USERS}, got {len(self.users)}")

    def body(self) -> dict[str, Any]:
        return {
            "account": self.account.wire(),
            "users": [{"identification": user.wire()} for user in self.users],
        }


class AddUsersToAccount(_Membership):
    """Make 1 to 100 users members of an account."""

    __slots__ = ()

    path: ClassVar[str] = "/accounts/users/add"
    operation: ClassVar[str] = "add_users_to_account"
    mergeable: ClassVar[bool] = True


class RemoveUsersFromAccount(_Membership):
    """Mark 1 to 100 users as removed from an account. The users themselves stay."""

    __slots__ = ()

    path: ClassVar[str] = "/accounts/users/remove"
    operation: ClassVar[str] = "remove_users_from_account"
    erases: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Link(ApiCall):
    """Link the web activity of a device (the snippet's cookie `__journey`) to a user."""

    path: ClassVar[str] = "/link"
    operation: ClassVar[str] = "link"

    device_id: str
    user: UserIdentified

    def __post_init__(self) -> None:
        object.__setattr__(self, "device_id", text(self.device_id, "device_id"))
        check(self.user, UserIdentified, "user")

    def body(self) -> dict[str, Any]:
        return {"deviceId": self.device_id, "identification": self.user.wire()}


#: An item that can be queued and delivered: any call that changes something at journy.io.
Item: TypeAlias = (
    Event
    | UpsertUser
    | DeleteUser
    | UpsertAccount
    | DeleteAccount
    | AddUsersToAccount
    | RemoveUsersFromAccount
    | Link
)
ITEM_KINDS: tuple[type[ApiCall], ...] = (
    Event,
    UpsertUser,
    DeleteUser,
    UpsertAccount,
    DeleteAccount,
    AddUsersToAccount,
    RemoveUsersFromAccount,
    Link,
)


def _upsert_body(identification: dict[str, str], properties: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"identification": identification}
    if properties:
        body["properties"] = properties
    return body
