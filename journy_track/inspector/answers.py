"""Builds responses: the API's own, and those of planned faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from journy_track.inspector.operations import Outcome
from journy_track.inspector.values import PlannedFault, PreparedResponse

#: Statuses of responses without a body.
EMPTY = (204, 205, 304)


def real(outcome: Outcome, request_id: str, headers: Mapping[str, str]) -> PreparedResponse:
    """The API's own response."""
    if outcome.content is None:
        return PreparedResponse(outcome.status, request_id, headers=headers)
    content = outcome.content | {"meta": {"requestId": request_id, "status": outcome.status}}
    return _json(outcome.status, request_id, content, headers)


def batch(outcome: Outcome, request_id: str, headers: Mapping[str, str]) -> PreparedResponse:
    """The batch API's own response, without `meta`.

    Its format for failures is not documented: this uses Segment's, and adds the reason.
    """
    content = {"success": outcome.status == 200} | (outcome.content or {})
    return replace(_json(outcome.status, request_id, content, headers), results=outcome.results)


def scripted(fault: PlannedFault, status: int, request_id: str) -> PreparedResponse:
    """The response of a planned fault. A string is sent as HTML, as a proxy would send it."""
    headers = {name.lower(): value for name, value in fault.headers.items()}
    if status in EMPTY:
        return PreparedResponse(status, request_id, headers=headers)  # HTTP allows no body with these
    if isinstance(fault.body, str):
        body = fault.body.encode()
        return PreparedResponse(
            status,
            request_id,
            body,
            {"content-type": "text/html; charset=utf-8"} | headers,
        )
    content = message_body(status, "A planned response.", request_id) if fault.body is None else dict(fault.body)
    return _json(status, request_id, content, headers)


def message_body(status: int, message: str, request_id: str) -> dict[str, Any]:
    """A message in the shape of the API's responses."""
    return {"message": message, "meta": {"requestId": request_id, "status": status}}


def _json(status: int, request_id: str, content: dict[str, Any], headers: Mapping[str, str]) -> PreparedResponse:
    # In ASCII, because a lone surrogate is legal in JSON but cannot be encoded as UTF-8.
    body = json.dumps(content).encode("ascii")
    return PreparedResponse(status, request_id, body, {"content-type": "application/json"} | dict(headers))
