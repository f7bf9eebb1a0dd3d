"""Typed events: `@event` on a class, `TypedEvent` for its `.track()`, and `Doc` for its fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, dataclass_transform, overload

from journy_track._capture.attributes import UNSET, Unset
from journy_track._capture.typed import declared
from journy_track._runtime import track as track_it
from journy_track._verbs import Account, User

T = TypeVar("T")


class TypedEvent:
    """A base class for typed events that lets type checkers know `.track()`: see `event`."""

    __slots__ = ()

    def track(
        self,
        *,
        user: User | None | Unset = UNSET,
        account: Account | None | Unset = UNSET,
        happened_at: datetime | None = None,
        after_commit: bool = False,
    ) -> None:
        """Record this event, with the options of `track()`."""
        it: Any = self
        track_it(it, user=user, account=account, happened_at=happened_at, after_commit=after_commit)


@dataclass(frozen=True, slots=True)
class Doc:
    """The meaning of a typed event's field, for readers of the code and of `journy-track catalog`.

    It is part of the annotation: ``seats: Annotated[int, Doc("Who may sign in", unit="people", examples=(3, 50))]``.
    *unit* is the unit of the values. None of it is sent.
    """

    description: str = ""
    _: dataclasses.KW_ONLY
    unit: str | None = None
    examples: tuple[object, ...] = ()


@overload
def event(cls: type[T], /) -> type[T]: ...


@overload
def event(
    name: str | None = None, /, *, renamed_from: str | tuple[str, ...] = ()
) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, dataclasses.Field))
def event(name: Any = None, /, *, renamed_from: str | tuple[str, ...] = ()) -> Any:
    """Declare an event: a class whose fields are its metadata.

        @journy_track.event("signed_up")
        class SignedUp(journy_track.TypedEvent):
            plan: Literal["free", "pro"]
            seats: int = 1

        SignedUp(plan="pro").track(user="u1")

    *name* is the event's name; it defaults to the class name in snake case (`signed_up`). A class with annotated
    fields becomes a frozen dataclass; dataclasses, pydantic models and TypedDicts stay as they are. *renamed_from*:
    the event's former names, for `journy-track catalog`.

    `track()` accepts an event of any of these classes, ``@track_event(SignedUp)`` tracks the events that a function
    returns or yields, and tests can refer to the class. Each class except a TypedDict has `.track()`; type checkers
    know it if `TypedEvent` is a base. A field that is `None` is left out.

    Values are checked against the annotations, except in pydantic models, which validate their own. While `strict`,
    a wrong value raises `InvalidArgument` where the event is created. Otherwise it is left out, with a warning.
    Annotations that cannot be evaluated at run time are not checked. Raises `InvalidArgument` for any other kind of
    class.
    """
    if isinstance(name, type):
        return _declared(name, None, renamed_from)
    return lambda cls: _declared(cls, name, renamed_from)


def _declared(cls: Any, name: str | None, renamed_from: str | tuple[str, ...]) -> Any:
    cls = declared(cls, name, renamed_from)
    if not hasattr(cls, "track") and not issubclass(cls, dict):
        cls.track = TypedEvent.track
    return cls
