"""Validation of request bodies: each rule returns the invalid fields, each with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

Errors = dict[str, str]
Rule = Callable[[Any], Errors]

MAX_BODY = 1024 * 1024  # bytes
MAX_MEMBERS = 100  # users in one request to /accounts/users/add and /remove
#: Nesting levels of JSON. Some values can be parsed but are nested too deeply to be serialised or printed again.
MAX_DEPTH = 64
MAX_DIGITS = 400  # of a whole number: a few more than the largest float has

_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|z|[+-][0-9]{2}:[0-9]{2})?"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def parse(body: bytes) -> Any:
    """Parse a JSON body. Raises ValueError for anything that RFC 8259 does not allow, or nested beyond `MAX_DEPTH`.

    Python's parser accepts NaN, Infinity and 1e999; those of other languages do not.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("It is nested too deeply.") from None
    if _is_deeper(value, MAX_DEPTH):
        raise ValueError(f"It is nested too deeply: more than {MAX_DEPTH} levels.")
    return value


def parsed_or_none(body: bytes) -> Any:
    """Parse a JSON body; None if it is empty, too large or not JSON."""
    try:
        return parse(body) if 0 < len(body) <= MAX_BODY else None
    except ValueError:
        return None


def event(body: Any) -> Errors:
    """Validate the body of `POST /track`."""
    if errors := an_object("body", body):
        return errors
    errors = _scope(body.get("identification")) if "identification" in body else _missing("identification")
    errors |= _text("name", body)
    if "triggeredAt" in body:
        errors |= moment("triggeredAt", body["triggeredAt"])
    return errors | _values("metadata", body, metadata_value)


def user_upsert(body: Any) -> Errors:
    """Validate the body of `POST /users/upsert`."""
    return user_named(body) or _values("properties", body, property_value)


def account_upsert(body: Any) -> Errors:
    """Validate the body of `POST /accounts/upsert`."""
    return account_named(body) or _values("properties", body, property_value)


def user_named(body: Any) -> Errors:
    """Validate a body with a user's identification, as of `DELETE /users`."""
    return an_object("body", body) or _identification("identification", body, _user)


def account_named(body: Any) -> Errors:
    """Validate a body with an account's identification, as of `DELETE /accounts`."""
    return an_object("body", body) or _identification("identification", body, _account)


def link(body: Any) -> Errors:
    """Validate the body of `POST /link`."""
    return an_object("body", body) or _text("deviceId", body) | _identification("identification", body, _user)


def membership(body: Any) -> Errors:
    """Validate the body of `POST /accounts/users/add` and `/remove`."""
    if errors := an_object("body", body):
        return errors
    errors = _identification("account", body, _account)
    if "users" not in body:
        return errors | _missing("users")
    users = body["users"]
    if not isinstance(users, list):
        return errors | {"users": f"Expected a list but found {a_kind(users)}."}
    if len(users) > MAX_MEMBERS:
        return errors | {"users": f"Expected at most {MAX_MEMBERS} users but found {len(users)}."}
    for position, item in enumerate(users):
        path = f"users.{position}"
        errors |= an_object(path, item) or _identification("identification", item, _user, within=path)
    return errors


def kind(value: Any) -> str:
    """The type of a value, as journy.io distinguishes them. A string that parses as a date-time is a date."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "date" if _reads_as_datetime(value) else "string"
        case list():
            return "list"
        case _:
            return "object"


def is_email(text: str) -> bool:
    """Whether *text* looks like an e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def a_kind(value: Any) -> str:
    """The kind of a value with its article, for use in a sentence."""
    name = kind(value)
    return name if name == "null" else f"an {name}" if name == "object" else f"a {name}"


def an_object(path: str, value: Any) -> Errors:
    """Check that a value is an object."""
    return {} if isinstance(value, dict) else {path: f"Expected an object but found {a_kind(value)}."}


def _missing(path: str) -> Errors:
    return {path: "This field is required."}


def _text(path: str, holder: dict[str, Any], field: str | None = None) -> Errors:
    field = field or path
    if field not in holder:
        return _missing(path)
    value = holder[field]
    if not isinstance(value, str):
        return {path: f"Expected a string but found {a_kind(value)}."}
    return {} if value else {path: "Expected a string that isn't empty."}


def _identification(
    field: str, holder: dict[str, Any], rule: Callable[[str, Any], Errors], within: str = ""
) -> Errors:
    path = f"{within}.{field}" if within else field
    return rule(path, holder[field]) if field in holder else _missing(path)


def _scope(value: Any) -> Errors:
    path = "identification"
    if errors := an_object(path, value):
        return errors
    if not ("user" in value or "account" in value):
        return {path: "An event needs a user, an account or both."}
    errors = _user(f"{path}.user", value["user"]) if "user" in value else {}
    return errors | (_account(f"{path}.account", value["account"]) if "account" in value else {})


def _user(path: str, value: Any) -> Errors:
    if errors := _either(path, value, "userId", "email"):
        return errors
    email = value.get("email")
    if email is not None and not is_email(email):
        return {f"{path}.email": "Expected an email address."}
    return {}


def _account(path: str, value: Any) -> Errors:
    return _either(path, value, "accountId", "domain")


def _either(path: str, value: Any, one: str, other: str) -> Errors:
    if errors := an_object(path, value):
        return errors
    given = [field for field in (one, other) if field in value]
    if not given:
        return {path: f"Expected {one}, {other} or both."}
    errors = {}
    for field in given:
        errors |= _text(f"{path}.{field}", value, field)
    return errors


def moment(path: str, value: Any) -> Errors:
    """Check that a value is a date-time with an offset."""
    if not isinstance(value, str):
        return {path: f"Expected a date-time but found {a_kind(value)}."}
    # Without an offset, only the sender knows which moment is meant.
    if _reads_as_datetime(value) and datetime.fromisoformat(value.upper()).tzinfo is not None:
        return {}
    return {path: "Expected a date-time of ISO 8601 with its offset, such as 2024-05-17T09:30:00.000Z."}


def _values(field: str, body: dict[str, Any], rule: Callable[[Any], str | None]) -> Errors:
    if field not in body:
        return {}
    values = body[field]
    if errors := an_object(field, values):
        return errors
    return {f"{field}.{name}": reason for name, value in values.items() if (reason := rule(value))}


def metadata_value(value: Any) -> str | None:
    """Why this cannot be a metadata value of an event; None if it can."""
    if isinstance(value, str | bool | int | float):
        return None
    return f"Expected a string, a boolean or a number but found {a_kind(value)}."


def property_value(value: Any) -> str | None:
    """Why this cannot be a property of a user or account; None if it can."""
    match value:
        case dict():
            return "Expected a string, a boolean, a number, a list of strings or null but found an object."
        case list() if not all(isinstance(item, str) for item in value):
            return "Expected a list of strings only."
        case _:
            return None


def _reads_as_datetime(text: str) -> bool:
    if not _DATETIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:  # such as the 31st of February
        return False
    return True


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON.")


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"A number of {len(text)} digits is beyond what a number can hold.")
    return int(text)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested deeper than *levels*. Iterative, because recursion depth is limited."""
    level = [value]
    for _ in range(levels):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is beyond what a number can hold.")
    return number
