"""The spool's folder: its permissions, whose files are taken over, and refused keys."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest

import journy_track
from journy_track._model.secret import Secret
from journy_track._stores.sqlite import file as spool_file
from journy_track._stores.sqlite import lock
from journy_track._stores.sqlite.errors import Corrupt, Owned, SpoolError
from journy_track._stores.sqlite.file import lock_path
from journy_track._stores.sqlite.folder import Folder
from journy_track._stores.sqlite.keys import RefusedKey
from journy_track._stores.sqlite.lock import create_private, is_owned

from ..systems import has_flock

URL = "https://api.journy.io"


def folder_at(path, about: str = URL) -> Folder:
    folder = Folder(path, about, threading.RLock())
    folder.prepare()
    return folder


def test_it_is_made_with_its_parents_for_its_owner_only(tmp_path):
    folder_at(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match=r"file.*: "):
        folder_at(tmp_path / "file" / "spool")


@has_flock
@pytest.mark.parametrize("fails_at", ["lock", "file", "schema", "about"])
def test_of_a_file_that_cannot_be_made_nothing_is_left(tmp_path, monkeypatch, fails_at):
    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    def only_the_lock(path):
        (create_private if path.suffix == ".lock" else full)(path)

    folder = folder_at(tmp_path)
    with monkeypatch.context() as patch:
        if fails_at == "lock":
            fcntl = pytest.importorskip("fcntl", reason="locks are other ones on Windows")
            patch.setattr(fcntl, "flock", full)
        elif fails_at == "file":
            patch.setattr(spool_file, "create_private", only_the_lock)
        elif fails_at == "schema":
            patch.setattr(spool_file, "open_connection", full)
        else:
            patch.setattr(spool_file.SpoolFile, "_transaction", full)
        with pytest.raises((SpoolError, sqlite3.OperationalError)):
            folder.create()
    assert list(tmp_path.iterdir()) == []
    folder.create().close(remove=True)


def test_the_file_of_who_ended_is_taken_over_by_one(tmp_path):
    folder = folder_at(tmp_path)
    file = folder.create()
    file.write([(1.0, "a")])
    assert folder.adopt(file.path) is None
    file.close()
    adopted = folder.adopt(file.path)
    assert adopted is not None
    assert folder.adopt(file.path) is None
    adopted.close()


def test_a_file_for_another_server_is_left_alone(tmp_path):
    theirs = folder_at(tmp_path, "http://127.0.0.1:8000").create()
    theirs.write([(1.0, "a")])
    theirs.close()
    assert folder_at(tmp_path).adopt(theirs.path) is None
    assert theirs.path.exists()


def test_a_corrupt_file_is_set_aside_and_named(tmp_path):
    path = tmp_path / "a.spool"
    path.write_bytes(b"nonsense" * 1000), lock_path(path).touch()
    folder = folder_at(tmp_path)
    with pytest.raises(Corrupt, match=r"set aside as a\.spool\.corrupt-"):
        folder.adopt(path)
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert aside.read_bytes() == b"nonsense" * 1000
    assert folder.files() == []


def test_a_file_that_is_gone_leaves_no_lock_behind(tmp_path):
    folder = folder_at(tmp_path)
    living, dead = folder.create(), folder.create()
    dead.close()
    dead.path.unlink()
    folder.tidy()
    assert not lock_path(dead.path).exists()
    assert lock_path(living.path).exists()
    living.close()


def test_a_file_that_only_just_began_can_be_taken_over(tmp_path):
    folder = folder_at(tmp_path)
    path = tmp_path / "a.spool"
    path.touch(), lock_path(path).touch()  # its process was killed before the first write
    adopted = folder.adopt(path)
    assert adopted is not None
    assert adopted.write([(1.0, "a")]) == [1]
    adopted.close()


@has_flock
@pytest.mark.parametrize("made_again", [False, True])
def test_a_file_whose_lock_was_removed_while_it_was_taken_gets_another_one(tmp_path, monkeypatch, made_again):
    fcntl = pytest.importorskip("fcntl", reason="locks are other ones on Windows")
    folder, removals = folder_at(tmp_path), []

    def flock(descriptor, operation, _flock=fcntl.flock):
        if not removals:  # like tidy() of another process
            (path,) = tmp_path.iterdir()
            removals.append(path)
            path.unlink()
            if made_again:
                path.touch()
        _flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    file = folder.create()
    assert removals
    assert removals != [lock_path(file.path)]
    assert is_owned(lock_path(file.path))
    file.close()


@has_flock
def test_what_cannot_be_owned_for_good_is_an_error_and_no_endless_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(lock._Held, "is_at", lambda _held, _path: False)
    with pytest.raises(Owned):
        folder_at(tmp_path).create()


# ── Refused keys ──


def key_in(path, key: str = "a-key-of-ours", url: str = URL) -> RefusedKey:
    return RefusedKey(path, url, Secret(key))


def test_a_refused_key_is_remembered_until_it_is_accepted(tmp_path):
    key = key_in(tmp_path)
    assert key.recall(100.0) is None
    key.remember(140.0, 40.0)
    assert key_in(tmp_path).recall(110.0) == (30.0, 40.0)
    assert key_in(tmp_path).recall(200.0) == (0.0, 40.0)
    assert key_in(tmp_path, "another-key").recall(110.0) is None
    assert key_in(tmp_path, url="http://127.0.0.1:8000").recall(110.0) is None
    key.forget()
    assert key_in(tmp_path).recall(110.0) is None
    key.forget()


def test_the_key_is_in_no_name_and_no_file(tmp_path):
    key_in(tmp_path).remember(140.0, 40.0)
    (path,) = tmp_path.iterdir()
    assert "a-key-of-ours" not in path.name + path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"until": "x", "pause": 1}', '{"until": 1}', '{"until":1,"pause":9e9}']
)
def test_what_was_cut_off_is_not_believed(tmp_path, text):
    key = key_in(tmp_path)
    key.remember(140.0, 40.0)
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert key.recall(100.0) is None


def test_a_clock_that_was_set_back_does_not_keep_it_quiet_for_longer_than_its_pause(tmp_path):
    key_in(tmp_path).remember(10_000.0, 40.0)
    assert key_in(tmp_path).recall(100.0) == (40.0, 40.0)


# ── What the system refuses: an open file (Windows), permissions, a failing disk ──


def refuse(monkeypatch, method, end):
    """Make the system refuse *method* for files whose names end with *end*."""
    do = getattr(Path, method)

    def refused(path, *arguments, **named):
        if path.name.endswith(end):
            raise PermissionError(13, "Permission denied", str(path))
        return do(path, *arguments, **named)

    monkeypatch.setattr(Path, method, refused)


def test_a_lock_that_cannot_be_removed_does_not_keep_the_spool_from_being_used(api, tmp_path, monkeypatch, caplog):
    folder = folder_at(tmp_path / "spool")
    lock_path(folder.path / "20260517T093000-1-0a0a0a0a.spool").touch(0o600)
    refuse(monkeypatch, "unlink", ".lock")
    tracker = journy_track.configure("test-key-0123456789", base_url=api.url, spool=folder.path)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(30)
    assert len(folder.files()) == 1
    assert caplog.text == ""


@has_flock
@pytest.mark.parametrize("method", ["unlink", "lstat"])
def test_what_the_system_refuses_is_an_error_of_the_spool(tmp_path, monkeypatch, method):
    folder = folder_at(tmp_path)
    file = folder.create()
    file.close()
    with monkeypatch.context() as patch:
        refuse(patch, method, ".lock")
        with pytest.raises(SpoolError, match="Permission denied"):
            if method == "unlink":
                lock.OwnerLock(tmp_path / "some.spool.lock").release(remove=True)
            else:
                folder.adopt(file.path)
