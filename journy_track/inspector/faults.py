"""Validation of planned faults: they may contain only what can be sent as a response."""

from __future__ import annotations

import re
from typing import Any

from journy_track.inspector import rules

MAX_COUNT = 10_000  # requests
MAX_DELAY = 600.0  # seconds
FIELDS = ("status", "body", "headers", "count", "delay", "drop", "containing")
#: These headers frame the response: with values other than the server's own, it cannot be sent.
FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "trailer"})
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def fault_errors(body: Any) -> rules.Errors:
    """The invalid fields of a planned fault, each with the reason."""
    if not isinstance(body, dict):
        return {"body": f"Expected an object but found {rules.a_kind(body)}."}
    errors = {name: f"There is no such field: {', '.join(FIELDS)}." for name in body if name not in FIELDS}
    status, count, delay = body.get("status"), body.get("count", 1), body.get("delay", 0)
    if status is not None and not (_whole(status) and 200 <= status <= 599):
        errors["status"] = "Expected a status from 200 to 599, or null for the real response."
    if not (_whole(count) and 1 <= count <= MAX_COUNT):
        errors["count"] = f"Expected a number of requests from 1 to {MAX_COUNT}."
    if not (isinstance(delay, int | float) and not isinstance(delay, bool) and 0 <= delay <= MAX_DELAY):
        errors["delay"] = f"Expected seconds from 0 to {MAX_DELAY:g}."
    if not isinstance(body.get("drop", False), bool):
        errors["drop"] = "Expected true or false."
    if not isinstance(body.get("containing", ""), str):
        errors["containing"] = "Expected the text that a request has in its body."
    if not isinstance(body.get("body"), str | dict | None):
        errors["body"] = "Expected a string, which is sent as HTML, an object, or null for the usual response."
    elif wrong := body_error(body.get("body")):
        errors["body"] = wrong
    headers = body.get("headers", {})
    if not isinstance(headers, dict):
        errors["headers"] = f"Expected an object of strings but found {rules.a_kind(headers)}."
    elif wrong := headers_error(headers):
        errors["headers"] = wrong
    return errors


def body_error(body: Any) -> str | None:
    """Why this body cannot be sent; `None` if it can."""
    if isinstance(body, str):
        try:
            body.encode()
        except UnicodeEncodeError:
            return "A string with lone surrogates has no UTF-8."
    return None


def headers_error(headers: dict[Any, Any]) -> str | None:
    """Why these headers cannot be sent; `None` if they can."""
    for name, value in headers.items():
        if not (isinstance(name, str) and _TOKEN.fullmatch(name)):
            return "The name of a header is letters, digits and !#$%&'*+.^_`|~-."
        if name.lower() in FRAMING:
            return f"{name} is the server's own."
        if not (isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip()):
            return f"The value of {name} must be a string of printable ASCII, without spaces around it."
    return None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
