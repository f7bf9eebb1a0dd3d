"""How a process can lose its spool file: cleaners that remove old files, apps that read the folder."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from time import time

import pytest

from journy_track._stores.sqlite.file import SpoolFile, lock_path
from journy_track._stores.sqlite.folder import GRACE, Folder
from journy_track._stores.sqlite.lock import is_owned, was_left

from ..systems import has_flock

pytestmark = has_flock

URL = "https://api.journy.io"


def folder_at(path: Path, about: str = URL) -> Folder:
    folder = Folder(path, about, threading.RLock())
    folder.prepare()
    return folder


# ── Two processes and a server ──

OWNER = """
    import json, os, sys, threading, time
    from pathlib import Path
    import journy_track

    folder = Path(os.environ["JOURNY_SPOOL"])
    ended = threading.Event()

    def read_the_folder():
        while not ended.wait(0.02):
            for path in folder.iterdir():
                try:
                    path.read_bytes()
                except FileNotFoundError:
                    pass

    tracker = journy_track.configure("a-key", shutdown_timeout=30, max_connections=2)
    for number in range(150):
        journy_track.track(f"owner_{number}", user=f"u{number}")
    assert journy_track.flush(30)
    if sys.argv[1] == "reads":
        threading.Thread(target=read_the_folder, daemon=True).start()
    print("stored", flush=True)
    sys.stdin.readline()
    done = tracker.flush(30, delivered=True)
    ended.set()
    stats = tracker.stats()
    print(json.dumps({"done": done, "delivered": stats.delivered, "dropped": dict(stats.dropped)}), flush=True)
"""

NEIGHBOUR = """
    import sys, threading
    import journy_track
    from journy_track._stores.sqlite import files as sources
    from journy_track._stores.sqlite import folder

    sources.ADOPT, folder.GRACE = 0.05, 3.0
    tracker = journy_track.configure("a-key", shutdown_timeout=30)
    journy_track.track("neighbour", user="n1")
    journy_track.delete_user("nobody")  # which opens and closes the files of all
    assert journy_track.flush(30)
    print("there", flush=True)
    sys.stdin.readline()
    assert journy_track.flush(30, delivered=True)
"""


def complaints(err: str) -> list[str]:
    """Return a program's log lines, except how long items wait, which depends on the machine's speed."""
    return [line for line in err.splitlines() if not line.startswith("items have been waiting for ")]


@pytest.mark.parametrize("what", ["lock removed", "reads"])
def test_each_item_is_delivered_once_though_the_owner_lives_dangerously(api, start_program, tmp_path, what):
    api.answer_next(None, delay=0.1, count=100_000)
    environment = {"JOURNY_SPOOL": str(tmp_path / "spool"), "JOURNY_BASE_URL": api.url}
    owner = start_program(OWNER, what, **environment)
    assert owner.stdout.readline() == "stored\n", owner.communicate()
    if what == "lock removed":
        (lock,) = (tmp_path / "spool").glob("*.lock")
        lock.unlink()
    neighbour = start_program(NEIGHBOUR, **environment)
    assert neighbour.stdout.readline() == "there\n", neighbour.communicate()
    out, err = owner.communicate("\n", timeout=60)
    assert (owner.returncode, complaints(err)) == (0, [])
    assert json.loads(out) == {"done": True, "delivered": 150, "dropped": {}}
    _, err = neighbour.communicate("\n", timeout=60)
    assert (neighbour.returncode, complaints(err)) == (0, [])
    expected = {f"owner_{number}": 1 for number in range(150)} | {"neighbour": 1}
    assert Counter(event.name for event in api.events) == expected
    assert list((tmp_path / "spool").iterdir()) == []


LOOK = """
    import sys
    from pathlib import Path
    from journy_track._stores.sqlite.file import SpoolFile

    file = SpoolFile(Path(sys.argv[1]))
    print(file.waiting())
    file.close()
"""


@pytest.mark.parametrize("happens", ["the app reads the folder", "a cleaner removes what is beside the file"])
def test_what_is_written_is_seen_by_others_whatever_happened_in_the_folder(tmp_path, run_program, happens):
    # Catches: removal of SQLite's WAL by a reader that wrongly considers itself the last connection.
    file = SpoolFile.create(tmp_path, URL)
    file.write([(1.0, "a"), (1.0, "b")])
    seen = []
    for text in ("c", "d"):
        for path in tmp_path.iterdir():
            if happens == "the app reads the folder":
                path.read_bytes()
            elif path.name.endswith(("-wal", "-shm")):
                path.unlink()
        assert run_program(LOOK, str(file.path)).err == ""
        file.write([(1.0, text)])
        file.remove([1])
        seen.append(run_program(LOOK, str(file.path)).out)
    assert seen == ["2\n", "3\n"]
    assert [row.message for row in file.read(0, 9)] == ["b", "c", "d"]
    file.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs locks that belong to an open file")
def test_after_the_app_has_read_the_folder_others_do_not_take_themselves_for_the_first_or_the_last(
    tmp_path, run_program
):
    # Catches: a reader that considers itself the first truncates SQLite's shared memory; its users die of SIGBUS.
    file = SpoolFile.create(tmp_path, URL)
    file.write([(1.0, "a")])
    beside = [file.path.with_name(file.path.name + end) for end in ("-wal", "-shm")]
    before = [path.stat().st_ino for path in beside]
    shared = beside[1].read_bytes()
    for path in tmp_path.iterdir():
        path.read_bytes()
    assert run_program(LOOK, str(file.path)).out == "1\n"
    assert [path.stat().st_ino for path in beside] == before
    assert len(beside[1].read_bytes()) == len(shared)
    file.close()
    assert not any(path.exists() for path in beside)


def test_reading_the_folder_leaves_the_file_with_its_owner(tmp_path, run_program):
    file = SpoolFile.create(tmp_path, URL)
    for path in tmp_path.iterdir():
        path.read_bytes()
    look = "import sys; from pathlib import Path; from journy_track._stores.sqlite.lock import is_owned; "
    assert run_program(look + "print(is_owned(Path(sys.argv[1])))", str(lock_path(file.path))).out == "True\n"
    file.close()


def test_a_forked_child_does_not_hold_its_parents_file(tmp_path):
    folder = folder_at(tmp_path)
    file = folder.create()
    file.write([(1.0, "a")])
    ended, forked = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(ended[1])
        os.write(forked[1], b"x")
        os.read(ended[0], 1)
        os._exit(0)
    assert os.read(forked[0], 1) == b"x"
    assert is_owned(lock_path(file.path))
    file.close()
    adopted = folder.adopt(file.path)
    for descriptor in (*ended[::-1], *forked):
        os.close(descriptor)
    os.waitpid(child, 0)
    assert adopted is not None
    adopted.close()


# ── A lock that was removed ──


@pytest.mark.parametrize("made_by_another", [False, True])
def test_an_owner_whose_lock_was_removed_takes_it_again(tmp_path, made_by_another):
    folder = folder_at(tmp_path)
    file = folder.create()
    lock_path(file.path).unlink()
    if made_by_another:
        assert folder.adopt(file.path) is None
    assert not folder.is_owned(file.path)
    assert file.is_ours()
    assert folder.is_owned(file.path)
    assert lock_path(file.path).stat().st_size == 0
    file.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_lock_is_taken_over_once_its_owner_had_time_to_see_that(tmp_path):
    folder = folder_at(tmp_path)
    file = folder.create()
    file.write([(1.0, "a")])
    file.close()
    lock = lock_path(file.path)
    lock.unlink()
    assert folder.adopt(file.path) is None
    assert not was_left(lock, GRACE, time())
    os.utime(lock, (time() - GRACE, time() - GRACE))
    adopted = folder.adopt(file.path)
    assert adopted is not None
    adopted.close()
    assert was_left(lock, GRACE, time())


def test_files_in_use_look_used(tmp_path):
    file = SpoolFile.create(tmp_path, URL)
    for path in tmp_path.iterdir():
        os.utime(path, (1.0, 1.0))
    file.freshen()
    assert all(time() - path.stat().st_mtime < 60 for path in tmp_path.iterdir())
    file.close()
