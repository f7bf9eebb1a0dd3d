"""Objects that are not accepted as an ID, although their text could be used: records, numbers, containers."""

from __future__ import annotations

import re
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

import journy_track
from journy_track import AccountIdentified, InvalidArgument, UserIdentified


class Shown:
    """Has a text form, like a model that an admin lists."""

    def __str__(self):
        return "Jane Doe"


class DjangoModel(Shown):
    pk = 5


class SqlAlchemyModel(Shown):
    __table__ = __mapper__ = object()


class PydanticModel(Shown):
    model_fields: dict = {}  # noqa: RUF012 - as pydantic has it


class OldPydanticModel(Shown):
    __fields__: dict = {}  # noqa: RUF012 - as pydantic had it


class ModelWithId(Shown):
    id = 5


@dataclass
class DataClass(Shown):
    number: int = 5


class NoText:
    pass


class Lazy:
    """Like Django's `request.user` and Flask-Login's `current_user`: its own type, with the model as `__class__`."""

    __class__ = property(lambda self: DjangoModel)

    def __str__(self):
        return "Jane Doe"


class LazyNumber(Lazy):
    def __index__(self):
        raise TypeError("'DjangoModel' object cannot be interpreted as an integer")


class SinglePrecision(Shown):
    """Like numpy's float32, which is not a float."""

    def __float__(self):
        return 1.5


class Broken:
    def __str__(self):
        raise RuntimeError("no text today")


class BrokenNumber:
    def __index__(self):
        raise ValueError


RECORDS = [
    DjangoModel(),
    SqlAlchemyModel(),
    PydanticModel(),
    OldPydanticModel(),
    ModelWithId(),
    DataClass(),
    namedtuple("Row", "id")(5),
    Lazy(),
    LazyNumber(),
    NoText(),
    UserIdentified("u1"),
]
NUMBERS = [True, False, 1.0, float("nan"), 1j, Decimal(1), Fraction(1, 2), SinglePrecision(), 10**5000]
OTHERS = [
    b"u1",
    bytearray(b"u1"),
    [],
    ["u1"],
    ("u1",),
    {"id": "u1"},
    {"u1"},
    {}.keys(),
    iter("u1"),
    (character for character in "u1"),
    str,
    len,
    lambda: "u1",
    date(2024, 5, 17),
    datetime(2024, 5, 17, tzinfo=UTC),
    timedelta(1),
    ValueError("u1"),
    Broken(),
    BrokenNumber(),
]


@pytest.mark.parametrize("value", [*RECORDS, *NUMBERS, *OTHERS], ids=lambda value: type(value).__name__)
def test_it_is_refused_with_argument_type_and_remedy(value):
    shown = re.escape(repr(value) if isinstance(value, bool) else type(value).__name__)
    for make, argument in ((UserIdentified, "user_id"), (AccountIdentified, "account_id")):
        with pytest.raises(InvalidArgument, match=rf"^{argument} must be an ID .*got {shown}.*user\.id$"):
            make(value)
        with pytest.raises(InvalidArgument, match=argument):
            getattr(make, f"by_{argument}")(value)


def test_a_model_given_as_the_user_of_an_event_never_becomes_its_text(tracker, api):
    with pytest.raises(InvalidArgument, match=r"user\.id"):
        journy_track.track("signed_in", user=Lazy())
    assert tracker.flush(timeout=5)
    assert api.requests == []


def test_a_long_id_is_not_repeated_in_the_message():
    with pytest.raises(InvalidArgument) as caught:
        UserIdentified(email="x" * 5000)
    assert len(str(caught.value)) < 200
