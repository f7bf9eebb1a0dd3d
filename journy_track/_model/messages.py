"""Serialisation of items for disk or a broker: the API's own body, and the call that it is for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from journy_track._model.errors import InvalidArgument
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.items import (
    AddUsersToAccount,
    DeleteAccount,
    DeleteUser,
    Event,
    Item,
    Link,
    RemoveUsersFromAccount,
    UpsertAccount,
    UpsertUser,
)
from journy_track._model.values import iso

#: The version of the format. Messages of any other version are refused.
VERSION = 1
#: The maximum size of a message in bytes. A larger one is neither published nor read, since a broker's messages may
#: come from other writers.
MAX_BYTES = 64 * 1024
#: The form of a message ID that is accepted, since the message may come from another writer.
_ID = re.compile(r"[!-~]{1,100}", re.ASCII)
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def message_of(item: Item, captured_at: float | None = None, message_id: str | None = None) -> str:
    """*item*, its values converted, as JSON: ``{"v": 1, "operation": …, "captured_at": …, "id": …, "body": …}``.

    *captured_at* is in seconds since the epoch, and is written as ISO 8601 in UTC. *message_id* stays the same,
    however often and from wherever the item is sent. The body is the API's own.
    """
    told: dict[str, Any] = {"v": VERSION, "operation": item.operation}
    if captured_at is not None:
        told["captured_at"] = iso(datetime.fromtimestamp(captured_at, UTC))
    if message_id is not None:
        told["id"] = message_id
    return _write({**told, "body": item.body()})


def message_start(operation: str) -> str:
    """The start of each message for *operation*."""
    return _write({"v": VERSION, "operation": operation}).removesuffix("}") + ","


def json_text(value: str) -> str:
    """*value* as it is written in a message."""
    return _write(value)


def item_of(message: str) -> Item:
    """The item in *message*. Raises `ValueError` if it is not a valid message."""
    return read(message)[0]


def read(message: str) -> tuple[Item, str | None]:
    """The item in *message*, and its ID; `None` if it has no valid ID, as in messages of earlier versions.

    Raises `ValueError` if it is not a valid message.
    """
    try:
        told = json.loads(message, parse_constant=_refused)
        if told["v"] != VERSION:
            raise ValueError(f"version {told['v']!r}, where {VERSION} is known")
        item: Item = _ITEMS[told["operation"]](told["body"])
        _write(item.body()).encode()  # a lone surrogate, or 1e999, could never be sent
        message_id = told.get("id")
    except (KeyError, TypeError, AttributeError, InvalidArgument, RecursionError) as error:
        raise ValueError(f"not an item: {type(error).__name__}") from None
    return item, message_id if isinstance(message_id, str) and _ID.fullmatch(message_id) else None


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def captured_at_of(message: str) -> float | None:
    """When the item of *message*, which `item_of` accepts, was captured; `None` without a valid time in UTC."""
    told = json.loads(message).get("captured_at")
    try:
        at = datetime.fromisoformat(told).timestamp()
        datetime.fromtimestamp(at, UTC)  # as in `message_of`; in UTC the year may become 0 or 10000
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return at


def _user(identification: Mapping[str, Any]) -> UserIdentified:
    return UserIdentified(user_id=identification.get("userId"), email=identification.get("email"))


def _account(identification: Mapping[str, Any]) -> AccountIdentified:
    return AccountIdentified(account_id=identification.get("accountId"), domain=identification.get("domain"))


def _event(body: Any) -> Event:
    about = body["identification"]
    return Event(
        body["name"],
        _user(about["user"]) if "user" in about else None,
        _account(about["account"]) if "account" in about else None,
        datetime.fromisoformat(body["triggeredAt"]) if "triggeredAt" in body else None,
        FrozenDict(body.get("metadata", {})),
    )


def _properties(body: Any) -> FrozenDict:
    return FrozenDict(
        {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in body.get("properties", {}).items()
        }
    )


def _members(body: Any) -> tuple[UserIdentified, ...]:
    return tuple(_user(member["identification"]) for member in body["users"])


_ITEMS: Mapping[str, Any] = {
    Event.operation: _event,
    UpsertUser.operation: lambda body: UpsertUser(_user(body["identification"]), _properties(body)),
    DeleteUser.operation: lambda body: DeleteUser(_user(body["identification"])),
    UpsertAccount.operation: lambda body: UpsertAccount(_account(body["identification"]), _properties(body)),
    DeleteAccount.operation: lambda body: DeleteAccount(_account(body["identification"])),
    AddUsersToAccount.operation: lambda body: AddUsersToAccount(_account(body["account"]), _members(body)),
    RemoveUsersFromAccount.operation: lambda body: RemoveUsersFromAccount(_account(body["account"]), _members(body)),
    Link.operation: lambda body: Link(body["deviceId"], _user(body["identification"])),
}
