"""Checks of arguments: a wrong one raises `InvalidArgument`, naming the argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from journy_track._model.errors import InvalidArgument, described
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import UserIdentified, exact_text, is_mock, well_formed
from journy_track._model.values import frozen, frozen_mapping, warn_of_naive_datetime


def text(value: Any, argument: str) -> str:
    """*value* as a non-empty string. Raises `InvalidArgument` naming *argument*."""
    if type(value) is not str and (is_mock(type(value)) or not isinstance(value, str)):
        raise InvalidArgument(f"{argument} must be a str, got {described(value)}")
    exact = well_formed(exact_text(value))
    if not exact or exact.isspace():
        raise InvalidArgument(f"{argument} is required and must not be empty")
    return exact


def moment(value: Any, argument: str) -> datetime:
    """*value* as an aware datetime. Raises `InvalidArgument` naming *argument*."""
    exact = frozen(value)
    if type(exact) is not datetime:
        raise InvalidArgument(f"{argument} must be a datetime, got {described(value)}")
    if exact.tzinfo is None:
        warn_of_naive_datetime()
    try:
        return exact.astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        raise InvalidArgument(f"{argument} is out of range in UTC") from None


def check_flag(value: Any, argument: str) -> bool:
    """*value* if it is true or false. Raises `InvalidArgument` naming *argument*."""
    if value is not True and value is not False:
        raise InvalidArgument(f"{argument} must be True or False, got {described(value)}")
    return bool(value)


def several(users: Any) -> tuple[Any, ...]:
    """*users* as a tuple, iterated once. Raises `InvalidArgument` for a single user, such as a plain str."""
    one = is_mock(type(users)) or isinstance(users, (str, bytes, UserIdentified, Mapping))
    if one or not isinstance(users, Iterable):
        raise InvalidArgument(f"users must be a list of users or user IDs, got {described(users)}: pass [user]")
    return tuple(users)


def membership_users(users: Any) -> tuple[UserIdentified, ...]:
    """*users* as identities; IDs are converted. Raises `InvalidArgument` for a plain str or an empty collection."""
    if type(users) is not tuple:
        users = several(users)
    if not users:
        raise InvalidArgument("users is required and must not be empty")
    return users if all(type(user) is UserIdentified for user in users) else tuple(map(member, users))


def member(user: Any) -> UserIdentified:
    """One user of a membership as an identity. Raises `InvalidArgument`."""
    try:
        return user if issubclass(type(user), UserIdentified) else UserIdentified.by_user_id(user)
    except InvalidArgument as error:
        raise InvalidArgument(f"users holds {described(user)}: {error}") from None


def check(value: Any, kind: type, argument: str, *, optional: bool = False) -> None:
    if isinstance(value, kind) or (value is None and optional):
        return
    if value is None and kind is UserIdentified:
        raise InvalidArgument(f"{argument} is required: an event or a call is about a user or an account")
    raise InvalidArgument(f"{argument} must be a {kind.__name__}, got {described(value)}")


def frozen_dict(values: Any, argument: str) -> FrozenDict:
    if type(values) is FrozenDict:
        return values
    if not isinstance(values, Mapping):
        raise InvalidArgument(f"{argument} must be a mapping, got {described(values)}")
    return FrozenDict(frozen_mapping(values))
