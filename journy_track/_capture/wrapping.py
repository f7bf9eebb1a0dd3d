"""The wrapper for callables that cannot have a stand-in: partials, callable objects, compiled functions."""

from __future__ import annotations

from types import MethodType
from typing import Any

import wrapt

from journy_track._capture.stand_ins import Run


class Wrapped(wrapt.CallableObjectProxy):  # type: ignore[type-arg]
    """Calls ``run(wrapped, args, kwargs)``, and otherwise behaves like the wrapped object."""

    #: Marks that arguments are passed on unchanged.
    journy_track_wraps = True

    def __init__(self, wrapped: Any, run: Run) -> None:
        super().__init__(wrapped)
        self._self_run = run
        #: Attributes that were set on the wrapper; they are not set on the wrapped object.
        self._self_own: dict[str, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_run(self.__wrapped__, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind it like the undecorated object, when it is used as a method."""
        wrapped = self.__wrapped__
        bind = getattr(type(wrapped), "__get__", None)
        bound = wrapped if bind is None else bind(wrapped, instance, owner)
        if bound is wrapped:
            return self
        if isinstance(bound, MethodType) and bound.__func__ is wrapped:
            return MethodType(self, bound.__self__)
        return Wrapped(bound, self._self_run)

    def __getattr__(self, name: str) -> Any:
        own = self._self_own if name != "_self_own" else {}
        return own[name] if name in own else getattr(self.__wrapped__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith(("_self_", "__")):
            super().__setattr__(name, value)
        else:
            self._self_own[name] = value

    def __delattr__(self, name: str) -> None:
        if name in self._self_own:
            del self._self_own[name]
        else:
            super().__delattr__(name)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle it by name, like a function; without a name, by the wrapped object and *run*."""
        name = getattr(self, "__qualname__", None)
        return name if isinstance(name, str) else (Wrapped, (self.__wrapped__, self._self_run))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self
