"""The requests that journy.io's API takes, in our own words: a third opinion beside the library and the inspector.

One JSON Schema a call. An object here refuses members that it does not name, which the API does not: in a
request of ours such a member is a slip.
"""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from journy_track.inspector import Received

Schema = dict[str, Any]


def _object(required: tuple[str, ...] = (), /, **members: Schema) -> Schema:
    return {"type": "object", "properties": members, "required": list(required), "additionalProperties": False}


def _one_or_more(**members: Schema) -> Schema:
    return {**_object(**members), "minProperties": 1}


def _map_of(*kinds: Schema) -> Schema:
    return {"type": "object", "additionalProperties": {"anyOf": list(kinds)}}


ANY_TEXT: Schema = {"type": "string"}
TEXT: Schema = {"type": "string", "minLength": 1}
EMAIL: Schema = {"type": "string", "format": "email"}
# As RFC 3339 has it. How this library writes it (UTC, milliseconds, Z) is for the tests of values.
MOMENT: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$",
}

USER = _one_or_more(userId=TEXT, email=EMAIL)
ACCOUNT = _one_or_more(accountId=TEXT, domain=TEXT)
METADATA = _map_of(ANY_TEXT, {"type": "boolean"}, {"type": "number"})
PROPERTIES = _map_of(
    ANY_TEXT, {"type": "boolean"}, {"type": "number"}, {"type": "null"}, {"type": "array", "items": ANY_TEXT}
)
EVENT = _object(
    ("identification", "name"),
    identification=_one_or_more(user=USER, account=ACCOUNT),
    name=TEXT,
    triggeredAt=MOMENT,
    metadata=METADATA,
)
MEMBERSHIP = _object(
    ("account", "users"),
    account=ACCOUNT,
    users={"type": "array", "maxItems": 100, "items": _object(("identification",), identification=USER)},
)

#: What the body of each writing call must be.
BODIES: dict[tuple[str, str], Schema] = {
    ("POST", "/track"): EVENT,
    ("POST", "/events"): EVENT,  # the old name, which older SDKs use
    ("POST", "/users/upsert"): _object(("identification",), identification=USER, properties=PROPERTIES),
    ("DELETE", "/users"): _object(("identification",), identification=USER),
    ("POST", "/accounts/upsert"): _object(("identification",), identification=ACCOUNT, properties=PROPERTIES),
    ("DELETE", "/accounts"): _object(("identification",), identification=ACCOUNT),
    ("POST", "/accounts/users/add"): MEMBERSHIP,
    ("POST", "/accounts/users/remove"): MEMBERSHIP,
    ("POST", "/link"): _object(("deviceId", "identification"), deviceId=TEXT, identification=USER),
}

#: What the query of each reading call must be.
QUERIES: dict[tuple[str, str], Schema] = {
    ("GET", "/validate"): _object(),
    ("GET", "/tracking/snippet"): _object(("domain",), domain=TEXT),
    ("GET", "/events"): _object(),
    ("GET", "/properties/users"): _object(),
    ("GET", "/properties/accounts"): _object(),
    ("GET", "/segments/users"): _object(),
    ("GET", "/segments/accounts"): _object(),
}


def check_request(received: Received) -> None:
    """Assert that a request which arrived is one that the API takes."""
    call = (received.method, received.path)
    assert call in BODIES or call in QUERIES, f"the API has no {received.method} {received.path}"
    assert received.headers.get("x-api-key"), "no key"
    if call in BODIES:
        assert received.headers.get("content-type", "").partition(";")[0] == "application/json"
        assert received.query == {}
        check(strictly_parsed(received.body), BODIES[call])
    else:
        assert received.body == b""
        check(received.query, QUERIES[call])


def check(value: Any, schema: Schema) -> None:
    """Assert that *value* fits *schema*, naming each place where it does not."""
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not wrong, "\n".join(wrong)


def strictly_parsed(body: bytes) -> Any:
    """The value of a JSON text as any language reads it: UTF-8, no NaN, no infinity, no half of a character."""
    value = json.loads(body.decode("utf-8"), parse_constant=_no_json, parse_float=_finite)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # raises for a lone surrogate, written as an escape
    return value


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    assert number - number == 0, f"{text} is beyond what a number can hold"
    return number
