"""The files of processes that have ended: which ones are examined, and when they are examined again."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from journy_track._model.notices import Notices
from journy_track._stores.sqlite import files as sources
from journy_track._stores.sqlite.errors import Gone
from journy_track._stores.sqlite.file import SpoolFile
from journy_track._stores.sqlite.files import ADOPT, OpenFiles
from journy_track._stores.sqlite.folder import Folder
from journy_track._stores.store import DeadLetter
from journy_track._stores.trouble import Trouble

URL = "https://api.journy.io"
LETTER = DeadLetter(0, 1.0, "dead", 2.0, "400")


@pytest.fixture
def living(tmp_path):
    """A living process, in whose folder another process has left a dead letter."""
    folder, clock = Folder(tmp_path, URL, threading.RLock()), SimpleNamespace(now=0.0)
    made: Any = OpenFiles(
        folder,
        Notices(),
        Trouble(lambda cause, error: None, lambda: clock.now, pause=5.0),
        lambda: clock.now,
    )
    left = folder.create()
    left.dead_letter([], LETTER)
    left.close()

    def look() -> int:
        clock.now += ADOPT
        made.adopt()
        return sum(source.unread for source in made)

    made.look, made.left = look, left.path
    assert look() == 0
    yield made
    made.close()


def test_a_file_with_dead_letters_only_is_opened_once(living, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(living.folder, "adopt", lambda _path: pytest.fail("opened again"))
        assert living.look() == 0
    looking = SpoolFile(living.left)
    assert looking.retry(3.0) == 1
    looking.close()
    assert living.look() == 1


KILLED = """
    import os, signal, sys, threading
    from pathlib import Path
    from journy_track._stores.sqlite.folder import Folder

    path = Path(sys.argv[1])
    Folder(path.parent, sys.argv[2], threading.RLock()).adopt(path).write([(3.0, "new")] * 10)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_what_comes_into_it_by_a_process_that_is_killed_is_taken_over(living, run_program):
    # Catches: looking at the file only. What was written is in SQLite's WAL beside it until both are opened.
    ran = run_program(KILLED, str(living.left), URL)
    assert (ran.status, ran.err) == (-9, "")
    assert living.look() == 10


def test_what_comes_into_it_while_it_is_looked_at_is_taken_over_the_next_time(living, monkeypatch):
    looking = SpoolFile(living.left)
    close = SpoolFile.close

    def closed(file, **how):
        close(file, **how)
        looking.retry(3.0)

    looking.dead_letter([], LETTER)
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "close", closed)
        assert living.look() == 0
    looking.close()
    assert living.look() == 2  # including the first one


def test_once_somebody_was_seen_to_own_it_it_is_looked_into_however_it_looks(living, monkeypatch):
    monkeypatch.setattr(sources, "_looks", lambda _path: "as before")
    assert living.look() == 0
    owner = living.folder.adopt(living.left)
    assert living.look() == 0
    owner.write([(3.0, "new")])
    owner.close()
    assert living.look() == 1


def test_a_file_that_any_thread_finds_to_be_lost_is_counted_once_its_changes_are_taken(living):
    # Catches: a sender that counts in the changes that the worker is taking at that moment.
    living.open()

    class Taken(Counter[str]):
        def __missing__(self, reason):
            if threading.current_thread() is thread:
                living.taken_changes()  # the worker, which has looked at these counts already
            return 0

    living.own.unread = 3
    living.changes.lost = Taken()
    thread = threading.Thread(target=living.recovered, args=(living.own, Gone("gone")))
    thread.start()
    thread.join(10)
    assert living.taken_changes().lost == {"spool_lost": 3}
