"""Typed events: classes that declare an event, and the conversion of their instances to its metadata."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from journy_track._capture import mistakes
from journy_track._capture.annotations import annotations_of, fits, is_required, shown, taken
from journy_track._capture.inputs import DECLARED
from journy_track._capture.own_code import uncaptured
from journy_track._model.arguments import text
from journy_track._model.errors import InvalidArgument, described, shortened
from journy_track._model.values import FROZEN_KINDS, Refused, frozen


class DataclassEvent(Protocol):
    """An event that is a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class ModelEvent(Protocol):
    """An event that is a pydantic model."""

    def model_dump(self) -> dict[str, Any]: ...


EventObject = DataclassEvent | ModelEvent


class Declaration:
    """The declaration of one class: the event's name and its fields.

    Annotations are not evaluated until the first event is checked, since they may refer to names that are defined
    later, or imported for type checkers only.
    """

    __slots__ = ("_checks", "cls", "fields", "name")

    def __init__(self, cls: type, name: str) -> None:
        self.cls = cls
        self.name = name
        #: `None` for a pydantic model, which validates its fields itself.
        self.fields: tuple[str, ...] | None = _fields_of(cls)
        self._checks: dict[str, _Check] | None = None

    def of_subclass(self, cls: type) -> Declaration:
        """The declaration of *cls*: an undeclared subclass is the same event, perhaps with more fields."""
        if cls is self.cls or self.fields is None or "__dataclass_fields__" not in vars(cls):
            return self
        found = Declaration(cls, self.name)
        setattr(cls, DECLARED, found)
        return found

    def is_one(self, thing: Any) -> bool:
        """Whether *thing* is such an event: any mapping, if the class is a TypedDict."""
        # Check the type only: a lazy object must not be evaluated.
        return issubclass(type(thing), Mapping if _is_typed_dict(self.cls) else self.cls)

    def values(self, event: Any) -> dict[str, Any]:
        """The metadata of *event*. While strict, raises `InvalidArgument` for a value that does not fit its field.

        Otherwise the value is replaced by a `Refused`, which the worker leaves out, logging why.
        """
        if self.fields is None:
            return dict(uncaptured(event.model_dump))
        if not _is_typed_dict(self.cls):
            return self._checked({name: getattr(event, name, None) for name in self.fields})
        if not isinstance(event, Mapping):
            raise InvalidArgument(
                f"after the class {self.cls.__name__}, pass the event as a mapping; got {described(event)}"
            )
        if mistakes.strict():
            checks = self._checks or self._made_checks()
            needed = getattr(self.cls, "__required_keys__", ())
            # With string annotations, the class does not know which keys are NotRequired.
            missing = [name for name in sorted(needed) if name not in event and is_required(checks[name].annotation)]
            if missing:
                raise InvalidArgument(f"{self.cls.__name__} needs {', '.join(map(repr, missing))}")
        return self._checked(uncaptured(dict, event))

    def check(self, event: Any) -> None:
        """While strict, raise `InvalidArgument` for a value of *event* that does not fit its field."""
        if mistakes.strict():
            self.values(event)

    def of(self, event: Any) -> dict[str, Any]:
        """The metadata of the event passed after the class, as is required for a TypedDict."""
        if not _is_typed_dict(self.cls):
            raise InvalidArgument(f"got the class {self.cls.__name__}: pass an event, as in {self.cls.__name__}(…)")
        return self.values(event)

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        for name, value in values.items():
            problem = self._problem(name, value)
            if problem is None:
                continue
            if mistakes.strict():
                raise InvalidArgument(f"{problem}, got {described(value)}")
            values[name] = Refused(problem)
        return values

    def _problem(self, name: str, value: Any) -> str | None:
        """What is wrong with *value*; `None` if it fits."""
        check = (self._checks or self._made_checks()).get(name)
        if check is None:
            shown_key = shortened(name) if type(name) is str else type(name).__name__
            return f"{self.cls.__name__} has no field {shown_key!r}"
        if check.takes(value) or uncaptured(_fits_somehow, value, check.annotation):
            return None
        return f"{self.cls.__name__}.{name} must be {shown(check.annotation)}"

    def _made_checks(self) -> dict[str, _Check]:
        annotations = annotations_of(self.cls)
        self._checks = {name: _Check(annotations.get(name, Any)) for name in self.fields or ()}
        return self._checks


class _Check:
    """The quick check of one field, which recognises most valid values without running code of the app."""

    __slots__ = ("_literals", "_types", "annotation")

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        types, literals = taken(annotation)
        self._literals = frozenset(literals)
        # By ID, since an app's type may have a metaclass that makes it unhashable. The annotation keeps them alive.
        self._types: frozenset[int] = frozenset(map(id, types))

    def takes(self, value: Any) -> bool:
        kind = type(value)
        if id(kind) in self._types or self.annotation is Any:
            return True
        return kind in FROZEN_KINDS and (kind, value) in self._literals


def _fits_somehow(value: Any, annotation: Any) -> bool:
    """Whether *value* fits, or its sent form does: the value of an enum, or the text of a lazy translation."""
    return fits(value, annotation) or fits(frozen(value), annotation)


def declared(cls: Any, name: str | None, renamed_from: str | tuple[str, ...]) -> Any:
    """Make *cls* declare an event, and return it. Raises `InvalidArgument` if it cannot declare one."""
    if not isinstance(cls, type):
        raise InvalidArgument(f"@event decorates classes, got {described(cls)}")
    if not (_is_typed_dict(cls) or _is_model(cls) or "__dataclass_fields__" in vars(cls)):
        if hasattr(cls, "__attrs_attrs__") or "__init__" in vars(cls) or issubclass(cls, (tuple, Mapping)):
            raise InvalidArgument(
                f"@event got {cls.__name__}: it takes dataclasses, pydantic models, TypedDicts, and classes with "
                "annotated fields, which become dataclasses"
            )
        cls = dataclasses.dataclass(frozen=True)(cls)
    for former in (renamed_from,) if isinstance(renamed_from, str) else tuple(renamed_from):
        text(former, "renamed_from")  # it is read from the source, by `journy-track catalog`
    declaration = Declaration(cls, snake_case(cls.__name__) if name is None else text(name, "name"))
    setattr(cls, DECLARED, declaration)
    if declaration.fields is not None and "__init__" in vars(cls):
        _check_when_made(cls, declaration)
    return cls


def snake_case(name: str) -> str:
    """`SignedUp` → `signed_up`, `HTTPErrorSeen` → `http_error_seen`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip("_")).lower()


def _check_when_made(cls: Any, declaration: Declaration) -> None:
    init = cls.__init__

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if type(self) is cls:  # otherwise a subclass is still initialising it
            declaration.check(self)

    cls.__init__ = checked


def _fields_of(cls: type) -> tuple[str, ...] | None:
    if _is_typed_dict(cls):
        return (*getattr(cls, "__required_keys__", ()), *getattr(cls, "__optional_keys__", ()))
    if _is_model(cls):
        return None
    return tuple(field.name for field in dataclasses.fields(cls))


def _is_typed_dict(cls: type) -> bool:
    return issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def _is_model(cls: type) -> bool:
    return callable(getattr(cls, "model_dump", None))
