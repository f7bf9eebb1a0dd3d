"""Values that frameworks and libraries pass, and some that no caller should pass."""

from __future__ import annotations

import enum
from datetime import date, datetime, timedelta, tzinfo


class Plan(enum.Enum):
    PRO = "pro"
    SINCE = date(2024, 5, 17)


class OwnZone(tzinfo):
    """A time zone class of the app."""

    def __init__(self, hours=1):
        self.hours = hours

    def utcoffset(self, when):
        return timedelta(hours=self.hours)

    def dst(self, when):
        return timedelta()


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "shown otherwise"


class Whole(int):
    def __str__(self):
        return "five"

    def __add__(self, other):
        return self


class Part(float):
    def __repr__(self):
        return "one and a half"

    def __add__(self, other):
        return self


class FakeDatetime(datetime):
    """Like freezegun's."""


class FakeDate(date):
    """Like freezegun's."""


class _NumpyKind:
    def __init__(self, kind):
        self.kind = kind


class NumpyInteger:
    dtype = _NumpyKind("i")

    def __index__(self):
        return 42

    def __float__(self):
        return 42.0


class NumpyFloat:
    dtype = _NumpyKind("f")

    def __float__(self):
        return 0.25


class NumpyBool:
    dtype = _NumpyKind("b")

    def __bool__(self):
        return True

    def __float__(self):
        return 1.0


class NumpyDate:
    """Like datetime64 in nanoseconds: its float() would be a huge number."""

    dtype = _NumpyKind("M")

    def __float__(self):
        return 1.7e18


class LazyText:
    """Like a lazy translation: it has methods of str, but is not a str."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text

    def upper(self):
        return self.text.upper()

    def encode(self):
        return self.text.encode()


class Standing:
    """A proxy for another value, like a context-local: its __class__ is that value's."""

    def __init__(self, value):
        self.__dict__["value"] = value

    __class__ = property(lambda self: type(self.value))

    def __str__(self):
        return str(self.value)

    def __bool__(self):
        return bool(self.value)

    def __index__(self):
        return self.value.__index__()


class Broken:
    """It has methods of str, and all of them raise."""

    def __str__(self):
        raise RuntimeError("no text today")

    upper = encode = __str__
