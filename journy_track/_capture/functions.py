"""Any function, wrapped without changing what it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar, cast

from journy_track._model.errors import InvalidArgument, described
from journy_track._model.forks import importing

#: What is called in a function's place: with the function, the instance that it is bound to, and the arguments.
Wrapper = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]
#: Keeps the exact type of what is decorated.
F = TypeVar("F", bound="Callable[..., Any] | classmethod[Any, Any, Any] | staticmethod[Any, Any]")


class Kind(Enum):
    """What calling a function gives."""

    PLAIN = "plain"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


def wrapped_in(wrapper: Wrapper, function: F) -> F:
    """*function*, called through *wrapper*."""
    # wrapt brings along asyncio, ssl and more, which cost more than all of this library: who decorates nothing goes
    # without.
    with importing:
        from journy_track._capture.wrapping import Function

    return cast(F, Function(cast(Any, function), wrapper))


def unwrapped(function: Any) -> Any:
    """The function that says what *function* is: beneath partials, classmethods and callable objects."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, (classmethod, staticmethod)):
            function = function.__func__
        elif inspect.isroutine(function) or not callable(function):
            return function
        else:
            call = type(function).__call__
            if not inspect.isfunction(call):
                return function
            function = call


def kind_of(function: Any) -> Kind:
    """What calling *function* gives."""
    inner = unwrapped(function)
    if inspect.isasyncgenfunction(inner):
        return Kind.ASYNC_GENERATOR
    # A generator beneath @types.coroutine is made to be awaited, too.
    flags = getattr(getattr(inner, "__code__", None), "co_flags", 0)
    if inspect.iscoroutinefunction(inner) or flags & inspect.CO_ITERABLE_COROUTINE:
        return Kind.COROUTINE
    if inspect.isgeneratorfunction(inner):
        return Kind.GENERATOR
    return Kind.PLAIN


_REGISTERED = {
    ("celery.app.task", "Task"): "a Celery task",
    ("celery.local", "PromiseProxy"): "a Celery task",
    ("celery.local", "Proxy"): "a Celery task",
    ("click.core", "Command"): "a click command",
    ("click.core", "BaseCommand"): "a click command",
}


def check_decoratable(function: Any, decorator: str) -> None:
    """Raises `InvalidArgument` for what cannot be decorated without breaking it."""
    for kind in type(function).__mro__:  # type(), not __class__: a lazy Celery proxy would be evaluated
        if what := _REGISTERED.get((kind.__module__, kind.__qualname__)):
            raise InvalidArgument(
                f"{decorator} got {what}, which its framework has registered already and would call past the "
                f"decorator: put {decorator} below the framework's own"
            )
    if inspect.isclass(function):
        raise InvalidArgument(
            f"{decorator} got the class {function.__qualname__}: decorate a method of it, such as __init__"
        )
    if isinstance(function, property):
        raise InvalidArgument(f"{decorator} got a property: put {decorator} below @property")
    if not callable(function) and not isinstance(function, (classmethod, staticmethod)):
        raise InvalidArgument(f"{decorator} decorates functions, got {described(function)}")


def named_like(made: Any, function: Any) -> Any:
    """Give a coroutine or generator the name of the function that it stands for."""
    name = getattr(function, "__name__", None)
    if name is not None:
        made.__name__ = name
        made.__qualname__ = getattr(function, "__qualname__", name)
    return made
