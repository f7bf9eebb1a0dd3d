"""Recognising kinds of functions, and making replacements that keep the kind."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum
from types import FunctionType
from typing import Any, TypeVar

from journy_track._capture.routes import decorating
from journy_track._capture.stand_ins import flags_describe, stand_in
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.forks import importing
from journy_track._model.frameworks import registered_as

#: Keeps the exact type of what is decorated.
F = TypeVar(
    "F",
    bound="Callable[..., Any] | classmethod[Any, Any, Any] | staticmethod[Any, Any] | functools.partialmethod[Any]",
)


class FunctionKind(Enum):
    """What calling a function returns."""

    PLAIN = "plain"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


def inside(function: Any) -> Any:
    """The function inside a classmethod, staticmethod or partialmethod, which a decorator replaces."""
    while isinstance(function, (classmethod, staticmethod, functools.partialmethod)):
        function = function.func if isinstance(function, functools.partialmethod) else function.__func__
    return function


def substitute(function: Any, run: Any) -> Any:
    """A replacement for *function* that calls ``run(function, args, kwargs)``."""
    if type(function) is FunctionType and (flags_describe() or kind_of(function) is FunctionKind.PLAIN):
        return stand_in(function, run)
    return proxy(function, run)


def proxy(function: Any, run: Any) -> Any:
    """Like `substitute`, with a type of its own but equal to *function*, so it is found where *function* is a key."""
    # wrapt imports asyncio, ssl and more, which cost more than all of this library.
    with importing:
        from journy_track._capture.wrapping import Wrapped

    return Wrapped(function, run)


def unwrapped(function: Any) -> Any:
    """The function that determines the kind of *function*, beneath partials, classmethods and callable objects."""
    while True:
        function = inside(function)
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.isroutine(function) or not callable(function):
            return function
        else:
            call = type(function).__call__
            if not inspect.isfunction(call):
                return function
            function = call


def kind_of(function: Any) -> FunctionKind:
    """What calling *function* returns."""
    inner = unwrapped(function)
    if issubclass(type(inner), type):
        return FunctionKind.PLAIN  # inspect would run its metaclass, which may be a class of the app
    if inspect.isasyncgenfunction(inner):
        return FunctionKind.ASYNC_GENERATOR
    # A generator beneath @types.coroutine is also meant to be awaited.
    made_awaitable = inspect.isfunction(inner) and inner.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE
    if inspect.iscoroutinefunction(inner) or made_awaitable:
        return FunctionKind.COROUTINE
    if inspect.isgeneratorfunction(inner):
        return FunctionKind.GENERATOR
    return FunctionKind.PLAIN


def check_decoratable(function: Any, decorator: str) -> None:
    """Raise `InvalidArgument` if decorating *function* would break it; warn if it would have no effect."""
    if what := registered_as(function):
        raise InvalidArgument(
            f"{decorator} got {what}, which its framework has already registered and would call without "
            f"the decorator: put {decorator} below the framework's own"
        )
    if inspect.isclass(function):
        raise InvalidArgument(
            f"{decorator} got the class {function.__qualname__}: decorate a method of it, such as __init__"
        )
    if isinstance(function, property):
        raise InvalidArgument(f"{decorator} got a property: put {decorator} below @property")
    if not callable(function) and not isinstance(function, (classmethod, staticmethod, functools.partialmethod)):
        raise InvalidArgument(f"{decorator} decorates functions, got {described(function)}")
    decorating(function, decorator)


def named_like(made: Any, function: Any) -> Any:
    """Name a coroutine or generator after *function*, whose result it replaces."""
    name = getattr(function, "__name__", None)
    if isinstance(name, str):
        qualified = getattr(function, "__qualname__", name)
        made.__name__ = name
        made.__qualname__ = qualified if isinstance(qualified, str) else name
    return made
