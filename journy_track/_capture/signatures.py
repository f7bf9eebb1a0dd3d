"""The arguments of a call by name, also those of methods."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import wrapt

from journy_track._model.errors import InvalidArgument


class Signature:
    """The signature of one decorated function, looked up when first needed."""

    __slots__ = ("_function", "_known")

    def __init__(self, function: Any) -> None:
        self._function = function.__func__ if isinstance(function, (classmethod, staticmethod)) else function
        self._known: tuple[Any, inspect.Signature] | None = None

    def check(self, names: tuple[str, ...]) -> None:
        """Raises `InvalidArgument` for a name that the function does not take."""
        if not names:
            return
        try:
            parameters = inspect.signature(self._function).parameters
        except (TypeError, ValueError):
            raise InvalidArgument(
                "capture: the signature of this function is not known, so use metadata= instead"
            ) from None
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        for name in names:
            if name not in parameters:
                import difflib

                near = difflib.get_close_matches(name, list(parameters), n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(parameters) or 'none'}"
                raise InvalidArgument(f"capture: the function has no argument {name!r}: {hint}")

    def arguments(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Mapping[str, Any]:
        """The arguments of one call, with defaults and without self; empty when they do not fit."""
        function: Any = wrapped
        self_argument: tuple[Any, ...] = ()
        if type(wrapped) is wrapt.PartialCallableObjectProxy:  # Class.method(instance, …)
            function, self_argument = wrapped.__wrapped__, (instance,)
        elif hasattr(wrapped, "__func__"):
            function, self_argument = wrapped.__func__, (wrapped.__self__,)
        elif _is_classmethod_call(wrapped, args):
            self_argument, args = args[:1], args[1:]
        try:
            bound = self._of(function).bind(*self_argument, *args, **kwargs)
        except (TypeError, ValueError):
            return {}
        bound.apply_defaults()
        named = dict(bound.arguments)
        if self_argument:
            named.pop(next(iter(named)))
        for parameter in bound.signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                named.update(named.pop(parameter.name, {}))
        return named

    def _of(self, function: Any) -> inspect.Signature:
        known = self._known
        if known is None or known[0] is not function:
            known = self._known = (function, inspect.signature(function))
        return known[1]


def _is_classmethod_call(function: Any, args: Any) -> bool:
    """Whether a `@classmethod` above called *function*: since Python 3.13 it passes the class as any argument."""
    if not args or not isinstance(args[0], type):
        return False
    name = getattr(function, "__name__", "")
    return isinstance(inspect.getattr_static(args[0], name, None), classmethod)
