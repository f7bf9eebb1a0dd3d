"""Reading the annotations of a typed event without raising, and checking values against them."""

from __future__ import annotations

import sys
import types
import typing
from enum import Enum
from typing import Any

from journy_track._model.values import FROZEN_KINDS

_UNIONS = (typing.Union, types.UnionType)
#: Wrappers that describe a field but do not restrict its values.
_WRAPPERS = frozenset({"Annotated", "Required", "NotRequired", "ReadOnly", "Final"})
#: Annotations, each with a type that type checkers accept in its place.
_ALSO = ((int, bool), (float, int), (float, bool))


def annotations_of(cls: type) -> dict[str, Any]:
    """The annotations of *cls* and its bases by name; `Any` for those that cannot be evaluated now.

    Never raises: an annotation may refer to a name that is imported for type checkers only.
    """
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ == "builtins":
            continue
        module = vars(sys.modules.get(base.__module__, typing))
        # Only the classes in the body: a field's default may have the name of a type.
        local = {key: value for key, value in vars(base).items() if isinstance(value, type)}
        for name, written in _written(base).items():
            found[name] = _evaluated(written, module, local)
    return found


def _written(cls: type) -> dict[str, Any]:
    """The annotations in the body of *cls*, possibly as text."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    found: dict[str, Any] = vars(cls).get("__annotations__", {})
    return found


def _evaluated(written: Any, module: dict[str, Any], local: dict[str, Any]) -> Any:
    def holder() -> None: ...

    holder.__annotations__ = {"it": written}
    try:
        return typing.get_type_hints(holder, module, local, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - not known at run time: then nothing is checked
        return Any


def is_required(annotation: Any) -> bool:
    """Whether a TypedDict key with this annotation is required, as far as that is known."""
    return annotation is not Any and typing.get_origin(annotation) is not typing.NotRequired


def taken(annotation: Any) -> tuple[list[type], list[Any]]:
    """The types and literals that certainly fit *annotation*, which lets most values skip the full check.

    A literal is a pair of its type and its value, since `1 == True`.
    """
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if _is_wrapper(origin):
        return taken(args[0])
    if origin in _UNIONS:
        each = [taken(one) for one in args]
        return [kind for types, _ in each for kind in types], [one for _, literals in each for one in literals]
    if origin is typing.Literal:
        return [], [(type(one), one) for one in args if type(one) in FROZEN_KINDS]
    if not isinstance(annotation, type):
        return [], []
    return [annotation, *(also for kind, also in _ALSO if kind is annotation)], []


def fits(value: Any, annotation: Any) -> bool:
    """Whether *value* fits *annotation*, as type checkers see it; true if that cannot be determined.

    May run the app's code, such as that of a metaclass.
    """
    try:
        return _fits(value, annotation)
    except Exception:  # noqa: BLE001 - a protocol, or a type that is made for type checkers only
        return True


def _fits(value: Any, annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if _is_wrapper(origin):
        return _fits(value, typing.get_args(annotation)[0])
    if origin in _UNIONS:
        return any(_fits(value, one) for one in typing.get_args(annotation))
    if origin is typing.Literal:
        return any(type(value) is type(one) and value == one for one in typing.get_args(annotation))
    if annotation in (None, Any):
        return value is None or annotation is Any
    if annotation is int:
        return hasattr(type(value), "__index__")
    if annotation is float:
        return hasattr(type(value), "__float__") or hasattr(type(value), "__index__")
    for meant in ("__supertype__", "__value__"):  # of a NewType, and of a `type` alias
        if hasattr(annotation, meant) and not isinstance(annotation, type):
            return _fits(value, getattr(annotation, meant))
    kind = origin or annotation
    if not isinstance(kind, type) or isinstance(value, kind):
        return True
    # An enum member is sent as its value.
    return issubclass(kind, Enum) and any(type(value) is type(one.value) and value == one.value for one in kind)


def _is_wrapper(origin: Any) -> bool:
    return getattr(origin, "__name__", getattr(origin, "_name", None)) in _WRAPPERS


def shown(annotation: Any) -> str:
    """*annotation* for an error message: `int`, `one of 'free', 'pro'`."""
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if _is_wrapper(origin):
        return shown(args[0])
    if origin in _UNIONS:
        return " or ".join(map(shown, args))
    if origin is typing.Literal:
        options = ", ".join(repr(one.value if isinstance(one, Enum) else one) for one in args)
        return options if len(args) == 1 else f"one of {options}"
    if annotation in (None, type(None)):
        return "None"
    return str(getattr(annotation, "__name__", annotation))
