"""Files that other users of the machine put into a spool's folder are left alone."""

from __future__ import annotations

import os
import sqlite3
import threading

import pytest

import journy_track
from journy_track._stores.sqlite.errors import Corrupt, SpoolError
from journy_track._stores.sqlite.file import SpoolFile
from journy_track._stores.sqlite.folder import Folder
from journy_track._stores.sqlite.schema import APPLICATION

from ..systems import as_root, has_modes

pytestmark = has_modes
ENDLESS = (
    "WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n) SELECT seq, 1.0 AS at, 'x' AS message FROM n"
)


def folder_at(path, **settings) -> Folder:
    return Folder(path, "here", threading.RLock(), **settings)


@pytest.fixture
def path(tmp_path):
    folder_at(tmp_path / "spool").prepare()
    return tmp_path / "spool"


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_refused_with_the_remedy(path, mode):
    path.chmod(mode)
    with pytest.raises(SpoolError, match=r"chmod 700 .*spool_shared=True"):
        folder_at(path).prepare()
    folder_at(path, shared=True).prepare()


@as_root
def test_a_folder_of_another_user_is_refused_with_the_remedy(path):
    os.chown(path, 12345, -1)
    with pytest.raises(SpoolError, match=r"belongs to user 12345.*spool_shared=True"):
        folder_at(path).prepare()
    folder_at(path, shared=True).prepare()


def test_without_its_spool_an_app_delivers_from_memory(api, path, caplog):
    path.chmod(0o777)
    tracker = journy_track.configure("a-key", base_url=api.url, spool=path)
    tracker.track("signed_in", user="u1")
    assert tracker.flush(10, delivered=True)
    assert tracker.stats().delivered == 1
    assert "chmod 700" in caplog.text
    assert not list(path.iterdir())


@as_root
def test_a_file_of_another_user_is_not_taken_over(path):
    SpoolFile.create(path, "here").close()
    [file] = path.glob("*.spool")
    os.chown(file, 12345, -1)
    assert folder_at(path).files() == []
    assert folder_at(path, shared=True).files() == [file]


def test_a_link_is_not_followed(path, tmp_path):
    SpoolFile.create(tmp_path, "here").close()
    [elsewhere] = tmp_path.glob("*.spool")
    (path / "linked.spool").symlink_to(elsewhere)
    assert folder_at(path).files() == []


def test_links_of_others_neither_end_the_use_of_a_shared_folder_nor_fill_it(api, path, tmp_path, caplog):
    (path / "loop.spool").symlink_to(path / "loop.spool")
    (path / "loop.lock").symlink_to(path / "loop.lock")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(2 * 1024**3)
    (path / "large").symlink_to(large.name)
    settings = {"spool": path, "spool_limit": 1024**3, "spool_shared": True}
    tracker = journy_track.configure("a-key", base_url=api.url, **settings)
    tracker.track("signed_in", user="u1")
    assert tracker.flush(10, delivered=True)
    assert tracker.stats().delivered == 1
    assert caplog.text == ""  # neither "the spool cannot be used" nor "the spool is full"


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE VIEW items AS {ENDLESS}",
        f"CREATE VIEW dead AS {ENDLESS}",
        "CREATE TRIGGER t AFTER DELETE ON about BEGIN DELETE FROM about; END",
        "CREATE VIRTUAL TABLE items USING fts5(message)",
    ],
    ids=["view", "another view", "trigger", "virtual table"],
)
def test_a_file_that_computes_is_no_spool(path, statement):
    made = sqlite3.connect(path / "planted.spool")
    made.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    made.execute(f"PRAGMA application_id = {APPLICATION}")
    made.execute("PRAGMA user_version = 1")
    made.execute(statement)
    made.commit()
    made.close()
    with pytest.raises(Corrupt, match="not a spool"):
        SpoolFile.adopt(path / "planted.spool")
