"""`journy-track track`: sends one event by hand."""

from __future__ import annotations

import json

import pytest

from .commands import journy, run, words


def test_an_event_arrives_with_identity_time_and_typed_metadata(api):
    ended = run(
        *("track", "signed_in", "plan=pro", "seats:int=3", "beta:bool=yes", "price:float=9.5", "note=a=b"),
        *("--user", "u1", "--email", "jane@acme.com", "--account", "acme", "--happened-at", "2026-05-17T09:30:00Z"),
        JOURNY_BASE_URL=api.url,
    )
    assert ended.exit_code == 0, ended.stderr
    assert api.requests[-1].request_id in words(ended.stdout)
    assert api.requests[-1].json == {
        "identification": {"user": {"userId": "u1", "email": "jane@acme.com"}, "account": {"accountId": "acme"}},
        "name": "signed_in",
        "triggeredAt": "2026-05-17T09:30:00.000Z",
        "metadata": {"plan": "pro", "seats": 3, "beta": True, "price": 9.5, "note": "a=b"},
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["signed_in"], "needs a user or an account"),
        (["", "--user", "u1"], "name is required"),
        (["signed_in", "plan", "--user", "u1"], "'plan' is not metadata"),
        (["signed_in", "n:number=3", "--user", "u1"], "'number' in 'n:number=3' is not a type"),
        (["signed_in", "n:int=three", "--user", "u1"], "'n' must be a whole number"),
        (["signed_in", "n:list=a,b", "--user", "u1"], "metadata does not accept lists"),
        (["signed_in", "--email", "nobody"], "email is malformed"),
        (["signed_in", "--user", "u1", "--email", "nobody"], "--email is malformed: 'nobody'"),
        (["signed_in", "--account", "a1", "--domain", "https://acme.com"], "--domain is malformed"),
        (["signed_in", "a=1", "a:int=2", "--user", "u1"], "'a' is given twice"),
        (
            ["signed_in", "--user", "u1", "--happened-at", "yesterday"],
            "--happened-at must be an ISO 8601 date and time",
        ),
        (["signed_in", "--user", "u1", "--happened-at", "2026-05-17T09:30:00"], "with its offset"),
    ],
)
def test_what_cannot_be_sent_is_wrong_usage_and_is_not_sent(api, arguments, said):
    ended = run("track", *arguments, JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 2
    assert said in words(ended.stderr)
    assert api.requests == []


@pytest.mark.slow
def test_lists_are_not_offered_as_metadata_which_takes_none(api):
    offered = "text, int, float, bool, date, datetime, epoch, epoch_ms"
    ended = run("track", "signed_in", "n:number=3", "--user", "u1", JOURNY_BASE_URL=api.url)
    assert words(ended.stderr) == f"Error: 'number' in 'n:number=3' is not a type: the types are {offered}."
    helped = journy("track", "--help")
    assert f"({offered})" in words(helped.stdout)


def test_a_time_without_its_offset_names_no_option_that_is_not_there(api):
    ended = run("track", "signed_in", "--user", "u1", "--happened-at", "2026-05-17T09:30:00", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 2
    form = "a date and time with its offset, such as 2026-05-17T09:30:00Z"
    assert words(ended.stderr) == f"Error: --happened-at must be {form}."


def test_what_the_api_refuses_is_exit_code_1_with_the_fields(api):
    api.answer_next(
        400,
        {
            "message": "Some fields are wrong.",
            "meta": {"requestId": "r-1"},
            "errors": {"fields": {"name": "Too long."}},
        },
    )
    ended = run("track", "signed_in", "--user", "u1", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert "Some fields are wrong. (400, request ID r-1). name: Too long." in words(ended.stderr)


def test_as_json_it_tells_the_same(api):
    ended = run("track", "signed_in", "--user", "u1", "--json", JOURNY_BASE_URL=api.url)
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["ok"], document["status"]) == (0, True, 201)
    assert document["event"]["name"] == "signed_in"
    api.answer_next(403)
    ended = run("track", "signed_in", "--user", "u1", "--json", JOURNY_BASE_URL=api.url)
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["ok"], document["status"]) == (1, False, 403)
    assert document["problem"]
