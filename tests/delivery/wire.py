"""Short descriptions of the requests that a scripted server received."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from journy_track import HttpRequest, HttpResponse

#: A page from a proxy, and so not a verdict of journy.io.
HTML_404 = HttpResponse(404, {}, b"<html>no such page</html>")


def sent(made: Any) -> list[str]:
    """Return all requests of a desk, in order."""
    return [words(request) for request in made.script.requests]


def words(request: HttpRequest) -> str:
    """Describe one request: `event_1 u1`, `upsert u1 {'plan': 1}`, `add acme u1 u2`, `delete u1`, `validate`."""
    body = json.loads(request.body) if request.body else {}
    known = body.get("identification", {})
    match urlsplit(request.url).path.rsplit("/v1", 1)[-1]:
        case "/validate":
            return "validate"
        case "/track":
            return " ".join([body["name"], *(_name(known[part]) for part in ("user", "account") if part in known)])
        case "/users/upsert" | "/accounts/upsert":
            return f"upsert {_name(known)} {body.get('properties', {})}"
        case "/users" | "/accounts":
            return f"delete {_name(known)}"
        case "/link":
            return f"link {body['deviceId']} {_name(known)}"
        case path:
            members = [_name(user["identification"]) for user in body["users"]]
            return " ".join([path.rsplit("/", 1)[-1], _name(body["account"]), *members])


def _name(identification: dict[str, str]) -> str:
    return "+".join(identification.values())


def warmed(desk: Callable[..., Any], *answers: Any, **settings: Any) -> Any:
    """Return a desk whose pacer knows that it has plenty of budget, and which then gets these responses."""
    made = desk(**settings)
    made.track("warmed", user="somebody")
    made.turn()
    made.script.requests.clear()
    made.script.answers[:] = answers
    return made


def turn(made: Any) -> float | None:
    """Run a turn, and those that only pacing put off: a budget of a million calls spaces them by a millisecond."""
    while (wait := made.turn()) is not None and wait < 0.1:
        made.clock.now += max(wait, 0.001)
    return wait


def settle(made: Any, turns: int = 20_000) -> None:
    """Let time pass until nothing waits."""
    for _ in range(turns):
        wait = made.turn()
        if wait is None:
            return
        made.clock.now += max(wait, 0.001)
    raise AssertionError(f"something waits for ever: {made.ledger.stats()}")


def during(made: Any, nth: int, capture: Callable[[], object]) -> None:
    """While the *nth* request is in flight, call *capture* and let the worker take what it captured."""
    answer = made.script.send

    def send(request: HttpRequest) -> HttpResponse:
        if len(made.script.requests) == nth - 1:
            capture()
            made.take_captured()
        return answer(request)

    made.script.send = send
