"""Warns if a decorator of this library is above the decorator with which a framework registered the function.

Most frameworks' decorators keep the function that they are given and return it, so a decorator applied afterwards is
never called. This is detected at two points. When the function is decorated, the framework's app is often a global of
the same module, and already holds the bare function. Otherwise, on the app's first request, the registered functions
are compared with the functions that were decorated.

A missed mistake is better than a false alarm: a function that is registered bare and decorated elsewhere, for direct
callers, is not a mistake.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from types import CodeType
from typing import Any

from journy_track._model.frameworks import Holder, holder_of, in_use
from journy_track._model.logs import log

#: The number of functions checked in each app when a function is decorated, since it would be among the latest.
_LATEST = 8
#: The same on the app's first request: more than any app has.
_ALL = 100_000
#: The maximum number of frames between a decorator's line and this module, such as the app's own helpers around
#: `track_event`.
_DEEPEST = 12
MAX_HINTS = 100
MAX_TYPES = 1000

#: Functions that were decorated with decorator syntax, by ID: the function and the decorator's name.
_decorated: dict[int, tuple[weakref.ref[Any], str]] = {}
_looked_at: weakref.WeakSet[Any] = weakref.WeakSet()
#: The warnings so far: each is logged once per process. A test that misses an event shows them, even if the app was
#: imported before the test started.
hints: list[str] = []


def decorating(function: Any, decorator: str) -> None:
    """Warn if *function*, about to be decorated with *decorator*, is already registered; otherwise remember it."""
    if not any(framework.holders for framework in in_use()):
        return  # no framework can have registered it
    try:
        *_, innermost = layers = list(_layers(function))
        code = getattr(innermost, "__code__", None)
        line = line_of_decorator(code) if isinstance(code, CodeType) else None
        if code is None or line is None:
            return
        for layer in layers:
            _remember(layer, decorator)
        if line > code.co_firstlineno:
            return  # a decorator above this one may register it
        for kind, app in _apps_in(innermost.__globals__):
            if any(registered is layer for registered in islice(_registered(app), _LATEST) for layer in layers):
                _warn(innermost, decorator, kind.decorator)
                return
    except Exception:  # noqa: BLE001 - a hint is not worth an app that does not start
        return


def look_at(app: Any) -> None:
    """Warn about decorated functions that *app* calls undecorated, once per app. Other objects are ignored."""
    try:
        if app in _looked_at:
            return
        _looked_at.add(app)
        kind = _kind_of(type(app))
        if kind is None:
            return
        registered = list(islice(_registered(app), _ALL))
        # Registered bare for one path and decorated for another: that may be intended.
        covered = {id(layer) for function in registered for layer in islice(_layers(function), 1, None)}
        for function in registered:
            known, decorator = _decorated.get(id(function), (None, ""))
            if known is not None and known() is function and id(function) not in covered:
                *_, innermost = _layers(function)
                _warn(innermost, decorator, kind.decorator or "the one that adds it to the URLs")
    except Exception:  # noqa: BLE001 - nor a request that fails
        return


def _warn(function: Any, decorator: str, registering: str) -> None:
    name, code = function.__qualname__, function.__code__
    message = (
        "%s is above the decorator that registered %s (%s:%s), so the function is called without it. Put %s below "
        "that decorator (such as %s), right above the function."
    )
    arguments = (decorator, name, code.co_filename, code.co_firstlineno, decorator, registering)
    if (hint := message % arguments) not in hints and len(hints) < MAX_HINTS:
        hints.append(hint)
        log(logging.WARNING, message, *arguments)


# ── What is decorated ────────────────────────────────────────────────────────────────────────────────────


def _layers(function: Any) -> Iterator[Any]:
    """*function* and the functions beneath its existing decorators."""
    for _ in range(_DEEPEST):  # the chain may be circular
        yield function
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return


def line_of_decorator(code: CodeType) -> int | None:
    """The line of the decorator that is being applied to the function of *code*.

    `None` if it is called in some other way, as in `tracked = track_event(function)`.
    """
    if code.co_filename == "<stdin>":
        return None  # each statement starts at line 1 there
    first = code.co_firstlineno  # the line of its topmost decorator
    frame = sys._getframe(2)
    for _ in range(_DEEPEST):
        if frame.f_code.co_filename == code.co_filename and frame.f_code is not code:
            line = frame.f_lineno
            if line == first or (first < line <= _first_line_of_body(code)):
                return line
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _first_line_of_body(code: CodeType) -> int:
    first = code.co_firstlineno
    return next((line for _, _, line in code.co_lines() if line is not None and line > first), first)


def _remember(function: Any, decorator: str) -> None:
    key = id(function)

    def forget(_: object, decorated: dict[int, Any] = _decorated) -> None:
        decorated.pop(key, None)

    if key not in _decorated:
        with suppress(TypeError):  # it cannot be referenced weakly
            _decorated[key] = weakref.ref(function, forget), decorator


# ── What is registered ───────────────────────────────────────────────────────────────────────────────────


#: Cached by type, since searching its bases for each decorated function would take too long.
_kinds: dict[type, Holder | None] = {}


def _kind_of(of: type) -> Holder | None:
    try:
        return _kinds[of]
    except KeyError:
        if len(_kinds) >= MAX_TYPES:
            _kinds.clear()
        kind = _kinds[of] = holder_of(of)
        return kind


def _apps_in(namespace: Mapping[str, Any]) -> Iterator[tuple[Holder, Any]]:
    values = list(namespace.values())
    # type(), not isinstance(): a lazy object would be evaluated.
    apps = {of: kind for of in set(map(type, values)) if (kind := _kind_of(of)) is not None and kind.decorator}
    if apps:
        yield from ((apps[type(value)], value) for value in values if type(value) in apps)


def _registered(app: Any) -> Iterator[Any]:
    """The functions registered in *app* and in the apps mounted in it, latest first."""
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        thing = waiting.pop()
        of = type(thing)
        if issubclass(of, weakref.ref):
            thing = thing()
            of = type(thing)
        kind = _kind_of(of)
        if kind is None and not issubclass(of, (dict, list, tuple)):
            if thing is not None:
                yield thing
        elif id(thing) not in seen and len(seen) < _ALL:
            seen.add(id(thing))
            if kind is not None:
                waiting.extend(getattr(thing, attribute, None) for attribute in kind.attributes)
            else:
                waiting.extend(thing.values() if issubclass(of, dict) else thing)
