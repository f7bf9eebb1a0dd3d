"""The API description that other tests rely on rejects what the API rejects."""

from __future__ import annotations

import pytest

from .api_description import BODIES, QUERIES, check, strictly_parsed

USER = {"userId": "u1"}
ACCOUNT = {"accountId": "a1"}
BY_USER = {"identification": USER}
BY_ACCOUNT = {"identification": ACCOUNT}
EVENT = {"identification": {"user": USER}, "name": "signed_in"}

TAKEN = [
    ("POST /track", EVENT),
    ("POST /track", {**EVENT, "identification": {"account": ACCOUNT, "user": {"email": "jane@acme.com"}}}),
    ("POST /track", {**EVENT, "triggeredAt": "2024-05-17T09:30:00.000Z", "metadata": {"a": "", "b": 1.5, "c": True}}),
    ("POST /users/upsert", {**BY_USER, "properties": {"a": None, "b": ["x"], "c": [], "d": 1}}),
    ("DELETE /users", BY_USER),
    ("POST /accounts/upsert", BY_ACCOUNT),
    ("DELETE /accounts", {"identification": {"domain": "acme.com"}}),
    ("POST /accounts/users/add", {"account": ACCOUNT, "users": [BY_USER] * 100}),
    ("POST /link", {**BY_USER, "deviceId": "d"}),
]
REFUSED = [
    ("POST /track", {"identification": {"user": USER}}),
    ("POST /track", {**EVENT, "name": ""}),
    ("POST /track", {**EVENT, "identification": {}}),
    ("POST /track", {**EVENT, "identification": {"user": {}}}),
    ("POST /track", {**EVENT, "triggeredAt": "yesterday"}),
    ("POST /track", {**EVENT, "triggeredAt": "2024-05-17T09:30:00"}),
    ("POST /track", {**EVENT, "metadata": {"a": None}}),
    ("POST /track", {**EVENT, "metadata": {"a": ["x"]}}),
    ("POST /track", {**EVENT, "metadata": {"a": {}}}),
    ("POST /users/upsert", {"identification": {"userId": 5}}),
    ("POST /users/upsert", {"identification": {"userId": ""}}),
    ("POST /users/upsert", {"identification": {"email": "jane"}}),
    ("POST /users/upsert", {**BY_USER, "properties": {"a": [1]}}),
    ("POST /users/upsert", {**BY_USER, "properties": {"a": {}}}),
    ("DELETE /accounts", {"identification": {"domain": ""}}),
    ("POST /accounts/users/remove", {"account": ACCOUNT, "users": [BY_USER] * 101}),
    ("POST /accounts/users/remove", {"account": ACCOUNT, "users": [USER]}),
    ("POST /accounts/users/remove", {"account": ACCOUNT}),
    ("POST /link", {**BY_USER, "deviceId": ""}),
    ("POST /link", {"deviceId": "d"}),
]


def schema_of(call):
    method, path = call.split()
    return BODIES[method, path]


@pytest.mark.parametrize(("call", "body"), TAKEN)
def test_a_good_body_fits(call, body):
    check(body, schema_of(call))


@pytest.mark.parametrize(("call", "body"), REFUSED)
def test_a_bad_body_does_not(call, body):
    with pytest.raises(AssertionError):
        check(body, schema_of(call))


def test_the_snippet_needs_a_domain():
    check({"domain": "acme.com"}, QUERIES["GET", "/tracking/snippet"])
    for query in ({}, {"domain": ""}):
        with pytest.raises(AssertionError):
            check(query, QUERIES["GET", "/tracking/snippet"])


@pytest.mark.parametrize("body", [b"NaN", b'{"a": Infinity}', b"1e999", b'"\\ud800"', b'"\xff"', b"{"])
def test_what_is_no_json_elsewhere_is_refused(body):
    with pytest.raises((ValueError, AssertionError)):
        strictly_parsed(body)
