"""The values that metadata and properties may hold, and how they are sent.

Conversion has two steps, on two threads. `frozen` runs where a value is captured and returns only immutable
built-ins, so that no later step runs the app's code. `plain` runs on the worker and returns what JSON can represent.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timezone
from decimal import Decimal
from enum import Enum
from operator import index
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from journy_track._model.errors import shortened
from journy_track._model.identity import exact_text, is_mock, well_formed
from journy_track._model.once import warn_once


@dataclass(frozen=True, slots=True)
class Refused:
    """Replaces a value that cannot be sent, and holds the reason."""

    reason: str


#: Types that are passed to the worker unchanged: they are immutable and contain none of the app's code.
FROZEN_KINDS = frozenset({str, int, float, bool, type(None), date, Decimal, UUID, Refused})
_FROZEN_ZONES = frozenset({type(None), timezone, ZoneInfo})


class NotJson(Exception):
    """A value has no form that JSON and journy.io accept."""


# ── On the thread that captures ──────────────────────────────────────────────────────────────────────────


def frozen(value: object) -> Any:
    """*value* as an immutable built-in, a tuple of those, or `Refused`. Never raises."""
    kind = type(value)
    if kind in FROZEN_KINDS:
        return value
    try:
        if kind is datetime:
            return _frozen_datetime(value)  # type: ignore[arg-type]
        return _frozen_other(value)
    except Exception as error:  # noqa: BLE001 - the app's own code ran; the key is reported as left out
        return Refused(f"converting a {kind.__name__} raised {type(error).__name__}")


def frozen_mapping(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """A copy of *mapping* whose values are `frozen`. The worker checks its keys."""
    return {
        key if type(key) is str else _frozen_key(key): (value if type(value) in FROZEN_KINDS else frozen(value))
        for key, value in mapping.items()
    }


def _frozen_key(key: Any) -> object:
    # Checks only the type: the worker calls this too, for keys whose values needed no freezing.
    if issubclass(type(key), Enum):
        key = key.value
    if issubclass(type(key), str):
        return exact_text(key)
    return key if type(key) in FROZEN_KINDS else Refused(f"a {type(key).__name__} cannot be a key")


def _frozen_datetime(value: datetime) -> datetime:
    # The app's own time zone class would run on the worker: convert here instead.
    return value if type(value.tzinfo) in _FROZEN_ZONES else value.astimezone(UTC)


def _frozen_other(value: Any) -> Any:
    if is_mock(type(value)):
        return Refused(f"a {type(value).__name__} is a mock: pass a real value")
    if isinstance(value, Enum):
        return frozen(value.value)
    if isinstance(value, str):
        return exact_text(value)
    if isinstance(value, datetime):  # freezegun's, pendulum's, pandas' …
        exact = (
            value.year,
            value.month,
            value.day,
            value.hour,
            value.minute,
            value.second,
            value.microsecond,
        )
        return _frozen_datetime(datetime(*exact, tzinfo=value.tzinfo, fold=value.fold))
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _frozen_list(sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)
    if isinstance(value, Mapping):
        return Refused("nested objects are not accepted: pass their values under keys of their own")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Refused("bytes are not accepted: decode them to text")
    if isinstance(value, Decimal):
        return Decimal(value)
    if isinstance(value, UUID):
        return UUID(int=value.int)
    return _frozen_number_or_text(value)


def _frozen_number_or_text(value: Any) -> Any:
    # Check the type: an attribute lookup on the value itself may run the app's __getattr__.
    kind = type(value)
    # All of numpy's scalars support float(): it returns 1.0 for a boolean, and nanoseconds for a date.
    sort = getattr(value.dtype, "kind", None) if hasattr(kind, "dtype") else None
    if isinstance(value, bool) or sort == "b":
        return bool(value)
    if sort in ("M", "m", "c"):
        return Refused(f"{kind.__name__} is not accepted: pass a datetime or a number")
    if hasattr(kind, "__index__"):  # int's subclasses, numpy's integers
        return index(value)
    if hasattr(kind, "__float__"):  # float's subclasses, numpy's floats, fractions
        return float(value)
    if isinstance(value, os.PathLike):
        return str(value)
    if _is_lazy_text(value, kind):
        return exact_text(value)
    return Refused(f"{kind.__name__} is not accepted: pass text, a number, a boolean or a datetime")


def _is_lazy_text(value: Any, kind: type) -> bool:
    """Whether *value* is a lazy translation.

    Django's type has the methods of `str`. Babel's type has only its operators, and finds the methods by
    `__getattr__`, so the value itself must be checked.
    """
    if hasattr(kind, "upper") and hasattr(kind, "encode"):
        return True
    operators = ("__getattr__", "__mod__", "__radd__", "__contains__", "__len__")
    if not all(hasattr(kind, name) for name in operators):
        return False
    return callable(getattr(value, "upper", None)) and callable(getattr(value, "encode", None))


def _frozen_list(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(
        Refused("lists in lists are not accepted") if isinstance(v, (list, tuple, set, frozenset)) else frozen(v)
        for v in values
    )


# ── On the worker ────────────────────────────────────────────────────────────────────────────────────────


def plain_metadata(values: Mapping[Any, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """JSON-compatible metadata, and the (key, reason) pairs of what was left out. `None` is left out silently."""
    taken: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for key, value in values.items():
        if value is None:
            continue
        try:
            if type(value) is tuple:
                raise NotJson("metadata does not accept lists: pass text, or one key per element")  # noqa: TRY301
            taken[_plain_key(key)] = plain(value)
        except NotJson as error:
            problems.append((_shown(key), str(error)))
    return taken, problems


def plain_properties(values: Mapping[Any, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """JSON-compatible properties, and what was left out. `None` is kept, since it deletes the property."""
    taken: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for key, value in values.items():
        try:
            name = _plain_key(key)
            if value is None:
                taken[name] = None
            elif type(value) is tuple:
                taken[name] = _plain_list(name, value, problems)
            else:
                taken[name] = plain(value)
        except NotJson as error:
            problems.append((_shown(key), str(error)))
    return taken, problems


def plain(value: Any) -> str | bool | int | float:
    """Convert a `frozen` value to a JSON-compatible one. Raises `NotJson`."""
    kind = type(value)
    if kind is str:
        return well_formed(value)
    if kind is bool:
        return bool(value)
    if kind is int:
        return _plain_int(value)
    if kind is float:
        if math.isfinite(value):
            return float(value)
        raise NotJson(f"{value} is not a finite number")
    if kind is datetime:
        return iso(value)
    if kind is date or kind is UUID:
        return str(value)
    if kind is Decimal:
        return _plain_decimal(value)
    raise NotJson(value.reason if kind is Refused else f"{kind.__name__} is not accepted")


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a Z, the API's format. Raises `NotJson` if out of range."""
    if moment.tzinfo is None:
        warn_of_naive_datetime()
    try:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    except (OverflowError, ValueError, OSError) as error:
        raise NotJson(f"the datetime is out of range in UTC ({type(error).__name__})") from None


def _plain_int(value: int) -> int:
    # Python refuses to convert integers of more than a few thousand digits, and JSON parsers would not accept them.
    if -(1 << 1023) < value < (1 << 1023):
        return value
    raise NotJson("the number is too large for JSON readers")


def _plain_decimal(value: Decimal) -> int | float:
    if not value.is_finite():
        raise NotJson(f"{shortened(str(value))} is not a finite number")
    if -1 < value.adjusted() < 300 and value == value.to_integral_value():
        return int(value)
    number = float(value)
    if math.isinf(number):
        raise NotJson("the number is too large for JSON readers")
    return number


def _plain_list(name: str, values: tuple[Any, ...], problems: list[tuple[str, str]]) -> tuple[str, ...]:
    """Each element as text, as the API expects lists; `None` is left out."""
    texts: list[str] = []
    for value in values:
        if value is None:
            continue
        try:
            element = plain(value)
        except NotJson as error:
            problems.append((name, str(error)))
            continue
        if isinstance(element, bool):
            texts.append("true" if element else "false")
        else:
            texts.append(element if isinstance(element, str) else repr(element))
    return tuple(texts)  # not a list: items are immutable, and may be converted again


def _plain_key(key: object) -> str:
    key = key if type(key) is str else _frozen_key(key)
    if type(key) is str:
        name = well_formed(key)
    elif type(key) in (int, UUID):
        try:
            name = str(key)
        except ValueError:  # Python does not convert numbers with thousands of digits
            raise NotJson("the key is a number that is too long") from None
    else:
        raise NotJson(key.reason if isinstance(key, Refused) else f"a {type(key).__name__} cannot be a key")
    if not name:
        raise NotJson("the key is empty")
    return name


def _shown(key: object) -> str:
    return shortened(well_formed(key) if type(key) is str else type(key).__name__)


def warn_of_naive_datetime() -> None:
    """Log once that a datetime without a zone was taken as local time."""
    warn_once(
        "naive datetime",
        "a datetime without a time zone was taken as local time; pass an aware one, as in datetime.now(UTC).",
    )
