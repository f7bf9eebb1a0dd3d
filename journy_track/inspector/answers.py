"""How an answer is written down: the API's own, and those that were ordered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from journy_track.inspector import rules
from journy_track.inspector.operations import Outcome
from journy_track.inspector.values import Answer, Fault


def real(outcome: Outcome, request_id: str, headers: Mapping[str, str]) -> Answer:
    """What the API says."""
    if outcome.content is None:
        return Answer(outcome.status, request_id, headers=headers)
    content = outcome.content | {"meta": {"requestId": request_id, "status": outcome.status}}
    return _json(outcome.status, request_id, content, headers)


def scripted(fault: Fault, status: int, request_id: str) -> Answer:
    """What somebody wanted it to say: a string travels as HTML, as from a proxy in between."""
    headers = {name.lower(): value for name, value in fault.headers.items()}
    if isinstance(fault.body, str):
        body = fault.body.encode()
        return Answer(
            status,
            request_id,
            body,
            parsed_or_none(body),
            {"content-type": "text/html; charset=utf-8"} | headers,
        )
    if fault.body is None and (status in (204, 304)):
        return Answer(status, request_id, headers=headers)
    content = message_body(status, "This answer was ordered.", request_id) if fault.body is None else dict(fault.body)
    return _json(status, request_id, content, headers)


def message_body(status: int, message: str, request_id: str) -> dict[str, Any]:
    """The shape that every answer of the API has."""
    return {"message": message, "meta": {"requestId": request_id, "status": status}}


def parsed_or_none(body: bytes) -> Any:
    """The value of a body; None for one that is empty or not JSON."""
    try:
        return rules.parse(body) if body else None
    except ValueError:
        return None


def _json(status: int, request_id: str, content: dict[str, Any], headers: Mapping[str, str]) -> Answer:
    # In ASCII: a lone surrogate is legal in JSON, and has no UTF-8.
    body = json.dumps(content).encode("ascii")
    return Answer(status, request_id, body, content, {"content-type": "application/json"} | dict(headers))
