"""What a function is, and what can be called in its place without changing that."""

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
    """What calling a function gives."""

    PLAIN = "plain"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


def inside(function: Any) -> Any:
    """The function that a decorator puts another one in the place of: what a classmethod and its like hold."""
    while isinstance(function, (classmethod, staticmethod, functools.partialmethod)):
        function = function.func if isinstance(function, functools.partialmethod) else function.__func__
    return function


def substitute(function: Any, run: Any) -> Any:
    """What can be called in the place of *function*: calls ``run(function, args, kwargs)``."""
    if type(function) is FunctionType and (flags_describe() or kind_of(function) is FunctionKind.PLAIN):
        return stand_in(function, run)
    return proxy(function, run)


def proxy(function: Any, run: Any) -> Any:
    """The same, of its own type but equal to *function*, and so found where that is a key."""
    # wrapt brings along asyncio, ssl and more, which cost more than all of this library.
    with importing:
        from journy_track._capture.wrapping import Wrapped

    return Wrapped(function, run)


def unwrapped(function: Any) -> Any:
    """The function that decides what *function* is: beneath partials, classmethods and callable objects."""
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
    """What calling *function* gives."""
    inner = unwrapped(function)
    if issubclass(type(inner), type):
        return FunctionKind.PLAIN  # its metaclass, which inspect would ask, may be the app's own
    if inspect.isasyncgenfunction(inner):
        return FunctionKind.ASYNC_GENERATOR
    # A generator beneath @types.coroutine is made to be awaited, too.
    made_awaitable = inspect.isfunction(inner) and inner.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE
    if inspect.iscoroutinefunction(inner) or made_awaitable:
        return FunctionKind.COROUTINE
    if inspect.isgeneratorfunction(inner):
        return FunctionKind.GENERATOR
    return FunctionKind.PLAIN


def check_decoratable(function: Any, decorator: str) -> None:
    """Raises `InvalidArgument` for what cannot be decorated without breaking it; warns if it would have no effect."""
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
    """Give a coroutine or generator the name of the function that it stands for."""
    name = getattr(function, "__name__", None)
    if isinstance(name, str):
        qualified = getattr(function, "__qualname__", name)
        made.__name__ = name
        made.__qualname__ = qualified if isinstance(qualified, str) else name
    return made
