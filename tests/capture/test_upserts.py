"""Whom an upsert is about: `user_id=` and `email=` name the user, as in the `Client`."""

from __future__ import annotations

import asyncio

import pytest

import journy_track
from journy_track import AccountIdentified, InvalidArgument, UserIdentified
from journy_track.integrations.asgi import JournyMiddleware


@pytest.fixture
def upserted(kept):
    """Returns the identity and the properties of each upsert."""

    def items():
        return [(getattr(item, "user", None) or item.account, dict(item.properties)) for item in kept()]

    return items


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, UserIdentified("admin")),
        ({"user_id": "u2"}, UserIdentified("u2")),
        ({"user_id": "u2", "email": "u2@x.com"}, UserIdentified("u2", "u2@x.com")),
        ({"user_id": None, "email": "u2@x.com"}, UserIdentified(email="u2@x.com")),
        ({"email": "admin@x.com"}, UserIdentified("admin", "admin@x.com")),
        ({"email": ""}, UserIdentified("admin")),
        ({"email": "no address"}, UserIdentified("admin")),
        ({"user": "u3", "email": "u3@x.com"}, UserIdentified("u3", "u3@x.com")),
        ({"user": UserIdentified("u3", "old@x.com"), "email": "u3@x.com"}, UserIdentified("u3", "u3@x.com")),
        ({"user": UserIdentified("u3", "old@x.com"), "email": "no"}, UserIdentified("u3", "old@x.com")),
        ({"user": None, "email": "u3@x.com"}, UserIdentified(email="u3@x.com")),
        ({"user": UserIdentified(email="u3@x.com"), "email": "u3@x.com"}, UserIdentified(email="u3@x.com")),
    ],
    ids=repr,
)
def test_a_user_is_who_is_named_else_the_contexts(upserted, given, expected):
    with journy_track.user("admin"):
        journy_track.upsert_user({"email": "a property"}, plan="pro", **given)
    assert upserted() == [(expected, {"email": "a property", "plan": "pro"})]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, AccountIdentified("acme")),
        ({"account_id": "globex"}, AccountIdentified("globex")),
        ({"account_id": "globex", "domain": "globex.com"}, AccountIdentified("globex", "globex.com")),
        ({"domain": "acme.com"}, AccountIdentified("acme", "acme.com")),
        ({"account": "globex", "domain": "globex.com"}, AccountIdentified("globex", "globex.com")),
        ({"account": AccountIdentified("globex", "old.com"), "domain": ""}, AccountIdentified("globex", "old.com")),
    ],
    ids=repr,
)
def test_an_account_is_the_one_that_is_named_else_the_contexts(upserted, given, expected):
    with journy_track.account("acme"):
        journy_track.upsert_account(mrr=1, **given)
    assert upserted() == [(expected, {"mrr": 1})]


def test_without_anybody_in_the_context_the_address_identifies(upserted):
    journy_track.upsert_user(email="jane@acme.com")
    journy_track.upsert_account(domain="acme.com")
    assert upserted() == [(UserIdentified(email="jane@acme.com"), {}), (AccountIdentified(domain="acme.com"), {})]


def test_an_id_of_none_is_not_the_contexts(kept):
    with journy_track.user("admin"), journy_track.account("acme"):
        journy_track.upsert_user(user_id=None, plan="pro")
        journy_track.upsert_account(account_id=None, plan="pro")
    assert kept() == []
    assert kept.tracker.stats().dropped == {"no_identity": 2}


def test_another_address_is_not_another_user(kept, caplog):
    with journy_track.user(email="jane@acme.com"):
        journy_track.upsert_user(email="joe@acme.com", plan="pro")
    assert kept() == []
    assert kept.tracker.stats().dropped == {"invalid": 1}
    assert "identify the user by user_id=" in caplog.text
    assert "@acme.com" not in caplog.text


@pytest.mark.parametrize(
    "call",
    [
        lambda: journy_track.upsert_user(user="u1", user_id="u1"),
        lambda: journy_track.upsert_account(account=None, account_id="a"),
    ],
)
def test_two_names_for_one_thing_are_refused(call):
    journy_track.configure("a-key", base_url="http://127.0.0.1:9")
    with pytest.raises(InvalidArgument, match="name the same thing: pass one of them"):
        call()


def test_the_address_is_joined_to_a_user_who_is_only_known_later(kept):
    async def user(scope):
        await asyncio.sleep(0)
        return "u1"

    async def app(scope, receive, send):
        journy_track.upsert_user(email="jane@acme.com", plan="pro")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message): ...

        await JournyMiddleware(app, user=user)({"type": "http", "headers": [], "path": "/"}, receive, send)

    asyncio.run(ask())
    (upsert,) = kept()
    assert upsert.user == UserIdentified("u1", "jane@acme.com")
