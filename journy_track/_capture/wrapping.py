"""The wrapper around a decorated function: it keeps its kind, its signature and its place for pickle."""

from __future__ import annotations

import copy
import pickle
import pkgutil
from typing import Any

import wrapt


class _BoundFunction(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A decorated method as its instance or class gives it. Pickled and copied as undecorated ones are."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        if hasattr(self, "__self__"):
            return getattr, (self.__self__, self.__name__)
        return pkgutil.resolve_name, (f"{self.__module__}:{self.__qualname__}",)  # Class.method, a staticmethod

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        if hasattr(self, "__self__"):
            return getattr(copy.deepcopy(self.__self__, memo), self.__name__)
        return self


class Function(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A decorated function. Pickled by its name and copied as itself, as functions are."""

    __bound_function_wrapper__ = _BoundFunction

    def __reduce_ex__(self, protocol: Any) -> Any:
        name = getattr(self, "__qualname__", None)
        if name is None:
            raise pickle.PicklingError(f"a decorated {type(self.__wrapped__).__name__} has no name to be pickled by")
        return name

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self
