"""How long a result of `allow` is cached."""

from __future__ import annotations

import pytest

from journy_track import Event, UserIdentified
from journy_track._delivery.consent import HOLDS, Consent


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def visited(user: str) -> Event:
    return Event.for_user("visited", UserIdentified(user))


def test_an_answer_holds_for_a_minute_for_each_user():
    clock, asked, allowed = Clock(), [], {"u1"}

    def allow(user):
        asked.append(user.user_id)
        return user.user_id in allowed

    consent = Consent(allow, clock)
    for _ in range(3):
        assert consent.applied(visited("u1")) == visited("u1")
        assert consent.applied(visited("u2")) is None
    assert asked == ["u1", "u2"]
    allowed.clear()
    clock.now += HOLDS - 1
    assert consent.applied(visited("u1"))
    clock.now += 1
    assert consent.applied(visited("u1")) is None
    assert asked == ["u1", "u2", "u1"]


def test_what_was_raised_is_not_remembered():
    failing = [True]

    def allow(user):
        if failing:
            failing.clear()
            raise ConnectionError
        return True

    consent = Consent(allow, Clock())
    with pytest.raises(ConnectionError):
        consent.applied(visited("u1"))
    assert consent.applied(visited("u1")) == visited("u1")
