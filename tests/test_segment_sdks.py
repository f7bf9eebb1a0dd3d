"""Compared with Segment's own clients for Python and Node: for the same call, the same message is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest

import journy_track
from journy_track.inspector import Inspector, Received

from .batch_messages import comparable, envelope, send_by_node

WRITE_KEY = "write-key-for-tests"
MOMENT = datetime(2024, 5, 17, 9, 30, 1, 234000, timezone(timedelta(hours=2)))
SENT = "2024-05-17T07:30:01.234Z"
VALUES = {"plan": "pro", "seats": 5, "price": 9.5, "paying": True, "empty": "", "größe": "🙂"}


class Said(NamedTuple):
    """The same call in each library. *theirs* is the method, and the message as Node accepts it."""

    ours: Callable[[], None]
    theirs: list[tuple[str, dict[str, Any]]]


CALLS = {
    "an event of a user": Said(
        lambda: journy_track.track("signed_in", user="u1"),
        [("track", {"userId": "u1", "event": "signed_in", "properties": {}})],
    ),
    "an event with metadata": Said(
        lambda: journy_track.track("signed_in", VALUES, user="u1"),
        [("track", {"userId": "u1", "event": "signed_in", "properties": VALUES})],
    ),
    "an event that happened before": Said(
        lambda: journy_track.track("signed_in", user="u1", happened_at=MOMENT),
        [("track", {"userId": "u1", "event": "signed_in", "properties": {}, "timestamp": SENT})],
    ),
    "a moment in the metadata": Said(
        lambda: journy_track.track("signed_in", user="u1", since=MOMENT),
        [("track", {"userId": "u1", "event": "signed_in", "properties": {"since": SENT}})],
    ),
    "an event of a user with an e-mail": Said(
        lambda: journy_track.track("signed_in", user=journy_track.UserIdentified("u1", "jane@acme.com")),
        [
            (
                "track",
                {
                    "userId": "u1",
                    "event": "signed_in",
                    "properties": {},
                    "context": {"traits": {"email": "jane@acme.com"}},
                },
            )
        ],
    ),
    "an event of a user in an account": Said(
        lambda: journy_track.track("signed_in", user="u1", account="a1"),
        [("track", {"userId": "u1", "event": "signed_in", "properties": {}, "context": {"groupId": "a1"}})],
    ),
    "an event of an account alone": Said(
        lambda: journy_track.track("paid", user=None, account="a1"),
        [("track", {"anonymousId": "a1", "event": "paid", "properties": {}, "context": {"groupId": "a1"}})],
    ),
    "upsert_user": Said(
        lambda: journy_track.upsert_user(VALUES, user_id="u1", email="jane@acme.com", tags=["a", "b"], gone=None),
        [
            (
                "identify",
                {
                    "userId": "u1",
                    "traits": {**VALUES, "email": "jane@acme.com", "tags": ["a", "b"], "gone": None},
                },
            )
        ],
    ),
    "upsert_account": Said(
        lambda: journy_track.upsert_account(VALUES, account_id="a1", domain="acme.com", gone=None),
        [("group", {"anonymousId": "a1", "groupId": "a1", "traits": {**VALUES, "domain": "acme.com", "gone": None}})],
    ),
    "add_users_to_account": Said(
        lambda: journy_track.add_users_to_account("a1", ["u1", "u2"]),
        [("group", {"userId": user, "groupId": "a1", "traits": {}}) for user in ("u1", "u2")],
    ),
}


def by_python(url: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    analytics = pytest.importorskip("segment.analytics", reason="segment-analytics-python is not installed")
    client = analytics.Client(WRITE_KEY, host=url.removesuffix("/v1/batch"))
    names = {"userId": "user_id", "anonymousId": "anonymous_id", "groupId": "group_id"}
    for method, message in calls:
        arguments = {names.get(name, name): value for name, value in message.items()}
        if "timestamp" in arguments:
            arguments["timestamp"] = MOMENT
        getattr(client, method)(**arguments)
    client.flush()
    client.join()


def by_node(url: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    send_by_node(url, WRITE_KEY, calls)


class Sent(NamedTuple):
    """What a Segment client sent: its messages by the name of the call, and its first request."""

    messages: dict[str, list[dict[str, Any]]]
    request: Received


@pytest.fixture(scope="module", params=[by_python, by_node], ids=["python", "node"])
def theirs(request: pytest.FixtureRequest) -> Iterator[Sent]:
    calls = [call for said in CALLS.values() for call in said.theirs]
    with Inspector() as inspector:
        request.param(f"{inspector.url}/backend/v1/batch", calls)
        inspector.wait_for(lambda api: api.counts.messages == len(calls), timeout=30)
        assert [message.outcome for message in inspector.messages] == ["accepted"] * len(calls)
        sent = iter([message.json for message in inspector.messages])
        messages = {name: [next(sent) for _ in said.theirs] for name, said in CALLS.items()}
        yield Sent(messages, inspector.requests[0])


@pytest.fixture
def ours(api: Inspector) -> Inspector:
    journy_track.configure(write_key=WRITE_KEY, batch_url=f"{api.url}/backend/v1/batch")
    return api


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_the_same_call_is_the_same_message(ours: Inspector, theirs: Sent, name: str) -> None:
    CALLS[name].ours()
    assert journy_track.flush(timeout=20)
    assert [message.outcome for message in ours.messages] == ["accepted"] * len(CALLS[name].theirs)
    chosen = [MOMENT.astimezone(UTC)]
    mine = [comparable(message.json, chosen) for message in ours.messages]
    assert mine == [comparable(message, chosen) for message in theirs.messages[name]]


@pytest.mark.slow
def test_the_request_around_the_messages_is_the_same(ours: Inspector, theirs: Sent) -> None:
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(timeout=20)
    assert envelope(ours.requests[0]) == envelope(theirs.request)


@pytest.mark.slow
def test_every_message_has_an_id_of_its_own_a_time_and_its_library(ours: Inspector, theirs: Sent) -> None:
    for said in CALLS.values():
        said.ours()
    assert journy_track.flush(timeout=20)
    mine = [message.json for message in ours.messages]
    others = [message for messages in theirs.messages.values() for message in messages]
    for messages in (mine, others):
        assert len({message["messageId"] for message in messages}) == len(messages)
        assert all(datetime.fromisoformat(message["timestamp"]).tzinfo for message in messages)
        assert all(set(message["context"]["library"]) == {"name", "version"} for message in messages)
