"""What changes the inspector from outside: faults for the next requests, and a fresh start."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from journy_track.inspector import rules
from journy_track.inspector.answers import message_body
from journy_track.inspector.assets import json_response
from journy_track.inspector.state import State
from journy_track.inspector.values import Fault

# A page of another site can post to this machine, but not with a header of its own: for that a browser
# asks first, and gets no permission.
HEADER = "x-inspector-control"
MAX_COUNT = 10_000  # requests
MAX_DELAY = 600.0  # seconds
FIELDS = ("status", "body", "headers", "count", "delay", "drop")

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(state: State) -> list[Route]:
    """The changing half of `/__inspector`, and what was ordered."""

    async def pending(request: Request) -> Response:
        return json_response({"faults": _pending(state)})

    async def order(request: Request) -> Response:
        try:
            body = rules.parse(await request.body())
        except ValueError as error:
            return _bad_fields({"body": f"Expected JSON: {error}"})
        if errors := fault_errors(body):
            return _bad_fields(errors)
        status = body.get("status", None if body.get("drop") or body.get("delay") else 500)
        headers, delay = body.get("headers", {}), float(body.get("delay", 0))
        fault = Fault(status, body.get("body"), headers, delay, body.get("drop", False))
        state.order(fault, body.get("count", 1))
        return json_response({"faults": _pending(state)}, 201)

    async def forget(request: Request) -> Response:
        state.forget_faults()
        return json_response({"faults": []})

    async def reset(request: Request) -> Response:
        state.reset()
        return json_response({"run": state.run})

    return [
        Route("/faults", pending, methods=["GET"]),
        Route("/faults", _controlled(order), methods=["POST"]),
        Route("/faults", _controlled(forget), methods=["DELETE"]),
        Route("/reset", _controlled(reset), methods=["POST"]),
    ]


def fault_errors(body: Any) -> rules.Errors:
    """The fields of an order that are wrong, and why."""
    if not isinstance(body, dict):
        return {"body": f"Expected an object but found {rules.a_kind(body)}."}
    errors = {name: f"There is no such field: {', '.join(FIELDS)}." for name in body if name not in FIELDS}
    status, count, delay = body.get("status"), body.get("count", 1), body.get("delay", 0)
    if status is not None and not (_whole(status) and 200 <= status <= 599):
        errors["status"] = "Expected a status from 200 to 599, or null for the real answer."
    if not (_whole(count) and 1 <= count <= MAX_COUNT):
        errors["count"] = f"Expected a number of requests from 1 to {MAX_COUNT}."
    if not (isinstance(delay, int | float) and not isinstance(delay, bool) and 0 <= delay <= MAX_DELAY):
        errors["delay"] = f"Expected seconds from 0 to {MAX_DELAY:g}."
    if not isinstance(body.get("drop", False), bool):
        errors["drop"] = "Expected true or false."
    if not isinstance(body.get("body"), str | dict | None):
        errors["body"] = "Expected a string, which travels as HTML, an object, or null for the usual answer."
    if not _are_headers(body.get("headers", {})):
        errors["headers"] = "Expected an object of strings that can be headers."
    return errors


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) and f"{name}{text}".isascii() and f"{name}{text}".isprintable() and name
        for name, text in value.items()
    )


def _controlled(endpoint: Endpoint) -> Endpoint:
    async def checked(request: Request) -> Response:
        if not request.headers.get(HEADER):
            sentence = f"A call that changes the inspector needs the header {HEADER.title()}, with any value."
            return json_response(message_body(403, sentence, ""), 403)
        return await endpoint(request)

    return checked


def _pending(state: State) -> list[dict[str, Any]]:
    """What is still to come, with neighbours that are the same counted together."""
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
        }
        for fault, same in itertools.groupby(faults)
    ]


def _bad_fields(errors: rules.Errors) -> Response:
    content = message_body(400, "Some fields are wrong.", "") | {"errors": {"fields": errors}}
    return json_response(content, 400)
