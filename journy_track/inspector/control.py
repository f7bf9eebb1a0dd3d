"""The endpoints that change the inspector: planned faults, an app's reports, and a reset."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from journy_track.inspector import rules
from journy_track.inspector.answers import message_body
from journy_track.inspector.api import whole_body
from journy_track.inspector.assets import json_response
from journy_track.inspector.faults import fault_errors
from journy_track.inspector.reports import report_errors
from journy_track.inspector.rules import MAX_BODY
from journy_track.inspector.state import InspectorState
from journy_track.inspector.values import PlannedFault

# A page of another site can post to this machine, but not with a custom header: the browser would send a
# preflight request first, which the inspector does not allow.
HEADER = "x-inspector-control"
Endpoint = Callable[[Request], Awaitable[Response]]


def routes(state: InspectorState) -> list[Route]:
    """The endpoints under `/__inspector` that change it, and those that read planned faults and report counts."""

    async def pending(request: Request) -> Response:
        return json_response({"faults": _pending(state)})

    async def order(request: Request) -> Response:
        body, refused = await _checked(request, fault_errors)
        if refused is not None:
            return refused
        status = body.get("status", None if body.get("drop") or body.get("delay") else 500)
        headers, delay = body.get("headers", {}), float(body.get("delay", 0))
        fault = PlannedFault(
            status, body.get("body"), headers, delay, body.get("drop", False), body.get("containing", "")
        )
        try:
            state.order(fault, body.get("count", 1))
        except ValueError as error:
            return _bad_fields({"count": str(error)})
        return json_response({"faults": _pending(state)}, 201)

    async def forget(request: Request) -> Response:
        state.forget_faults()
        return json_response({"faults": []})

    async def reported(request: Request) -> Response:
        return json_response({"reports": state.reports.number})

    async def report(request: Request) -> Response:
        body, refused = await _checked(request, report_errors)
        if refused is not None:
            return refused
        state.report(body["reports"])
        return json_response({"reports": state.reports.number}, 201)

    async def reset(request: Request) -> Response:
        state.reset()
        return json_response({"run": state.run})

    return [
        Route("/faults", pending, methods=["GET"]),
        Route("/faults", _controlled(order), methods=["POST"]),
        Route("/faults", _controlled(forget), methods=["DELETE"]),
        Route("/reports", reported, methods=["GET"]),
        Route("/reports", _controlled(report), methods=["POST"]),
        Route("/reset", _controlled(reset), methods=["POST"]),
    ]


async def _checked(request: Request, errors_of: Callable[[Any], rules.Errors]) -> tuple[Any, Response | None]:
    """The parsed body of a request, and the response that refuses it, or None if the body is valid."""
    text = await whole_body(request.receive)
    if text is None or len(text) > MAX_BODY:
        return None, json_response(message_body(413, f"The body is larger than {MAX_BODY} bytes.", ""), 413)
    try:
        body = rules.parse(text)
    except ValueError as error:
        return None, _bad_fields({"body": f"Expected JSON: {error}"})
    errors = errors_of(body)
    return body, _bad_fields(errors) if errors else None


def _controlled(endpoint: Endpoint) -> Endpoint:
    async def checked(request: Request) -> Response:
        if not request.headers.get(HEADER):
            sentence = f"A call that changes the inspector needs the header {HEADER.title()}, with any value."
            return json_response(message_body(403, sentence, ""), 403)
        return await endpoint(request)

    return checked


def _pending(state: InspectorState) -> list[dict[str, Any]]:
    """The faults that are still pending, with identical consecutive ones grouped."""
    with state.changed:
        faults = list(state.faults)
    return [
        {
            "count": len(list(same)),
            "status": fault.status,
            "body": fault.body,
            "headers": fault.headers,
            "delay": fault.delay,
            "drop": fault.drop,
            "containing": fault.containing,
        }
        for fault, same in itertools.groupby(faults)
    ]


def _bad_fields(errors: rules.Errors) -> Response:
    content = message_body(400, "Some fields are wrong.", "") | {"errors": {"fields": errors}}
    return json_response(content, 400)
