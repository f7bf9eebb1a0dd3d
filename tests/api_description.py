"""The requests that journy.io's API accepts, specified independently of the library and the inspector.

There is one JSON Schema per call. The schemas reject members that they do not name. The API does not, but in a
request from this library such a member is a mistake.
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
# As in RFC 3339. The exact format that this library writes (UTC, milliseconds, Z) is tested elsewhere.
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

#: The schema of the body of each writing call.
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

#: The schema of the query of each reading call.
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
    """Assert that the API would accept a request that arrived."""
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
    """Assert that *value* matches *schema*, and name each place where it does not."""
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not wrong, "\n".join(wrong)


def strictly_parsed(body: bytes) -> Any:
    """Parse JSON as strictly as any other language does: UTF-8 only, no NaN, no infinity, no lone surrogates."""
    value = json.loads(body.decode("utf-8"), parse_constant=_no_json, parse_float=_finite)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # raises for an escaped lone surrogate
    return value


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    assert number - number == 0, f"{text} is beyond what a number can hold"
    return number
