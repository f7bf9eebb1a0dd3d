"""Every item is in exactly one count, whatever happens to its batches, checked against the server's own log."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from journy_track import HttpRequest, HttpResponse, MaybeSent, NotSent, UserIdentified

from .conftest import ANSWER, PLENTY
from .test_accounting import balanced
from .test_batches import KEYS, opened, refused, settle, taken

#: What happens to a request: whether the server accepts its contents, and what it returns.
FAULTS: dict[str, tuple[bool, Any]] = {
    "taken": (True, None),
    "503": (False, 503),
    "500, and taken": (True, 500),
    "429": (False, 429),
    "401": (False, 401),
    "never sent": (False, NotSent("refused")),
    "cut off": (False, MaybeSent("reset")),
    "cut off, and taken": (True, MaybeSent("reset")),
    "cut off in its middle": (None, MaybeSent("reset")),
    "a page": (False, "page"),
}
KINDS = ["track", "track", "track", "bad", "upsert", "members", "bad member", "without ID", "link", "nobody"]


class Server:
    """Recognises messages by their IDs, refuses requests with one that is `bad`, and fails as scripted."""

    def __init__(self, made: Any, faults: list[str], largest: int) -> None:
        self.made = made
        self.faults = faults
        self.largest = largest
        #: What it accepted, in order: each message once, and how often it came.
        self.log: list[str] = []
        self.seen: Counter[str] = Counter()
        made.script.send = self.send

    def send(self, request: HttpRequest) -> HttpResponse:
        self.made.script.requests.append(request)
        in_batches = request.url.endswith("/batch")
        messages = opened(request)["batch"] if in_batches else [json.loads(request.body)] if request.body else []
        takes, response = FAULTS[self.faults.pop(0)] if self.faults else (True, None)
        if response == 401 and not in_batches:  # outside batches, a 401 may mean a missing permission
            response = 503
        if response is None and in_batches and (status := self._verdict(messages)):
            return refused(status)
        if takes is not False:
            for message in messages[: len(messages) // 2] if takes is None else messages:
                self._take(message)
        if isinstance(response, BaseException):
            raise response
        if response == "page":
            return HttpResponse(200, {}, b"<html>portal</html>")
        if in_batches:
            return taken() if response is None else refused(response)
        return HttpResponse(response or 201, PLENTY, ANSWER)

    def _verdict(self, messages: list[dict[str, Any]]) -> int | None:
        if any(map(is_bad, messages)):
            return 400
        return 413 if len(messages) > self.largest else None

    def _take(self, message: dict[str, Any]) -> None:
        if "messageId" not in message:
            device = message.get("deviceId")  # without a device, it is a probe of the key
            if device is not None and device not in self.log:  # a link has no ID, and is recognised by its device
                self.log.append(device)
            return
        self.seen[message["messageId"]] += 1
        if self.seen[message["messageId"]] == 1 and not is_bad(message):
            values = message.get("properties") or message.get("traits") or {}
            self.log.append(str(values["number"]) if "number" in values else f"member {message['userId']}")


def is_bad(message: dict[str, Any]) -> bool:
    return "bad" in (message.get("event"), message.get("userId"))


def capture(made: Any, kind: str, number: int, user: str) -> None:
    match kind:
        case "track" | "bad":
            made.track("bad" if kind == "bad" else "acted", user=user, number=number)
        case "upsert":
            made.upsert_user(user=user, number=number)
        case "members":
            made.add_users_to_account(f"account_{number}", [f"m{number}", f"n{number}"])
        case "bad member":
            made.add_users_to_account(f"account_{number}", [f"m{number}", "bad", f"n{number}"])
        case "without ID":
            made.add_users_to_account(f"account_{number}", [f"m{number}", UserIdentified(email="jane@acme.com")])
        case "link":
            made.link(str(number), user=user)
        case "nobody":
            made.track("acted", number=number)


steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(["u1", "u2", "u3"]), st.sampled_from([0, 0, 0, 0.2, 1.0])),
    min_size=1,
    max_size=60,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps,
    st.lists(st.sampled_from([*FAULTS]), max_size=9),
    st.sampled_from([1, 2, 3, 1000]),
    st.booleans(),
    st.sampled_from(["retry", "drop"]),
)
def test_the_accounting_is_exact_by_the_servers_own_log(desk, lot, faults, largest, has_api_key, on_ambiguous):
    made = desk(api_key="a-key" if has_api_key else None, on_ambiguous=on_ambiguous, max_age=1e6, **KEYS)
    server = Server(made, list(faults), largest)
    for number, (kind, user, seconds) in enumerate(lot):
        capture(made, kind, number, user)
        if seconds:
            made.turn()
            balanced(made)
            made.clock.now += seconds
    settle(made)
    stats = made.ledger.stats()
    kinds = Counter(kind for kind, _, _ in lot)
    assert stats.dropped.get("no_counterpart", 0) == (0 if has_api_key else kinds["link"] + kinds["without ID"])
    assert stats.dropped.get("no_identity", 0) == kinds["nobody"]
    assert (stats.queued, stats.in_flight) == (0, 0)
    assert made.queue._used == made.queue._released

    expected: list[str] = []
    for number, (kind, _, _) in enumerate(lot):
        if kind in ("track", "upsert") or (kind == "link" and has_api_key):
            expected.append(str(number))
        elif kind in ("members", "bad member"):
            expected += f"member m{number}", f"member n{number}"
        elif kind == "without ID" and not has_api_key:
            expected.append(f"member m{number}")
    log = server.log
    assert len(set(log)) == len(log), "what is repeated has the same ID"
    assert set(log) <= set(expected), "nothing is made up"
    if on_ambiguous == "retry":
        assert set(log) == set(expected), "nothing is lost"
        assert (stats.given_up, stats.coalesced) == (kinds["bad"] + kinds["bad member"], 0)
        owners = {str(number): user for number, (_, user, _) in enumerate(lot)}
        for user in ("u1", "u2", "u3"):
            mine = [int(entry) for entry in log if owners.get(entry) == user]
            assert mine == sorted(mine), "in order per user"
    else:
        assert stats.delivered <= len(lot) - kinds["bad"]
        again = [message for request in made.script.requests for message in opened_tracks(request)]
        ambiguous = Counter(message["messageId"] for message in again)
        assert all(server.seen[known] <= 1 for known in ambiguous), "an event is taken once at most"
    for name in ("retried", "given_up"):
        event(f"{name}: {min(getattr(stats, name), 1)}")
    event(f"repeated: {any(times > 1 for times in server.seen.values())}")


def opened_tracks(request: HttpRequest) -> list[dict[str, Any]]:
    if not request.url.endswith("/batch"):
        return []
    return [message for message in opened(request)["batch"] if message["type"] == "track"]
