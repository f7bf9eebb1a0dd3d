"""How requests, users, accounts and reports are serialised for the page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from journy_track.inspector.forward import Forwarded
from journy_track.inspector.messages import meaning
from journy_track.inspector.reports import AppReport
from journy_track.inspector.values import KnownAccount, KnownUser, Received, ReceivedMessage

# A row shows only some values, so that a huge body does not make the list huge. The full record has all of them.
MAX_VALUES = 40
MAX_TEXT = 300
MAX_USERS = 100
EVENTS = frozenset({"trackEvent", "trackJourneyEvent"})
OF_ACCOUNTS = frozenset({"upsertAccount", "deleteAccount"})
MEMBERSHIPS = frozenset({"addUserToAccount", "removeUserFromAccount"})


def summary(received: Received) -> dict[str, Any]:
    """The data for a row of the list, which the filter also searches."""
    body = _mapping(received.json)
    answer = _mapping(received.answer)
    users, account = _named(body, received.operation)
    return {
        "number": received.number,
        "at": _moment(received.received_at),
        "method": received.method,
        "path": _short(received.path),
        "operation": received.operation,
        "status": received.status,
        "ms": round(received.duration_ms, 2),
        "size": received.size,
        "attempt": received.attempt,
        "first": received.first,
        "part_of": received.part_of,
        "key": received.key,
        "name": _text(body.get("name")),
        "triggered": _text(body.get("triggeredAt")),
        "users": [user for user in users if user],
        "account": account or None,
        "values": _values(body.get("metadata", body.get("properties"))),
        "message": _text(answer.get("message")) if failed(received) else None,
        "wrong": len(_mapping(_mapping(answer.get("errors")).get("fields"))) + len(_mapping(answer.get("rejected"))),
    } | ({"messages": [_message(message) for message in received.messages]} if received.is_batch else {})


def full(received: Received) -> dict[str, Any]:
    """Everything that is stored of a request."""
    return {
        "number": received.number,
        "received_at": _moment(received.received_at),
        "method": received.method,
        "path": received.path,
        "query": received.query,
        "headers": received.headers,
        # As text, because it may not be JSON.
        "body": received.body.decode("utf-8", "replace"),
        "packed": received.packed,
        "unpacked": len(received.body),
        "json": received.json,
        "operation": received.operation,
        "status": received.status,
        "answer": received.answer,
        "request_id": received.request_id,
        "duration_ms": round(received.duration_ms, 2),
        "attempt": received.attempt,
        "key": received.key,
    } | ({"messages": [_result(message) for message in received.messages]} if received.is_batch else {})


def user_of(user: KnownUser) -> dict[str, Any]:
    """A user as the page shows it."""
    return {
        "id": user.user_id,
        "alias": user.email,
        "properties": user.properties,
        "devices": user.devices,
        "events": user.events,
        "first": _moment(user.first_seen) if user.first_seen else None,
        "last": _moment(user.last_seen) if user.last_seen else None,
        "number": user.last_number,
    }


def account_of(account: KnownAccount) -> dict[str, Any]:
    """An account as the page shows it."""
    return {
        "id": account.account_id,
        "alias": account.domain,
        "properties": account.properties,
        "members": [_identity(member, "userId", "email") for member in account.members],
        "removed": [_identity(member, "userId", "email") for member in account.removed],
        "events": account.events,
        "first": _moment(account.first_seen) if account.first_seen else None,
        "last": _moment(account.last_seen) if account.last_seen else None,
        "number": account.last_number,
    }


def report_of(report: AppReport) -> dict[str, Any]:
    """A report as the page shows it."""
    return {
        "number": report.number,
        "after": report.after,
        "at": report.at or _moment(report.received_at),
        "kind": report.kind,
        "name": _short(report.name),
        "operation": report.operation,
        "reason": report.reason,
        "place": report.place,
        "text": report.text,
        "values": _values(report.values),
    }


def forwarded_of(one: Forwarded) -> dict[str, Any]:
    """The result of forwarding a request to journy.io, as the page shows it."""
    return {"number": one.number, "status": one.reply.status, "problem": _short(one.reply.problem)}


def failed(received: Received) -> bool:
    """Whether the request was dropped, or got an error status."""
    return received.status == 0 or received.status >= 400


def _message(message: ReceivedMessage) -> dict[str, Any]:
    """A message in the terms of the REST API, so that the page lists it with the equivalent requests."""
    sent = message.json
    # The last step names everything that the others name: a user is named together with its account.
    operation, body = (meaning(sent).steps or (("", {}),))[-1]
    users, account = _named(body, operation)
    return {
        "position": message.position,
        "id": _text(message.message_id),
        "type": _text(message.type),
        "operation": operation or None,
        "name": _text(sent.get("event", sent.get("name"))),
        "triggered": _text(sent.get("timestamp")),
        "users": [user for user in users if user],
        "account": account or None,
        "values": _values(sent.get("properties", sent.get("traits"))),
        "outcome": message.outcome,
        "wrong": len(message.problems),
    }


def _result(message: ReceivedMessage) -> dict[str, Any]:
    """The outcome of a message, for the full record of its request."""
    return {"id": message.message_id, "outcome": message.outcome, "problems": dict(message.problems)}


def _named(body: dict[str, Any], operation: str | None) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The users and the account that a body names. Their position in it depends on the operation."""
    named = _mapping(body.get("identification"))
    if operation in EVENTS:
        return [_identity(named.get("user"), "userId", "email")], _identity(
            named.get("account"), "accountId", "domain"
        )
    if operation in OF_ACCOUNTS:
        return [], _identity(named, "accountId", "domain")
    if operation in MEMBERSHIPS:
        users = body.get("users")
        items = users[:MAX_USERS] if isinstance(users, list) else []
        members = [_identity(_mapping(item).get("identification"), "userId", "email") for item in items]
        return members, _identity(body.get("account"), "accountId", "domain")
    return [_identity(named, "userId", "email")], {}


def _identity(value: Any, id_field: str, alias_field: str) -> dict[str, str]:
    fields = (("id", _text(_mapping(value).get(id_field))), ("alias", _text(_mapping(value).get(alias_field))))
    return {name: text for name, text in fields if text}


def _values(value: Any) -> dict[str, Any]:
    return {_short(name): _short(value) for name, value in list(_mapping(value).items())[:MAX_VALUES]}


def _short(value: Any) -> Any:
    match value:
        case str():
            return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
        case bool() | int() | float() | None:
            return value
        case list():
            return [_short(item) if not isinstance(item, list) else "[…]" for item in value[:MAX_VALUES]]
        case _:
            return "{…}"


def _text(value: Any) -> str | None:
    text = _short(value)
    return text if isinstance(value, str) else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
