"""The API's operations: how each one validates a body, what it does and what it returns."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from journy_track.inspector import batches, rules
from journy_track.inspector.known import Known
from journy_track.inspector.rules import MAX_BODY
from journy_track.inspector.values import MessageResult

PERMISSIONS = ("TrackData", "GetTrackingSnippet", "ReadUserProfile")

# A domain that the inspector treats as unknown, so that clients can test the 404.
UNKNOWN_DOMAIN = "unknown.example"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The status and content of a response, without its `meta`. Content None means an empty body."""

    status: int
    content: dict[str, Any] | None
    results: Mapping[int, MessageResult] | None = None  # batch API: results of messages, by position


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API. *id* is its operationId in the API's description."""

    id: str
    do: Callable[[Known, Any], Outcome]  # receives the body, or the query of a read
    rule: rules.Rule | None = None  # None for a read, which has no body
    max_body: int = MAX_BODY  # bytes
    is_batch: bool = False  # batch API: its responses differ, and it uses a write key


def _track(known: Known, body: Any) -> Outcome:
    known.add_event(body)
    return _message(201, "The event is tracked.")


def _track_by_its_old_name(known: Known, body: Any) -> Outcome:
    known.add_event(body)
    return _message(201, "The event is tracked. POST /events is deprecated: use POST /track.")


def _upsert_user(known: Known, body: Any) -> Outcome:
    rejected = known.upsert_user(body["identification"], body.get("properties", {}))
    return _upserted("The user is upserted.", rejected)


def _delete_user(known: Known, body: Any) -> Outcome:
    known.delete_user(body["identification"])
    return _message(202, "The user will be deleted.")


def _upsert_account(known: Known, body: Any) -> Outcome:
    rejected = known.upsert_account(body["identification"], body.get("properties", {}))
    return _upserted("The account is upserted.", rejected)


def _delete_account(known: Known, body: Any) -> Outcome:
    known.delete_account(body["identification"])
    return _message(202, "The account will be deleted.")


def _add_members(known: Known, body: Any) -> Outcome:
    known.set_members(body["account"], [item["identification"] for item in body["users"]], present=True)
    return _message(201, "The users are added to the account.")


def _remove_members(known: Known, body: Any) -> Outcome:
    known.set_members(body["account"], [item["identification"] for item in body["users"]], present=False)
    return Outcome(204, None)


def _link(known: Known, body: Any) -> Outcome:
    known.link(body["identification"], body["deviceId"])
    return _message(201, "The device is linked to the user.")


def _validate(known: Known, query: Mapping[str, str]) -> Outcome:
    return _data({"permissions": list(PERMISSIONS)})


def _snippet(known: Known, query: Mapping[str, str]) -> Outcome:
    domain = query.get("domain", "")
    if not domain:
        errors = {"parameters": {"query": {"domain": "This parameter is required."}}}
        return Outcome(400, {"message": "A parameter is wrong.", "errors": errors})
    if domain == UNKNOWN_DOMAIN:
        return _message(404, "There is no such domain.")
    # Only a comment in a script tag: the real snippet loads a script from journy.io.
    return _data({"domain": domain, "snippet": f"<script>/* the snippet of {html.escape(domain)} */</script>"})


def _events(known: Known, query: Mapping[str, str]) -> Outcome:
    return _data([{"id": name, "name": name} for name in known.event_names()])


def _user_properties(known: Known, query: Mapping[str, str]) -> Outcome:
    return _data([_property(name) for name in known.user_properties()])


def _account_properties(known: Known, query: Mapping[str, str]) -> Outcome:
    return _data([_property(name) for name in known.account_properties()])


def _segments(known: Known, query: Mapping[str, str]) -> Outcome:
    return _data([{"id": "sample", "name": "A sample segment"}])


def _property(name: str) -> dict[str, Any]:
    return {"name": name, "label": name.replace("_", " ").capitalize(), "isComputed": False}


def _message(status: int, message: str) -> Outcome:
    return Outcome(status, {"message": message})


def _upserted(message: str, rejected: dict[str, str]) -> Outcome:
    return Outcome(201, {"message": message} | ({"rejected": rejected} if rejected else {}))


def _data(data: Any) -> Outcome:
    return Outcome(200, {"data": data})


def _messages(kind: str) -> Operation:
    """An operation of the batch API. It refuses oversized requests with 400, and does not report invalid values."""
    do = batches.doer(kind)
    largest = batches.MAX_BATCH if kind == "batch" else batches.MAX_MESSAGE
    return Operation(
        kind,
        lambda known, body: Outcome(200, {"success": True}, do(known, body)),
        batches.rule(kind),
        max_body=largest,
        is_batch=True,
    )


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/track"): Operation("trackEvent", _track, rules.event),
    ("POST", "/events"): Operation("trackJourneyEvent", _track_by_its_old_name, rules.event),
    ("POST", "/users/upsert"): Operation("upsertUser", _upsert_user, rules.user_upsert),
    ("DELETE", "/users"): Operation("deleteUser", _delete_user, rules.user_named),
    ("POST", "/accounts/upsert"): Operation("upsertAccount", _upsert_account, rules.account_upsert),
    ("DELETE", "/accounts"): Operation("deleteAccount", _delete_account, rules.account_named),
    ("POST", "/accounts/users/add"): Operation("addUserToAccount", _add_members, rules.membership),
    ("POST", "/accounts/users/remove"): Operation("removeUserFromAccount", _remove_members, rules.membership),
    ("POST", "/link"): Operation("link", _link, rules.link),
    ("GET", "/validate"): Operation("getValidity", _validate),
    ("GET", "/tracking/snippet"): Operation("getTrackingSnippet", _snippet),
    ("GET", "/events"): Operation("getEvents", _events),
    ("GET", "/properties/users"): Operation("getUserProperties", _user_properties),
    ("GET", "/properties/accounts"): Operation("getAccountProperties", _account_properties),
    ("GET", "/segments/users"): Operation("getUserSegments", _segments),
    ("GET", "/segments/accounts"): Operation("getAccountSegments", _segments),
    **{("POST", path): _messages(kind) for path, kind in batches.PATHS.items()},
}


def methods(path: str) -> list[str]:
    """The methods that a path supports; empty for an unknown path."""
    return [method for method, known_path in OPERATIONS if known_path == path]
