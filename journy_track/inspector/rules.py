"""What a body must look like: each rule answers the fields that are wrong, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

Errors = dict[str, str]
Rule = Callable[[Any], Errors]

MAX_MEMBERS = 100  # users in one request to /accounts/users/add and /remove

_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|z|[+-][0-9]{2}:[0-9]{2})?"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def parse(body: bytes) -> Any:
    """The value of a JSON body. Raises ValueError for anything that RFC 8259 doesn't know.

    Python reads NaN, Infinity and 1e999; a JSON parser of another language doesn't.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("It is nested too deeply.") from None


def event(body: Any) -> Errors:
    """`POST /track`."""
    if errors := _object("body", body):
        return errors
    errors = _scope(body.get("identification")) if "identification" in body else _missing("identification")
    errors |= _text("name", body)
    if "triggeredAt" in body:
        errors |= _moment("triggeredAt", body["triggeredAt"])
    return errors | _values("metadata", body, _metadata_value)


def user_upsert(body: Any) -> Errors:
    """`POST /users/upsert`."""
    return user_named(body) or _values("properties", body, _property_value)


def account_upsert(body: Any) -> Errors:
    """`POST /accounts/upsert`."""
    return account_named(body) or _values("properties", body, _property_value)


def user_named(body: Any) -> Errors:
    """A body with a user's identification: `DELETE /users`."""
    return _object("body", body) or _identification("identification", body, _user)


def account_named(body: Any) -> Errors:
    """A body with an account's identification: `DELETE /accounts`."""
    return _object("body", body) or _identification("identification", body, _account)


def link(body: Any) -> Errors:
    """`POST /link`."""
    return _object("body", body) or _text("deviceId", body) | _identification("identification", body, _user)


def membership(body: Any) -> Errors:
    """`POST /accounts/users/add` and `/remove`."""
    if errors := _object("body", body):
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
        errors |= _object(path, item) or _identification("identification", item, _user, within=path)
    return errors


def kind(value: Any) -> str:
    """The type of a property as journy.io tells them apart: a date is a string that reads like one."""
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


def a_kind(value: Any) -> str:
    """The kind of a value with its article, for a sentence."""
    name = kind(value)
    return name if name == "null" else f"an {name}" if name == "object" else f"a {name}"


def _object(path: str, value: Any) -> Errors:
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
    if errors := _object(path, value):
        return errors
    if not ("user" in value or "account" in value):
        return {path: "An event needs a user, an account or both."}
    errors = _user(f"{path}.user", value["user"]) if "user" in value else {}
    return errors | (_account(f"{path}.account", value["account"]) if "account" in value else {})


def _user(path: str, value: Any) -> Errors:
    if errors := _either(path, value, "userId", "email"):
        return errors
    email = value.get("email")
    if email is not None and not _EMAIL.fullmatch(email):
        return {f"{path}.email": "Expected an email address."}
    return {}


def _account(path: str, value: Any) -> Errors:
    return _either(path, value, "accountId", "domain")


def _either(path: str, value: Any, one: str, other: str) -> Errors:
    if errors := _object(path, value):
        return errors
    given = [field for field in (one, other) if field in value]
    if not given:
        return {path: f"Expected {one}, {other} or both."}
    errors = {}
    for field in given:
        errors |= _text(f"{path}.{field}", value, field)
    return errors


def _moment(path: str, value: Any) -> Errors:
    if not isinstance(value, str):
        return {path: f"Expected a date-time but found {a_kind(value)}."}
    # Without an offset nobody but the sender knows when it was.
    if _reads_as_datetime(value) and datetime.fromisoformat(value.upper()).tzinfo is not None:
        return {}
    return {path: "Expected a date-time of ISO 8601 with its offset, such as 2024-05-17T09:30:00.000Z."}


def _values(field: str, body: dict[str, Any], rule: Callable[[Any], str | None]) -> Errors:
    if field not in body:
        return {}
    values = body[field]
    if errors := _object(field, values):
        return errors
    return {f"{field}.{name}": reason for name, value in values.items() if (reason := rule(value))}


def _metadata_value(value: Any) -> str | None:
    if isinstance(value, str | bool | int | float):
        return None
    return f"Expected a string, a boolean or a number but found {a_kind(value)}."


def _property_value(value: Any) -> str | None:
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
    except ValueError:  # the 31st of February
        return False
    return True


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is beyond what a number can hold.")
    return number
