"""Describes a request that arrived in one line, in the format of the README's comments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from journy_track.inspector import Received

#: Values that differ between runs.
_VARYING = ("duration_ms", "trace_id", "span_id")
_NAMES = {"userId": "user", "email": "email", "accountId": "account", "domain": "domain"}


def told(received: Received) -> str:
    """Return a line such as `POST /track signed_in user=u1 account=acme {"plan": "pro"}`.

    An event with a time other than now has `at=…`, and one without a time has `untimed`.
    """
    body: Any = received.json or {}
    words = [received.method, received.path]
    words += [f"{name}={value}" for name, value in received.query.items()]
    if "name" in body:
        words.append(body["name"])
    if "deviceId" in body:
        words.append(f"device={body['deviceId']}")
    about = body.get("identification", {})
    for identity in (about.get("user"), about.get("account"), about, body.get("account")):
        words += _identity(identity)
    if "users" in body:
        words.append("users=" + ",".join(_who(user["identification"]) for user in body["users"]))
    if received.path == "/track":
        words += _time(body.get("triggeredAt"), received.received_at)
    if values := body.get("metadata") or body.get("properties"):
        shown = {name: "…" if name in _VARYING else value for name, value in values.items()}
        words.append(json.dumps(shown, ensure_ascii=False))
    if not 200 <= received.status < 300:
        words.append(f"-> {received.status}")
    return " ".join(words)


def _identity(identity: Mapping[str, Any] | None) -> list[str]:
    return [f"{_NAMES[name]}={value}" for name, value in (identity or {}).items() if name in _NAMES]


def _who(identity: Mapping[str, str]) -> str:
    return "/".join(identity.values())


def _time(triggered_at: str | None, now: datetime) -> list[str]:
    if triggered_at is None:
        return ["untimed"]
    moment = datetime.fromisoformat(triggered_at).astimezone(UTC)
    return [] if abs(moment - now) < timedelta(minutes=5) else [f"at={triggered_at}"]
