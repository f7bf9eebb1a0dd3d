"""Digests in a SQLite file: kept, forgotten, shared, and started from scratch if damaged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

from journy_track._state.digests import Confirmed, Hasher
from journy_track._state.sqlite import SqliteDigests
from journy_track._stores.store import StoreError

from ..systems import has_links, has_modes

A, B = b"a" * 16, b"b" * 16


@pytest.fixture
def digests(tmp_path):
    made = SqliteDigests(tmp_path / "journy.state", lambda: 1000.0)
    yield made
    made.close()


def test_what_is_kept_is_found_again_by_another_process(digests, tmp_path):
    digests.keep({A: Confirmed(B, 990.0)}, until=2000.0)
    code = (
        "from journy_track._state.sqlite import SqliteDigests; from pathlib import Path; import sys;"
        "print(SqliteDigests(Path(sys.argv[1]), lambda: 1000.0).find([b'a' * 16, b'c' * 16]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "journy.state")], capture_output=True, text=True, check=True
    )
    assert eval(done.stdout, {"Confirmed": Confirmed}) == {A: Confirmed(B, 990.0)}


def test_what_is_forgotten_is_gone(digests):
    digests.keep({A: Confirmed(A, 1.0), B: Confirmed(B, 1.0)}, until=2000.0)
    digests.forget([A])
    assert digests.find([A, B]) == {B: Confirmed(B, 1.0)}


def test_what_nobody_asks_for_any_more_leaves_the_file(digests, tmp_path):
    digests.keep({A: Confirmed(A, 1.0)}, until=999.0)
    digests.keep({B: Confirmed(B, 1.0)}, until=1001.0)
    digests.close()
    again = SqliteDigests(tmp_path / "journy.state", lambda: 1000.0)
    assert again.find([A, B]) == {B: Confirmed(B, 1.0)}
    again.close()


@has_modes
def test_only_its_owner_may_read_it(digests, tmp_path):
    path = tmp_path / "journy.state"
    path.touch(mode=0o644)
    path.chmod(0o644)
    digests.salt()
    assert path.stat().st_mode & 0o777 == 0o600


@has_links
def test_a_link_is_not_followed(digests, tmp_path):
    (tmp_path / "elsewhere").touch()
    (tmp_path / "journy.state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        digests.salt()
    assert (tmp_path / "elsewhere").stat().st_size == 0


def test_a_file_of_something_else_is_left_alone(digests, tmp_path):
    with sqlite3.connect(tmp_path / "journy.state") as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    before = (tmp_path / "journy.state").read_bytes()
    with pytest.raises(StoreError, match="not a state of journy_track"):
        digests.salt()
    assert (tmp_path / "journy.state").read_bytes() == before


def test_a_damaged_file_is_begun_anew(digests, tmp_path, caplog):
    digests.keep({A: Confirmed(A, 1.0)}, until=2000.0)
    digests.close()
    path = tmp_path / "journy.state"
    path.write_bytes(path.read_bytes()[:100] + os.urandom(5000))
    with pytest.raises(StoreError):
        digests.find([A])
    assert digests.find([A]) == {}
    assert "was damaged, and has been recreated" in caplog.text


def test_two_users_share_one_file_and_its_salt(digests, tmp_path):
    other = SqliteDigests(tmp_path / "journy.state", lambda: 1000.0)
    digests.keep({A: Confirmed(A, 1.0)}, until=2000.0)
    assert other.find([A]) == {A: Confirmed(A, 1.0)}
    assert other.salt() == digests.salt()
    other.close()


def test_nothing_in_the_file_can_be_guessed_without_the_key():
    salt = os.urandom(32)
    ours = Hasher("key", salt, "https://api.journy.io").of_name("email jane@acme.com")
    assert ours == Hasher("key", salt, "https://api.journy.io").of_name("email jane@acme.com")
    assert ours != Hasher("another", salt, "https://api.journy.io").of_name("email jane@acme.com")
    assert ours != Hasher("key", os.urandom(32), "https://api.journy.io").of_name("email jane@acme.com")
    assert ours != Hasher("key", salt, "https://staging.example").of_name("email jane@acme.com")


def test_true_and_one_are_not_the_same():
    hasher = Hasher("key", b"salt", "")
    assert hasher.of_body({"a": 1}) != hasher.of_body({"a": True})
    assert hasher.of_body({"a": 1, "b": 2}) == hasher.of_body({"b": 2, "a": 1})
