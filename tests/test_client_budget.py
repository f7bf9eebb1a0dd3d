"""Trackers learn how much of their key's budget the Client uses."""

from __future__ import annotations

import pytest

from journy_track import Client, ClientConfig, Event, HttpResponse, UserIdentified
from journy_track._delivery.budget import budget_of, budgets_of
from journy_track._model.secret import Secret

URL = "https://api.journy.io"
EVENT = Event.for_user("signed_in", UserIdentified("u1"))


class Http:
    """An HTTP client that returns a status, or raises."""

    def __init__(self, answer: int | BaseException) -> None:
        self.answer = answer

    def send(self, _):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return HttpResponse(self.answer, {"X-RateLimit-Limit": "600", "Retry-After": "30"}, b"{}")

    def close(self):
        """Do nothing: no connection is kept open."""


def client_with(answer) -> Client:
    return Client(Http(answer), ClientConfig("a-key"))


@pytest.mark.parametrize("share", [None, 0.25])
def test_a_429_of_the_client_slows_the_tracker_of_that_key(share):
    budget = budget_of(URL, Secret("a-key"), share)
    client_with(429).add_event(EVENT)
    assert budget.claim() > 5
    assert budget_of(URL, Secret("another-key"), share).claim() == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), ValueError(), GeneratorExit()])
def test_a_call_that_raises_gives_its_place_back(error):
    client = client_with(error)
    try:
        result = client.add_event(EVENT)
    except KeyboardInterrupt:
        result = None
    assert (result is None) == isinstance(error, KeyboardInterrupt)  # only Ctrl-C is passed on
    (budget,) = budgets_of(URL, Secret("a-key"))
    assert budget._in_flight == 0
