"""Parse text as an explicitly named type; never guess one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, tzinfo

from journy_track._model.clock import moment_of

_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Mistyped(ValueError):
    """The text does not match the type. The message describes the expected form."""


class Zoneless(Mistyped):
    """A date and time without a time zone."""


def _int(text: str, _: tzinfo | None) -> int:
    if not _INT.fullmatch(text) or len(text) > 300:
        raise Mistyped("a whole number, such as 42")
    return int(text)


def _float(text: str, _: tzinfo | None) -> float:
    if not _FLOAT.fullmatch(text) or float(text) in (float("inf"), float("-inf")):
        raise Mistyped("a number with a point, such as 399.50")
    return float(text)


def _bool(text: str, _: tzinfo | None) -> bool:
    if text.lower() not in _BOOLEANS:
        raise Mistyped("one of true, false, yes, no, 1, 0")
    return _BOOLEANS[text.lower()]


def _date(text: str, _: tzinfo | None) -> date:
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Mistyped("a date, such as 2026-05-17")


def _datetime(text: str, zone: tzinfo | None) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Mistyped("an ISO 8601 date and time, such as 2026-05-17T09:30:00Z") from None
    if moment.tzinfo is not None:
        return moment
    if zone is None:
        raise Zoneless("a date and time with its offset, such as 2026-05-17T09:30:00Z")
    return moment.replace(tzinfo=zone)


def _epoch(text: str, _: tzinfo | None) -> datetime:
    return _since_1970(text, 1)


def _epoch_ms(text: str, _: tzinfo | None) -> datetime:
    return _since_1970(text, 1000)


def _since_1970(text: str, per_second: int) -> datetime:
    try:
        if _FLOAT.fullmatch(text):
            return moment_of(float(text) / per_second)
    except (ValueError, OverflowError):
        pass
    raise Mistyped(f"{'milliseconds' if per_second == 1000 else 'seconds'} since 1970")


def _list(text: str, _: tzinfo | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


#: The parsers by type name. Datetimes without a time zone get the zone that is passed; with `None`, they are refused.
TYPES: dict[str, Callable[[str, tzinfo | None], object]] = {
    "text": lambda text, _: text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "epoch": _epoch,
    "epoch_ms": _epoch_ms,
    "list": _list,
}


def typed(text: str, kind: str, zone: tzinfo | None = None) -> object:
    """Parse *text* as a value of the type named *kind*. Surrounding whitespace is stripped, except for `text`.

    Raises `Mistyped` with a description of the expected form.
    """
    return TYPES[kind](text if kind == "text" else text.strip(), zone)
