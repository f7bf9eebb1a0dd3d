"""Keywords that look like an option but are metadata: they stay metadata, and are logged once."""

from __future__ import annotations

import pytest

import journy_track
from journy_track import track_event
from journy_track._capture import lookalikes


@pytest.fixture(autouse=True)
def _nothing_seen():
    lookalikes.plain_keys.clear()


def logged(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if "is not an option" in record.getMessage()]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        *((key, "user= of") for key in ("user_id", "userId", "distinct_id", "anonymous_id", "usr")),
        *((key, "account= of") for key in ("account_id", "acount", "acccount", "accoutn")),
        *((key, "happened_at= of") for key in ("timestamp", "happend_at", "happenedat")),
        ("after_comit", "after_commit= of"),
        ("email", "email= of user()"),
        ("domain", "domain= of account()"),
        ("properties", "the mapping"),
        ("metadata", "the mapping"),
    ],
)
def test_it_stays_metadata_and_is_logged_with_what_is_meant(kept, caplog, key, meant):
    journy_track.track("invited", user="u1", **{key: "x"})
    assert kept.one().metadata == {key: "x"}
    (line,) = logged(caplog)
    assert line.startswith(f"track('invited'): the keyword {key}= is not an option and became metadata.")
    assert meant in line


WORDS = ("plan", "users", "accounts", "used", "amount", "count", "discount", "at", "email_sent")


@pytest.mark.parametrize("key", WORDS)
def test_any_other_key_is_left_alone(kept, caplog, key):
    journy_track.track("invited", user="u1", **{key: 1})
    assert kept.one().metadata == {key: 1}
    assert not logged(caplog)


def test_it_is_logged_once_for_each_event_and_key(kept, caplog):
    for _ in range(3):
        journy_track.track("invited", user="u1", user_id="u2", acount="acme", plan="pro")
        journy_track.track("removed", user="u1", user_id="u2")
    assert [line[: line.index("=")] for line in logged(caplog)] == [
        "track('invited'): the keyword user_id",
        "track('invited'): the keyword acount",
        "track('removed'): the keyword user_id",
    ]


def test_a_key_in_the_mapping_is_meant(kept, caplog):
    journy_track.track("invited", {"user_id": "u2", "acount": 1}, user="u1", plan="pro")
    track_event("worked", metadata={"email": "x"}, capture=("user_id",), user="u1")(lambda user_id: None)("u2")
    with journy_track.metadata({"user_id": "u3"}), journy_track.scope():
        journy_track.add_metadata({"domain": "acme.com"})
    assert len(kept()) == 2
    assert not logged(caplog)


@pytest.mark.parametrize("key", ["user", "account", "user_id", "timestamp"])
def test_those_of_the_metadata_of_a_block_too(kept, caplog, key):
    with journy_track.scope(), journy_track.metadata(**{key: "x"}) as context:
        journy_track.add_metadata(**{key: "y"})
        assert context.metadata == {key: "x"}
    assert [line.split(":")[0] for line in logged(caplog)] == ["metadata()", "add_metadata()"]


def test_who_chooses_the_keys_fills_neither_memory_nor_the_log(kept, caplog, monkeypatch):
    monkeypatch.setattr(lookalikes, "_MAX_KEYS", 50)
    for number in range(300):
        journy_track.track(f"named_{number}", user="u1", **{f"key_{number}": 1, "user_id": 1})
    assert len(lookalikes.plain_keys) == 50
    assert len(logged(caplog)) == lookalikes._MAX_LINES
    assert len(kept()) == 300
