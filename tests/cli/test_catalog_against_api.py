"""`journy-track catalog --against-api`: compares the code with what journy.io knows."""

from __future__ import annotations

import json

import pytest

import journy_track

from .commands import run, words

APP = """
import journy_track

@journy_track.event("signed_up", renamed_from="registered")
class SignedUp: ...

journy_track.track("paid", amount=3)
journy_track.upsert_user(full_name="Jane", age=41)
journy_track.upsert_account({"plan": "pro"}, mrr=Decimal(3))
"""


@pytest.fixture
def known(api, tmp_path, monkeypatch):
    """Runs the command against the inspector, which knows what was sent to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    tracker = journy_track.configure("a-key", base_url=api.url)

    def ask(*options):
        assert tracker.flush(timeout=10)
        return run("catalog", "--against-api", *options, JOURNY_BASE_URL=api.url)

    return ask


def everything():
    journy_track.track("paid", user="u1")
    journy_track.track("signed_up", user="u1")
    journy_track.upsert_user(user="u1", full_name="Jane", age=41)
    journy_track.upsert_account(account="acme", plan="pro", mrr=3)


def test_where_both_know_the_same_nothing_is_printed(known):
    everything()
    ended = known()
    assert (ended.exit_code, ended.stdout) == (0, ""), ended.stdout
    assert "knows the same events and properties" in words(ended.stderr)


def test_what_only_one_of_them_knows_is_listed_with_its_place_and_fails(known):
    journy_track.track("registered", user="u1")
    journy_track.track("viewed_page", user="u1")
    journy_track.upsert_user(user="u1", full_name="Jane", city="Ghent")
    ended = known()
    assert ended.exit_code == 1
    assert sorted(ended.stdout.splitlines()) == [
        "app.py:5 The event signed_up is unknown to journy.io, which knows it as registered.",
        "app.py:7 The event paid is unknown to journy.io.",
        "app.py:8 The user property age is unknown to journy.io.",
        "app.py:9 The account property mrr is unknown to journy.io.",
        "app.py:9 The account property plan is unknown to journy.io.",
        "journy.io The event viewed_page is known to journy.io, and nothing here tracks it.",
        "journy.io The user property city is known to journy.io, and nothing here sets it.",
    ]


def test_what_other_code_sends_can_be_named(known):
    everything()
    journy_track.track("viewed_page", user="u1")
    assert known().exit_code == 1
    assert known("--elsewhere", "viewed_*").exit_code == 0


def test_computed_properties_and_other_types_are_listed_where_journy_io_tells_of_them(known, api):
    everything()
    assert journy_track.flush(timeout=10)
    rows = [
        {"name": "full_name", "label": "Name", "isComputed": True},
        {"name": "age", "label": "Age", "isComputed": False, "type": "string"},
        {"name": "score", "label": "Score", "isComputed": True},
    ]
    meta = {"requestId": "r1", "status": 200}
    api.answer_next(200, {"data": [{"id": "1", "name": "Paid"}, {"id": "2", "name": "Signed up"}], "meta": meta})
    api.answer_next(200, {"data": rows, "meta": meta})
    ended = known("--json")
    assert ended.exit_code == 1
    assert [(one["name"], one["problem"], one["line"]) for one in json.loads(ended.stdout)["differences"]] == [
        ("full_name", "is computed by journy.io, and must not be set", 8),
        ("age", "is a number here, and a string for journy.io", 8),
    ]


def test_github_gets_them_as_annotations(known):
    everything()
    journy_track.track("viewed_page", user="u1")
    journy_track.upsert_user(user="u1", city="Ghent")
    ended = known("--format", "github", "--elsewhere", "city")
    assert ended.stdout == "::error::The event viewed_page is known to journy.io, and nothing here tracks it.\n"


def test_a_response_that_is_none_and_wrong_usage_end_with_a_sentence(known, api):
    api.answer_next(401)
    ended = known()
    assert ended.exit_code == 1
    assert "does not know this key" in words(ended.stderr)
    assert run("catalog", "--against-api", "--check", "a.md").exit_code == 2
    only_write_key = {"JOURNY_API_KEY": "", "JOURNY_WRITE_KEY": "w"}
    assert run("catalog", "--against-api", **only_write_key).exit_code == 2
