"""A spool file: what it stores, who owns it, and the errors if it cannot be used."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from journy_track._stores.sqlite import schema
from journy_track._stores.sqlite.errors import Corrupt, Gone, Newer, Owned, SpoolError
from journy_track._stores.sqlite.file import SpoolFile, lock_path
from journy_track._stores.store import DeadLetter

from ..systems import has_flock, removes_open_files

ABOUT = "https://api.journy.io"


@pytest.fixture
def make(tmp_path):
    """Return a function that creates a file in the test's folder. It is closed at the end."""
    made: list[SpoolFile] = []

    def create() -> SpoolFile:
        made.append(SpoolFile.create(tmp_path, ABOUT))
        return made[-1]

    yield create
    for file in made:
        file.close()


def messages(file: SpoolFile) -> list[str]:
    return [row.message for row in file.read(0, 100)]


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_what_is_written_is_read_in_order(make):
    file = make()
    assert file.write([(1.0, "a"), (2.0, "b")]) == [1, 2]
    file.write([(3.0, "c")])
    assert [(row.seq, row.at, row.message) for row in file.read(1, 5)] == [(2, 2.0, "b"), (3, 3.0, "c")]
    assert file.read(0, 1)[0].message == "a"
    assert (file.waiting(), file.last(), file.oldest(), file.about) == (3, 3, 1.0, ABOUT)


def test_a_place_is_never_given_twice(make):
    file = make()
    file.remove(file.write([(1.0, "a")]))
    assert file.write([(1.0, "b")]) == [2]


def test_nobody_else_can_read_it(make, tmp_path):
    make().write([(1.0, "a")])
    assert len(list(tmp_path.iterdir())) >= 3  # including SQLite's own files
    assert modes(tmp_path) == {0o600}


def test_what_is_removed_cannot_be_found_in_the_file(make, tmp_path):
    file = make()
    file.remove(file.write([(1.0, "jane@acme.com" * 100)]))
    file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"jane@acme.com" not in file.path.read_bytes()


def test_a_living_owner_keeps_others_out_and_a_dead_one_does_not(make):
    file = make()
    file.write([(1.0, "a")])
    with pytest.raises(Owned):
        SpoolFile.adopt(file.path)
    file.close()
    adopted = SpoolFile.adopt(file.path)
    assert messages(adopted) == ["a"]
    with pytest.raises(Owned):
        SpoolFile.adopt(file.path)
    adopted.close()


def test_an_empty_file_goes_with_its_owner_and_one_with_something_in_it_stays(make, tmp_path):
    make().close(remove=True)
    assert list(tmp_path.iterdir()) == []
    waiting, dead = make(), make()
    waiting.write([(1.0, "a")])
    dead.dead_letter([], DeadLetter(0, 1.0, "a", 2.0, "status 400"))
    waiting.close(remove=True)
    dead.close(remove=True)
    assert waiting.path.exists()
    assert dead.path.exists()


@has_flock
@pytest.mark.parametrize("end", [lambda file: file.close(remove=True), SpoolFile.set_aside], ids=["close", "aside"])
def test_an_owner_that_cannot_remove_or_rename_it_owns_it_no_longer(tmp_path, end):
    folder, moved = tmp_path / "spool", tmp_path / "moved"
    folder.mkdir()
    file = SpoolFile.create(folder, ABOUT)
    owner = file._owner
    folder.rename(moved)
    folder.write_text("a file")
    with pytest.raises(SpoolError, match="spool"):
        end(file)
    SpoolFile.adopt(moved / file.path.name).close()
    assert owner._held._descriptor == -1
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        file._connection.execute("SELECT 1")


def test_what_is_given_up_is_moved_with_all_that_is_known(make):
    file = make()
    seqs = file.write([(1.0, "a"), (2.0, "b"), (3.0, "c")])
    letter = DeadLetter(1, 1.0, "a and b", 9.0, "status 400", 400, "r1", {"name": "is empty"}, 3)
    file.dead_letter(seqs[:2], letter)
    assert messages(file) == ["c"]
    assert file.dead_letters() == [letter]
    assert (file.dead(), file.waiting()) == (1, 1)


def test_dead_letters_are_tried_again_behind_what_waits(make):
    file = make()
    file.dead_letter([], DeadLetter(0, 1.0, "a", 9.0, "max_age"))
    file.write([(2.0, "b")])
    assert file.retry(50.0) == 1
    assert [(row.at, row.message) for row in file.read(0, 9)] == [(2.0, "b"), (50.0, "a")]
    assert file.dead() == 0


def test_a_purge_removes_changes_and_leaves(make):
    file = make()
    file.write([(1.0, '"jane" 1'), (1.0, '"joe"'), (1.0, '"jane" 2'), (9.0, '"jane" later'), (1.0, '"jane" behind')])
    left = {'"jane" 1': None, '"jane" 2': '"somebody" 2'}
    assert file.purge('"jane"', 5.0, left.__getitem__, before=5) == 1
    assert messages(file) == ['"joe"', '"somebody" 2', '"jane" later', '"jane" behind']


def test_it_says_whether_somebody_else_wrote_to_it(make):
    file = make()
    file.write([(1.0, "a")])
    assert not file.changed()
    other = SpoolFile(file.path)
    other.forget(waiting=True)
    other.close()
    assert file.changed()
    assert not file.changed()


def test_its_size_is_what_is_in_use_and_what_is_not_is_given_back(make):
    file = make()
    empty = file.size()
    seqs = file.write([(1.0, "x" * 10_000)] * 200)
    assert file.size() > empty + 2_000_000
    file.remove(seqs)
    assert file.size() < empty + 100_000
    file.shrink()
    assert file.path.stat().st_size < empty + 100_000


# ── What cannot be used ──


def test_a_file_of_something_else_is_no_spool(tmp_path):
    path = tmp_path / "a.spool"
    path.write_bytes(b"something else altogether " * 500)
    with pytest.raises(Corrupt, match=r"a\.spool: .*SQLITE_NOTADB"):
        SpoolFile.adopt(path)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(Corrupt, match="not a spool"):
        SpoolFile.adopt(path)


def test_damage_in_the_middle_is_corrupt_when_it_is_read(make):
    file = make()
    file.write([(1.0, "x" * 3000)] * 50)
    file.close()
    with file.path.open("r+b") as damaged:
        damaged.seek(4096 * 8)
        damaged.write(b"\xff" * 4096 * 30)
    adopted = SpoolFile.adopt(file.path)
    with pytest.raises(Corrupt):
        adopted.read(0, 100)
    aside = adopted.set_aside()
    assert not file.path.exists()
    assert not lock_path(file.path).exists()
    assert b"\xff" * 4096 in aside.read_bytes()


def test_a_newer_version_is_refused_and_left_alone(make):
    file = make()
    file.write([(1.0, "a")])
    file._connection.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(Newer, match="newer version of journy_track"):
        SpoolFile.adopt(file.path)
    with sqlite3.connect(file.path) as left:
        assert left.execute("SELECT message FROM items").fetchall() == [("a",)]
    left.close()


def test_an_older_version_becomes_the_newest_with_what_is_in_it(make, monkeypatch):
    file = make()
    file.write([(1.0, "a")])
    file.close()
    step = ("ALTER TABLE items ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",)
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, step])
    adopted = SpoolFile.adopt(file.path)
    assert adopted._value("SELECT colour FROM items") == "red"
    assert messages(adopted) == ["a"]
    adopted.close()


def test_a_step_that_fails_leaves_the_older_version(make, monkeypatch):
    file = make()
    file.close()
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, ("CREATE TABLE half (x)", "nonsense")])
    with pytest.raises(SpoolError):
        SpoolFile.adopt(file.path)
    monkeypatch.undo()
    adopted = SpoolFile.adopt(file.path)
    assert adopted._value("SELECT count(*) FROM sqlite_master WHERE name = 'half'") == 0
    adopted.close()


@removes_open_files
def test_writing_to_a_file_that_was_removed_is_refused(make):
    file = make()
    file.path.unlink()
    with pytest.raises(Gone, match="was removed"):
        file.write([(1.0, "a")])


def test_a_full_disk_is_named_and_the_transaction_leaves_nothing(make):
    file = make()
    file.write([(1.0, "a")])
    pages = file._value("PRAGMA page_count")
    file._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SpoolError, match="SQLITE_FULL"):
        file.write([(1.0, "b"), (1.0, "x" * 100_000)])
    assert messages(file) == ["a"]


def test_a_file_that_is_kept_busy_is_named(make):
    file = make()
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    file._connection.execute("PRAGMA busy_timeout = 0")
    with pytest.raises(SpoolError, match="SQLITE_BUSY"):
        file.write([(1.0, "a")])
    other.close()
    file.write([(1.0, "a")])
