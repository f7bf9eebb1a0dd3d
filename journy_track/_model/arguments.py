"""Arguments, checked: what is wrong with one raises `InvalidArgument`, naming it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from journy_track._model.errors import InvalidArgument, described
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import UserIdentified, exact_text, well_formed
from journy_track._model.values import frozen, frozen_mapping, warn_of_naive_datetime


def text(value: Any, argument: str) -> str:
    """*value* as text that is not empty. Raises `InvalidArgument` naming *argument*."""
    if not isinstance(value, str):
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


def membership_users(users: Any) -> tuple[UserIdentified, ...]:
    """*users* as identities, IDs taken as they are. Raises `InvalidArgument` for a plain str or none at all."""
    if isinstance(users, (str, bytes, UserIdentified, Mapping)) or not isinstance(users, Iterable):
        raise InvalidArgument(f"users must be a list of users or user IDs, got {described(users)}: pass [user]")
    if isinstance(users, tuple) and all(type(user) is UserIdentified for user in users):
        taken = users
    else:
        taken = tuple(map(_member, users))
    if not taken:
        raise InvalidArgument("users is required and must not be empty")
    return taken


def _member(user: Any) -> UserIdentified:
    try:
        return user if isinstance(user, UserIdentified) else UserIdentified.by_user_id(user)
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
