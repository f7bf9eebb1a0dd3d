"""Checks of what callers pass as a user, an account or metadata, and what is usable of wrong values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from types import FunctionType
from typing import Any
from uuid import UUID

from journy_track._capture import mistakes
from journy_track._capture.lookalikes import look_at
from journy_track._capture.own_code import uncaptured
from journy_track._capture.routes import line_of_decorator
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.identity import AccountIdentified, UserIdentified, is_mock
from journy_track._model.values import frozen_mapping

#: The attribute in which a class that declares an event holds its `Declaration` (see `typed`).
DECLARED = "__journy_event__"
_PLAIN_IDS = frozenset({str, int, UUID, type(None)})


def declaration_of(thing: Any) -> Any:
    """The `Declaration` of a typed event or of its class; `None` for anything else."""
    cls = thing if issubclass(type(thing), type) else type(thing)
    found = getattr(cls, DECLARED, None)
    return None if found is None else found.of_subclass(cls)


def event_of(event: Any, mapping: Any) -> tuple[Any, Any]:
    """The name and metadata of a typed event; anything else is returned unchanged. Raises `InvalidArgument`."""
    declaration = declaration_of(event)
    if declaration is None:
        return event, mapping
    if issubclass(type(event), type):
        return declaration.name, declaration.of(mapping)
    values = declaration.values(event)
    return declaration.name, values if mapping is None else {**mapping, **values}


def user_of(value: Any, email: str | None = None) -> UserIdentified | None:
    """*value* as a user; `None` for no user. Raises `InvalidArgument`."""
    if isinstance(value, UserIdentified):
        if email:
            raise InvalidArgument("email was given as well as a UserIdentified: pass it to UserIdentified")
        return value if issubclass(type(value), UserIdentified) else UserIdentified(**_behind(value))
    if isinstance(value, AccountIdentified):
        raise InvalidArgument("user must be a user, got an AccountIdentified")
    if value is None and not email:
        return None
    if type(value) in _PLAIN_IDS:
        return UserIdentified(value, email)
    return uncaptured(UserIdentified, value, email)  # an ID type creates its own text


def account_of(value: Any, domain: str | None = None) -> AccountIdentified | None:
    """*value* as an account; `None` for no account. Raises `InvalidArgument`."""
    if isinstance(value, AccountIdentified):
        if domain:
            raise InvalidArgument("domain was given as well as an AccountIdentified: pass it to AccountIdentified")
        return value if issubclass(type(value), AccountIdentified) else AccountIdentified(**_behind(value))
    if isinstance(value, UserIdentified):
        raise InvalidArgument("account must be an account, got a UserIdentified")
    if value is None and not domain:
        return None
    if type(value) in _PLAIN_IDS:
        return AccountIdentified(value, domain)
    return uncaptured(AccountIdentified, value, domain)


def metadata_of(mapping: Mapping[str, object] | None, values: dict[str, object]) -> dict[Any, Any]:
    """Merge a mapping and keywords into metadata. Nothing is captured while this runs code of the app.

    Raises `InvalidArgument`.
    """
    return uncaptured(lambda: frozen_mapping(given(mapping, values)))


def _behind(proxy: Any) -> dict[str, Any]:
    """The fields of the object behind a proxy, such as werkzeug's, which the worker cannot access.

    Raises `InvalidArgument`.
    """
    if is_mock(type(proxy)):
        raise InvalidArgument(f"a {type(proxy).__name__} is a mock: pass a real identity")
    return {field.name: getattr(proxy, field.name) for field in fields(proxy.__class__)}


def given(mapping: Mapping[str, object] | None, values: dict[str, object]) -> Mapping[str, object]:
    """Merge a mapping and keywords; if a key is given both ways, the keyword wins. Raises `InvalidArgument`."""
    if mapping is None:
        return values
    check_mapping(mapping)
    return {**mapping, **values}


def check_mapping(mapping: object) -> None:
    """Raise `InvalidArgument` unless *mapping* can be metadata or properties."""
    if is_mock(type(mapping)) or not isinstance(mapping, Mapping):
        raise InvalidArgument(
            f"the first argument must be a mapping, got {described(mapping)}: pass values by keyword, plan='pro', "
            "and the user or account as user= or account="
        )


# ── What can be used of wrong values ──────────────────────────────────────────────────────────────────────


def usable_identity(
    verb: str, of: Callable[..., Any], value: Any, address: str | None, became: str
) -> tuple[Any, Exception | None]:
    """Return the identity that *of* makes of *value* and *address*, or else of *value* alone, and any error.

    *address* is the e-mail or domain beside the ID. While `strict`, an error is raised. Otherwise it is logged for
    *verb*, with *became* to describe what happened to an unusable value.
    """
    try:
        return of(value, address), None
    except Exception as error:  # noqa: BLE001 - contained: it may be data, and its code the app's
        mistake = error
    if mistakes.strict() or _is_being_decorated(value):
        raise mistake
    who = None
    with suppress(Exception):
        who = of(value)
    mistakes.log_mistake(verb, mistake, became if who is None else "only the ID was used")
    return who, mistake


def usable_metadata(
    verb: str, mapping: Mapping[str, object] | None, values: dict[str, object]
) -> tuple[dict[Any, Any], Exception | None]:
    """Return the metadata of a mapping and keywords, or else of the keywords alone, and any error.

    While `strict`, an error is raised. Otherwise it is logged for *verb*.
    """
    try:
        look_at(verb, "", values)
        return metadata_of(mapping, values), None
    except Exception as error:  # noqa: BLE001 - as above
        mistake = error
    if mistakes.strict() or _is_being_decorated(mapping):
        raise mistake
    usable: dict[Any, Any] = {}
    with suppress(Exception):  # one of them may be the wrong value
        usable = frozen_mapping(values)
    became = "only the keyword arguments were used" if usable else "none of it was used"
    mistakes.log_mistake(f"{verb}()", mistake, became)
    return usable, mistake


def _is_being_decorated(value: object) -> bool:
    """Whether the verb is used as a decorator without a call, as in `@user`, so *value* is the decorated function."""
    return type(value) is FunctionType and line_of_decorator(value.__code__) is not None
