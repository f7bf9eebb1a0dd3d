"""A mock can imitate anything: it is never accepted as an ID or a value, and never called."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from unittest.mock import AsyncMock, MagicMock, Mock, NonCallableMagicMock, create_autospec

import pytest

import journy_track
from journy_track import InvalidArgument, UserIdentified
from journy_track._model.values import Refused, frozen

MOCKS = [
    MagicMock,
    Mock,
    AsyncMock,
    NonCallableMagicMock,
    lambda: MagicMock(spec=str),
    lambda: MagicMock(spec=int),
    lambda: MagicMock(spec=UserIdentified),
    lambda: MagicMock(spec=datetime),
    lambda: MagicMock(spec=dict),
    lambda: MagicMock(spec=Enum),
    lambda: create_autospec(UserIdentified, instance=True),
]


@pytest.mark.parametrize("make", MOCKS)
def test_it_is_no_id(make):
    for verb in (journy_track.user, journy_track.account, journy_track.set_user, UserIdentified):
        with pytest.raises(InvalidArgument):
            verb(make())


@pytest.mark.parametrize("make", MOCKS)
@pytest.mark.parametrize(
    "call",
    [
        lambda mock: journy_track.track(mock, user="u1"),
        lambda mock: journy_track.track("signed_in", mock, user="u1"),
        lambda mock: journy_track.track("signed_in", user="u1", happened_at=mock),
        lambda mock: journy_track.upsert_user(user="u1", email=mock),
        lambda mock: journy_track.link(mock, user="u1"),
        lambda mock: journy_track.add_users_to_account("acme", mock),
        lambda mock: journy_track.add_users_to_account("acme", [mock]),
        journy_track.metadata,
    ],
)
def test_it_is_no_argument(make, call):
    with pytest.raises(InvalidArgument):
        call(make())


@pytest.mark.parametrize("make", MOCKS)
def test_as_a_value_it_is_refused_and_gains_no_calls(make):
    mock = make()
    children = dict(mock._mock_children)
    refused = frozen(mock)
    assert type(refused) is Refused
    assert "is a mock" in refused.reason
    assert mock.mock_calls == []
    assert mock._mock_children == children


def test_the_attributes_of_a_value_are_not_asked_for():
    asked = []

    class Recorder:
        def __getattr__(self, name):
            asked.append(name)
            return lambda: self

    assert type(frozen(Recorder())) is Refused
    with pytest.raises(InvalidArgument):
        UserIdentified(Recorder())
    assert asked == []


class BabelsLazyText:
    """Like the lazy translations of Babel and Flask-Babel: operators on the type, methods by `__getattr__`."""

    def __init__(self, text):
        self._text = text

    def __getattr__(self, name):
        return getattr(str(self), name)

    def __str__(self):
        return self._text

    def __len__(self):
        return len(str(self))

    def __contains__(self, part):
        return part in str(self)

    def __radd__(self, other):
        return other + str(self)

    def __mod__(self, other):
        return str(self) % other


class NumpysNumber:
    """Like a numpy number: a descriptor of its type returns its kind."""

    def __init__(self, kind):
        self.kind = kind

    @property
    def dtype(self):
        return self

    def __float__(self):
        return 1.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (BabelsLazyText("Speichern"), "Speichern"),
        (NumpysNumber("b"), True),
        (NumpysNumber("f"), 1.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_only_looks_like_text_or_a_number_is_still_taken(value, expected):
    assert frozen(value) == expected


def test_djangos_lazy_text_is_taken():
    lazy = pytest.importorskip("django.utils.functional").lazystr
    assert frozen(lazy("Save")) == "Save"
