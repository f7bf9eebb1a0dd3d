"""Converts the cells of a record to calls: identifies the user and account, and types the values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from journy_track._model.call import ApiCall
from journy_track._model.errors import InvalidArgument
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified, is_domain, is_email
from journy_track._model.items import MAX_BODY, AddUsersToAccount, Event, UpsertAccount, UpsertUser
from journy_track._transport.batch_messages import lacks
from journy_track.cli.typed import Mistyped, Zoneless, typed

#: For each kind of file, its fields, and the columns from which they are read unless they are mapped.
FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "users": {
        "user_id": ("user_id", "userId", "id"),
        "email": ("email",),
        "account_id": ("account_id", "accountId"),
        "account_domain": ("account_domain",),
    },
    "accounts": {
        "account_id": ("account_id", "accountId", "id"),
        "domain": ("domain",),
    },
    "events": {
        "name": ("name", "event"),
        "user_id": ("user_id", "userId"),
        "email": ("email",),
        "account_id": ("account_id", "accountId"),
        "domain": ("domain",),
        "happened_at": ("happened_at", "triggered_at", "triggeredAt", "timestamp"),
    },
}
#: The key under which a JSON line may nest its other values.
NESTED = {"users": "properties", "accounts": "properties", "events": "metadata"}


class RowFault(Exception):
    """The record cannot be sent. The message has the reason."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How the cells of a file are read.

    *mapping* is column → field or property; an empty string leaves the column out. *types* is column → type.
    *empty* is how empty cells and null are treated: `omit`, `delete` or `text`. *zone* is the time zone of datetimes
    without one; with `None`, they are refused. *undated* allows events without `happened_at`. *ids_only* is set when
    there is only a write key, because batches identify users and accounts by ID.
    """

    kind: str
    mapping: Mapping[str, str] = field(default_factory=FrozenDict)
    types: Mapping[str, str] = field(default_factory=FrozenDict)
    empty: str = "omit"
    zone: tzinfo | None = None
    undated: bool = False
    ids_only: bool = False

    def calls(self, cells: Mapping[str, Any]) -> list[ApiCall]:
        """The calls to send for one record. Raises `RowFault`."""
        fields, values = self._sorted(cells)
        try:
            calls = self._made(fields, values)
        except InvalidArgument as error:
            raise RowFault(str(error)) from None
        if self.ids_only and any(lacks(call, in_part=False) for call in calls):
            raise RowFault(
                "names a user or an account without an ID: add it, or set JOURNY_API_KEY as well as the write key"
            )
        return [_sendable(call) for call in calls]

    # ── Cells ──

    def _sorted(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields, and the remaining values: properties or metadata."""
        nested = cells.get(NESTED[self.kind])
        if isinstance(nested, dict) and NESTED[self.kind] not in self.mapping:
            cells = {**{key: value for key, value in cells.items() if key != NESTED[self.kind]}, **nested}
        fields: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for column, target in self._targets(cells).items():
            if not target:
                continue
            is_field = target in FIELDS[self.kind]
            value = self._value(column, cells[column], target if is_field else None)
            if is_field:
                if fields.get(target) is not None:
                    raise RowFault(f"has two columns for {target!r}: leave one out, as in --map {column}=")
                fields[target] = value
            elif value is not _OMITTED:
                if target in values:
                    raise RowFault(f"{target!r} is given twice")
                values[target] = value
        return fields, values

    def _targets(self, cells: Mapping[str, Any]) -> dict[str, str]:
        taken = set(self.mapping.values())
        targets: dict[str, str] = {}
        for name, aliases in FIELDS[self.kind].items():
            if name not in taken:
                column = next((a for a in aliases if a in cells and a not in self.mapping), None)
                if column is not None:
                    targets[column] = name
        for column in cells:
            if column not in targets:
                targets[column] = self.mapping.get(column, column)
        return targets

    def _value(self, column: str, cell: Any, of_field: str | None) -> Any:
        if cell is None or (cell == "" and of_field is not None):
            return self._of_empty(of_field)
        kind = self.types.get(column)
        if of_field == "happened_at":
            kind = kind or "datetime"
        elif of_field is not None and kind is None:
            return cell if isinstance(cell, str) else _identity_text(column, cell)
        if kind is None:
            return cell if not isinstance(cell, (dict, list)) else _plain_json(column, cell)
        return self._typed(column, cell, kind)

    def _of_empty(self, of_field: str | None) -> Any:
        if of_field is not None:
            return None
        return {"omit": _OMITTED, "delete": None, "text": ""}[self.empty]

    def _typed(self, column: str, cell: Any, kind: str) -> Any:
        if isinstance(cell, list) and kind == "list":
            return _plain_json(column, cell)
        if isinstance(cell, (dict, list)):
            raise RowFault(f"{column!r} must be {kind}, and is {'a list' if isinstance(cell, list) else 'an object'}")
        if isinstance(cell, bool) and kind not in ("bool", "text"):
            raise RowFault(f"{column!r} must be {kind}, and is {_text_of(cell)}")
        text = _text_of(cell)
        try:
            return typed(text, kind, self.zone)
        except Mistyped as error:
            remedy = ", or pass --timezone" if isinstance(error, Zoneless) else ""
            raise RowFault(f"{column!r} must be {error}{remedy}; it is {_shown(text)}") from None

    # ── Calls ──

    def _made(self, fields: dict[str, Any], values: dict[str, Any]) -> list[ApiCall]:
        if self.kind == "events":
            return [self._event(fields, values)]
        if self.kind == "accounts":
            account = _account(fields.get("account_id"), fields.get("domain"), "domain")
            if account is None:
                raise RowFault("has neither account_id nor domain (see --map)")
            return [UpsertAccount(account, values)]
        user = _user(fields)
        if user is None:
            raise RowFault("has neither user_id nor email (see --map)")
        account = _account(fields.get("account_id"), fields.get("account_domain"), "account_domain")
        joins = [] if account is None else [AddUsersToAccount(account, (user,))]
        return [UpsertUser(user, values), *joins]

    def _event(self, fields: dict[str, Any], values: dict[str, Any]) -> Event:
        if not fields.get("name"):
            raise RowFault("has no name: map a column to it, as in --map event_type=name")
        user, account = _user(fields), _account(fields.get("account_id"), fields.get("domain"), "domain")
        if user is None and account is None:
            raise RowFault("has neither user nor account (see --map)")
        at = fields.get("happened_at")
        if at is None and not self.undated:
            raise RowFault("has no happened_at: map a column to it, or pass --undated for the time of the import")
        if isinstance(at, date) and not isinstance(at, datetime):
            raise RowFault("has a date as happened_at: it takes datetime, epoch or epoch_ms")
        return Event(fields["name"], user, account, at, values)


_OMITTED = object()


def _user(fields: Mapping[str, Any]) -> UserIdentified | None:
    user_id, email = fields.get("user_id"), fields.get("email")
    if email and not is_email(email):
        raise RowFault(f"'email' is malformed: {_shown(email)}")
    return UserIdentified(user_id, email) if user_id or email else None


def _account(account_id: Any, domain: Any, column: str) -> AccountIdentified | None:
    if domain and not is_domain(domain):
        raise RowFault(f"{column!r} is malformed: {_shown(domain)}")
    return AccountIdentified(account_id, domain) if account_id or domain else None


def _identity_text(column: str, cell: Any) -> str:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    raise RowFault(f"{column!r} must be text or a whole number; it is {_shown(_text_of(cell))}")


def _text_of(cell: Any) -> str:
    """A cell as the text that a CSV would contain."""
    if isinstance(cell, (date, datetime)):
        return cell.isoformat()
    return str(cell) if isinstance(cell, (str, Decimal)) else json.dumps(cell)


def _plain_json(column: str, cell: Any) -> Any:
    if isinstance(cell, dict):
        raise RowFault(f"{column!r} is an object: pass its values under keys of their own")
    if not all(isinstance(value, (str, int, float, Decimal, date)) for value in cell):
        raise RowFault(f"{column!r} must be a list of texts and numbers")
    return tuple(cell)


def _sendable(call: ApiCall) -> ApiCall:
    converted, problems = call.converted()
    for key, reason in problems:
        raise RowFault(f"{key!r} cannot be sent: {reason}")
    body = json.dumps(converted.body(), ensure_ascii=False, separators=(",", ":"))
    if len(body.encode()) > MAX_BODY:
        raise RowFault(f"is larger than {MAX_BODY // 1024} KiB")
    return converted


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 40 else repr(text[:39] + "…")
