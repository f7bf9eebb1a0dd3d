"""No statement outlives its use: on PyPy, which collects cursors late, it would block every commit."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from journy_track._state.digests import Confirmed
from journy_track._state.sqlite import SqliteDigests
from journy_track._stores.sqlite import schema
from journy_track._stores.sqlite.file import SpoolFile
from journy_track._stores.store import DeadLetter


@pytest.fixture(autouse=True)
def cursors(monkeypatch):
    """Keep all cursors alive during the test, as on an interpreter that does not collect them at once."""
    kept: list[sqlite3.Cursor] = []
    connect = sqlite3.connect

    def connect_and_keep(
        *arguments: Any, factory: type[sqlite3.Connection] = sqlite3.Connection, **named: Any
    ) -> Any:
        class Keeping(factory):  # type: ignore
            def execute(self, *arguments: Any) -> sqlite3.Cursor:
                kept.append(super().execute(*arguments))
                return kept[-1]

        return connect(*arguments, factory=Keeping, **named)

    monkeypatch.setattr(sqlite3, "connect", connect_and_keep)
    return kept


def unread(cursors: list[sqlite3.Cursor]) -> list[Any]:
    """Return the rows that cursors have not returned yet."""
    rows = []
    for cursor in cursors:
        try:
            rows += cursor.fetchall()
        except sqlite3.ProgrammingError:
            continue  # it is closed
    return rows


def test_a_file_of_the_spool_is_made_read_and_emptied_beside_cursors_that_live_on(tmp_path, cursors):
    # Catches: fetchone() on a cursor that is not closed: the journal mode cannot change, and on PyPy nothing commits.
    file = SpoolFile.create(tmp_path, "https://api.journy.io")
    seqs = file.write([(float(at), "a" * 60_000) for at in range(1, 101)])
    assert len(file.read(0, 100)) < 100  # a page is full with fewer
    file.dead_letter(seqs[:1], DeadLetter(1, 1.0, "a", 2.0, "no", None, None, {}, 1))
    assert len(file.dead_letters(0, 1)) == 1
    assert (file.waiting(), file.oldest(), file.about) == (99, 2.0, "https://api.journy.io")
    assert file.forget(waiting=True) == 99
    file.shrink()
    assert unread(cursors) == []
    file.close()


def test_so_is_the_state_of_a_sync(tmp_path, cursors):
    digests = SqliteDigests(tmp_path / "state")
    digests.keep({b"name": Confirmed(b"digest", 1.0)}, until=2e9)
    assert digests.salt()
    assert digests.find([b"name"]) == {b"name": Confirmed(b"digest", 1.0)}
    assert unread(cursors) == []
    digests.close()


def test_an_older_file_becomes_a_newer_one_beside_them(tmp_path, cursors, monkeypatch):
    SpoolFile.create(tmp_path, "https://api.journy.io").close()
    [path] = tmp_path.glob("*.spool")
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, ("CREATE TABLE more (seq INTEGER PRIMARY KEY)",)])
    SpoolFile.adopt(path).close()
    assert unread(cursors) == []
