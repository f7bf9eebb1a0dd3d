"""Nothing delivered or deleted stays in the folder, including SQLite's WAL."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import journy_track
from journy_track._stores.sqlite.file import SpoolFile

from ..timing import eventually

PERSON = b"jane@acme.example"


def traces(folder: Path) -> dict[str, int]:
    """Return how often the person occurs in each file."""
    found = {}
    for path in folder.iterdir():
        try:
            found[path.name] = path.read_bytes().count(PERSON)
        except FileNotFoundError:  # it has just been removed
            continue
    return {name: count for name, count in found.items() if count}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def spooled(api, folder):
    tracker = journy_track.configure("a-key", base_url=api.url, spool=folder)
    yield tracker
    tracker.shutdown(5)


@pytest.mark.slow
def test_a_deleted_person_is_gone_within_5_seconds(spooled, folder):
    spooled.track("wrote", user="u1", text=PERSON.decode())
    spooled.upsert_user(user="u1", email=PERSON.decode())
    assert spooled.flush(10, delivered=True)
    spooled.delete_user(journy_track.UserIdentified.by_email(PERSON.decode()))
    assert spooled.flush(10, delivered=True)
    eventually(lambda: not traces(folder), 5)


@pytest.mark.slow
def test_a_deleted_person_is_gone_while_others_go_on(spooled, folder):
    stop = threading.Event()

    def others():
        while not stop.wait(0.01):
            spooled.track("wrote", user="u2", text="something else")

    thread = threading.Thread(target=others)
    thread.start()
    try:
        for number in range(20):
            spooled.track("wrote", user=f"v{number}", text=PERSON.decode())
        assert spooled.flush(10)
        spooled.delete_user(journy_track.UserIdentified.by_email(PERSON.decode()))
        eventually(lambda: not spooled.stats().queued and not traces(folder), 10)
    finally:
        stop.set()
        thread.join()


def test_a_purge_that_finds_nothing_leaves_nothing_in_the_log(folder):
    folder.mkdir()
    file = SpoolFile.create(folder, "here")
    try:
        file.remove(file.write([(1.0, f'{{"email": "{PERSON.decode()}"}}')]))
        assert traces(folder)
        assert file.purge(PERSON.decode(), 2.0, lambda message: None) == 0
        file.wipe()
        assert not traces(folder)
        assert not file.has_traces
    finally:
        file.close()


@pytest.mark.slow
def test_what_another_reads_meanwhile_is_wiped_later(folder):
    folder.mkdir()
    file = SpoolFile.create(folder, "here")
    reader = SpoolFile(file.path)
    try:
        seqs = file.write([(1.0, PERSON.decode())])
        reader._connection.execute("BEGIN")
        reader._connection.execute("SELECT count(*) FROM items").fetchone()
        file.remove(seqs)
        file.wipe()
        assert file.has_traces
        reader._connection.execute("COMMIT")
        file.wipe()
        assert not file.has_traces
        assert not traces(folder)
    finally:
        reader.close()
        file.close()
