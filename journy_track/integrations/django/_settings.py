"""The `JOURNY` setting of Django: the keys it may have, and the functions it names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

#: Options that are functions of the request, or their import paths.
FUNCTIONS = ("user", "account", "metadata", "skip", "trust")
OPTIONS = (*FUNCTIONS, "link_devices", "snippet", "sync", "events")
#: The keys of `JOURNY["sync"]` that name functions, and the arguments of `sync_accounts()` that it may contain.
SYNCED = ("accounts", "users")
SYNC_OPTIONS = ("state", "share", "max_age", "patience")


def keys_of(name: str, given: Any, known: Iterable[str]) -> Mapping[str, Any]:
    """Return *given*, the setting *name*. Raises `ImproperlyConfigured` if it is not a dict of *known* keys only."""
    known = list(known)
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{name} must be a dict with some of {', '.join(known)}; got {given!r}")
    unknown = [f"{key!r}{_nearest(key, known)}" for key in given if key not in known]
    if unknown:
        raise ImproperlyConfigured(f"{name} has no key {', and no '.join(unknown)}. It has {', '.join(known)}")
    return given


def _nearest(key: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(key), known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def function_of(name: str, value: Any) -> Callable[..., Any]:
    """Return the function that the setting *name* is or names by path. Raises `ImproperlyConfigured` otherwise."""
    function = value
    if isinstance(value, str):
        try:
            function = import_string(value)
        except ImportError as error:
            raise ImproperlyConfigured(f"{name}: {value!r} cannot be imported: {error}") from error
    if not callable(function):
        raise ImproperlyConfigured(f"{name} must be a function or the path of one; got {value!r}")
    return cast("Callable[..., Any]", function)


def sync_of(journy: Any) -> Mapping[str, Any]:
    """Return `JOURNY["sync"]`. Raises `ImproperlyConfigured` if it is invalid."""
    sync = keys_of("JOURNY['sync']", journy.get("sync") or {}, (*SYNCED, *SYNC_OPTIONS))
    if sync and not any(name in sync for name in SYNCED):
        raise ImproperlyConfigured(f"JOURNY['sync'] names no rows: it needs {' or '.join(map(repr, SYNCED))}")
    return sync


def rows_of(sync: Mapping[str, Any], what: str) -> Callable[[], Iterable[Any]]:
    """Return the function that yields the rows of *what*, which is "accounts" or "users"."""
    return function_of(f"JOURNY['sync'][{what!r}]", sync[what])
