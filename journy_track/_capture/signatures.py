"""The arguments of a call by name, as the function was really called, whatever its `__wrapped__` suggests.

`functools.wraps` makes a function show the signature of another one, although the decorator may add or remove
arguments. A function's own parameters are always right, but are often ``*args, **kwargs``. In that case, the function
beneath is watched while it is called (see `watching`). If that is not possible, only arguments whose names are
certain are returned.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from journy_track._capture.stand_ins import parameter_names, stand_in
from journy_track._model.signature import signature_of

#: The type that `functools.lru_cache` and `functools.cache` return. It passes its arguments on unchanged.
_Cached: Any = type(functools.lru_cache(lambda: None))


_MAX_DECORATORS = 100


class Parameters(NamedTuple):
    """The parameters of a callable: *names* and, if *more*, arbitrary keywords."""

    names: tuple[str, ...]
    more: bool


class Called(NamedTuple):
    """The function and arguments of a call, beneath partials, bound methods and the like."""

    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    #: Whether the first of *args* is the instance or class that the method is bound to.
    is_method: bool
    #: Whether it accepts ``*args`` or ``**kwargs`` and passes them to another function in an unknown way.
    hides: bool


def called(function: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = {}) -> Called:
    """Resolve a call of *function* with these arguments."""
    is_method = False
    while type(function) is not FunctionType:
        if getattr(type(function), "journy_track_wraps", False) or isinstance(function, _Cached):
            function = function.__wrapped__
        elif isinstance(function, functools.partial):
            args, kwargs = _filled(function.args, args), {**function.keywords, **kwargs}
            function = function.func
        elif isinstance(function, MethodType):
            function, args, is_method = function.__func__, (function.__self__, *args), True
        else:
            call = vars(type(function)).get("__call__") or getattr(type(function), "__call__", None)  # noqa: B004
            stands_for_another = hasattr(function, "__wrapped__")
            if type(call) is not FunctionType:
                return Called(function, args, kwargs, is_method, stands_for_another)
            return Called(call, (function, *args), kwargs, True, stands_for_another and _is_open(call))
    return Called(function, args, kwargs, is_method, _is_open(function) and "__wrapped__" in function.__dict__)


def _filled(given: tuple[Any, ...], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a partial combined with those of a call, which also fill its placeholders."""
    free = getattr(functools, "Placeholder", args)  # new in Python 3.14
    rest = iter(args)
    return (*(next(rest, free) if value is free else value for value in given), *rest)


def _is_open(function: FunctionType) -> bool:
    return bool(function.__code__.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS))


def parameters_of(function: Any) -> Parameters | None:
    """The parameters of *function* itself; `None` if they are not known."""
    found = called(function)
    if type(found.function) is not FunctionType:
        if found.hides:
            return Parameters((), more=True)
        try:
            parameters = signature_of(found.function).parameters
        except (TypeError, ValueError):
            return None
        return Parameters(tuple(parameters), any(p.kind is p.VAR_KEYWORD for p in parameters.values()))
    code = found.function.__code__
    names = parameter_names(code)
    if found.hides:
        names = names[: code.co_argcount + code.co_kwonlyargcount]
    return Parameters(names[found.is_method :], bool(code.co_flags & inspect.CO_VARKEYWORDS))


def named(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, in_order: bool) -> dict[str, Any]:
    """The arguments of a call of *function* by name, with defaults and without self; empty if they do not fit.

    Only arguments whose names are certain are included: those that *function* passes on appear only if they are
    keywords. *in_order*: the stand-in of a Python function has already put them in order and filled in the defaults.
    """
    function, args, kwargs, is_method, hides = called(function, args, kwargs)
    try:
        if type(function) is not FunctionType:
            return dict(kwargs) if hides else _bound(function, args, kwargs)
        found = _named(function, args, kwargs) if in_order else stand_in(function, _named)(*args, **kwargs)
    except (TypeError, ValueError):
        return {}
    code = function.__code__
    if hides and code.co_flags & inspect.CO_VARARGS:
        found.pop(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], None)
    if code.co_argcount:
        first = code.co_varnames[0]
        if is_method or _is_self(first, found[first], function):
            del found[first]
    return found


def _bound(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    bound = signature_of(function).bind(*args, **kwargs)
    bound.apply_defaults()
    found = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update(found.pop(parameter.name))
    return found


def _named(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name, given that a stand-in has put them in order."""
    code = function.__code__
    found = dict(zip(code.co_varnames[: code.co_argcount], args, strict=False))
    if code.co_flags & inspect.CO_VARARGS:
        found[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]] = args[code.co_argcount :]
    return {**found, **kwargs}


def _is_self(name: str, value: Any, function: Any) -> bool:
    """Whether *value*, the first argument of *function*, is the instance or class of the method."""
    if name in ("self", "cls"):
        return True
    kind = type(value)
    owners: list[type] = [*kind.__mro__]
    # Not isinstance, which would evaluate a lazy object to get its class.
    if issubclass(kind, type):
        owners += value.__mro__
    return any(_leads_to(vars(owner).get(function.__name__), function) for owner in owners)


def _leads_to(found: Any, function: Any) -> bool:
    """Whether *found*, an attribute of a class, is *function* or wraps it, as a method bound on each call."""
    if isinstance(found, classmethod):
        found = found.__func__
    for _ in range(_MAX_DECORATORS):  # functions can be made to wrap each other
        if type(found) is not FunctionType or found is function:
            return found is function
        found = found.__dict__.get("__wrapped__")
    return False
