"""Several processes on one folder: each item is delivered once, by any of them."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep

import pytest

import journy_track
from journy_track._stores.sqlite import files as sources
from journy_track._stores.sqlite.file import SpoolFile
from journy_track._stores.sqlite.folder import Folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def names(api) -> Counter[str]:
    return Counter(event.name for event in api.events)


def each_once(*prefixes: str, count: int = 20) -> Counter[str]:
    return Counter(f"{prefix}_{number}" for prefix in prefixes for number in range(count))


def left(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


# ── Two processes that want the same file ──

ORPHAN = """
    import os, signal, sys
    import journy_track

    journy_track.configure("a-key", base_url="http://127.0.0.1:9")
    for number in range(20):
        journy_track.track(f"{sys.argv[1]}_{number}", user="u1")
    assert journy_track.flush(30)
    os.kill(os.getpid(), signal.SIGKILL)
"""

ADOPTER = """
    import os, sys, time
    import journy_track
    from journy_track._stores.sqlite import files as sources

    sources.ADOPT = 0.01
    tracker = journy_track.configure("a-key", shutdown_timeout=20)
    print("ready", flush=True)
    sys.stdin.readline()
    journy_track.track(f"{sys.argv[1]}_0", user="u2")
    journy_track.flush(30)
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("orphans", [1, 3])
def test_of_several_that_want_the_file_of_who_ended_one_gets_it(api, run_program, start_program, tmp_path, orphans):
    environment = {"JOURNY_SPOOL": str(tmp_path / "spool"), "JOURNY_BASE_URL": api.url}
    # One after another, each in a separate process with its own file.
    for number in range(orphans):
        run_program(ORPHAN, f"orphan{number}", JOURNY_SPOOL=str(tmp_path / f"spool{number}"))
        (tmp_path / "spool").mkdir(exist_ok=True)
        for path in (tmp_path / f"spool{number}").iterdir():
            path.rename(tmp_path / "spool" / path.name)
    for path in (tmp_path / "spool").glob("*.spool"):
        with sqlite3.connect(path) as file:  # they were captured for a server that does not exist
            file.execute("UPDATE about SET value = ? WHERE name = 'for'", (api.url,))
        file.close()
    adopters = [start_program(ADOPTER, f"adopter{number}", **environment) for number in range(4)]
    for adopter in adopters:
        assert adopter.stdout.readline() == "ready\n", adopter.communicate()
    for adopter in adopters:
        adopter.stdin.write("\n")
        adopter.stdin.flush()
    expected = each_once(*(f"orphan{number}" for number in range(orphans)))
    expected += Counter(f"adopter{number}_0" for number in range(4))
    api.wait_for(lambda api: sum(names(api).values()) >= sum(expected.values()), 60)
    for adopter in adopters:
        _, err = adopter.communicate("\n", timeout=60)
        assert (adopter.returncode, err) == (0, "")
    assert names(api) == expected
    assert left(tmp_path / "spool") == []


class Away:
    """A server that is unreachable."""

    def send(self, request):
        raise journy_track.NotSent("away")

    def close(self): ...


@pytest.fixture
def orphan(api, tmp_path) -> Path:
    """Return a folder in which an ended process left one item."""
    folder = tmp_path / "spool"
    ended = journy_track.Tracker("a-key", base_url=api.url, spool=folder, http_client=Away())
    ended.track("left", user="u1")
    assert ended.flush(20)
    ended.shutdown(0)
    return folder


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("journy_track")]


def test_who_captures_nothing_delivers_what_was_left(api, orphan):
    tracker = journy_track.configure("a-key", base_url=api.url, spool=orphan)
    api.wait_for(lambda api: len(api.events) == 1, 20)
    assert tracker.flush(20, delivered=True)


def test_an_end_while_the_folder_is_still_being_opened_delivers_and_leaves_nothing(api, tmp_path, monkeypatch):
    opening, go_on, prepare = threading.Event(), threading.Event(), Folder.prepare

    def slow(folder):
        opening.set()
        assert go_on.wait(20)
        prepare(folder)

    monkeypatch.setattr(Folder, "prepare", slow)
    api.answer_next(None, delay=0.3)
    tracker = journy_track.configure("a-key", base_url=api.url, spool=tmp_path / "spool")
    journy_track.track("once", user="u1")
    assert opening.wait(20)
    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(tracker.shutdown, 20)
        deadline = monotonic() + 20
        while not tracker._pipeline().queue.closed:
            assert monotonic() < deadline
            sleep(0.001)
        go_on.set()
        assert ended.result(30)
    assert names(api) == Counter(["once"])
    assert left(tmp_path / "spool") == []


def test_where_nothing_was_left_nothing_starts(api, tmp_path):
    folder = tmp_path / "spool"
    journy_track.configure("a-key", base_url=api.url, spool=folder)
    assert threads() == []
    assert not folder.exists()
    living = Folder(folder, api.url, threading.RLock())
    living.prepare()
    file = living.create()
    other = journy_track.Tracker("a-key", base_url=api.url, spool=folder)
    assert threads() == []
    file.close(remove=True)
    other.shutdown(0)


# ── Forks ──

RESUMING = """
    import os, sys
    import journy_track

    tracker = journy_track.configure("a-key", shutdown_timeout=30)  # its worker starts, and forks come at once
    children = []
    for number in range(10):
        pid = os.fork()
        if pid == 0:
            journy_track.track(f"child_{number}", user="u1")
            assert journy_track.flush(30)
            sys.exit(0)
        children.append(pid)
    print([os.waitpid(pid, 0)[1] for pid in children])
    assert tracker.flush(30, delivered=True)
"""


def test_a_master_that_resumes_what_was_left_forks_children_that_deliver_their_own(api, run_program, orphan):
    ran = run_program(RESUMING, JOURNY_SPOOL=str(orphan), JOURNY_BASE_URL=api.url, PYTHONWARNINGS="ignore")
    assert (ran.status, ran.out, ran.err) == (0, f"{[0] * 10}\n", "")
    assert names(api) == Counter(["left"]) + each_once("child", count=10)
    assert left(orphan) == []


FORKING = """
    import json, os, sqlite3, sys
    from pathlib import Path
    import journy_track

    folder = Path(os.environ["JOURNY_SPOOL"])
    tracker = journy_track.configure("a-key", shutdown_timeout=30)

    def capture(who):
        for number in range(20):
            journy_track.track(f"{who}_{number}", user="u1")

    capture("before")
    assert journy_track.flush(30)
    (mine,) = folder.glob("*.spool")
    children = []
    for child in range(3):
        pid = os.fork()
        if pid == 0:
            capture(f"child{child}")
            assert journy_track.flush(30)
            others = set(folder.glob("*.spool"))
            assert mine in others and len(others) >= 2, others
            sys.exit(0)
        children.append(pid)
        capture(f"parent{child}")
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    assert journy_track.flush(30)
    connection = sqlite3.connect(mine)
    print(connection.execute("PRAGMA integrity_check").fetchone()[0], statuses)
    connection.close()
"""


def test_a_forked_child_has_a_file_of_its_own_and_nothing_is_sent_twice(api, run_program, tmp_path):
    ran = run_program(FORKING, JOURNY_SPOOL=str(tmp_path / "spool"), JOURNY_BASE_URL=api.url, PYTHONWARNINGS="ignore")
    assert (ran.status, ran.out, ran.err) == (0, "ok [0, 0, 0]\n", "")
    assert names(api) == each_once(
        "before", *(f"{who}{number}" for who in ("child", "parent") for number in range(3))
    )
    assert left(tmp_path / "spool") == []


CHILDREN = """
import multiprocessing, os, sys
import journy_track

journy_track.configure("a-key", shutdown_timeout=30)

def capture(who):
    for number in range(20):
        journy_track.track(f"{who}_{number}", user="u1")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    capture("parent")
    children = [context.Process(target=capture, args=(f"child{number}",)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0, child.exitcode
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_children_of_multiprocessing_deliver_theirs(api, run_program, tmp_path, method):
    (tmp_path / "program.py").write_text(CHILDREN)
    launch = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
    ran = run_program(
        launch,
        str(tmp_path / "program.py"),
        method,
        JOURNY_SPOOL=str(tmp_path / "spool"),
        JOURNY_BASE_URL=api.url,
        PYTHONPATH=".",
        PYTHONWARNINGS="ignore",
    )
    assert (ran.status, ran.err) == (0, "")
    assert names(api) == each_once("parent", "child0", "child1")
    assert left(tmp_path / "spool") == []


# ── Two trackers ──


def test_a_tracker_that_is_replaced_leaves_its_file_to_the_new_one(api, gate, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ADOPT", 0.1)
    folder = tmp_path / "spool"
    journy_track.configure("another-key", base_url=api.url, spool=folder, http_client=gate)
    for number in range(20):
        journy_track.track(f"old_{number}", user="u1")
    assert journy_track.flush(10)
    tracker = journy_track.configure("a-key", base_url=api.url, spool=folder)
    for number in range(20):
        journy_track.track(f"new_{number}", user="u1")
    assert journy_track.flush(30, delivered=True)
    assert names(api) == each_once("new")
    assert len(list(folder.glob("*.spool"))) == 2
    gate.opened.set()
    api.wait_for(lambda api: len(names(api)) + len(gate.bodies) >= 40, 30)
    assert journy_track.flush(30, delivered=True)
    assert names(api) + sent(gate) == each_once("old", "new")
    assert tracker.shutdown(10)
    assert left(folder) == []


def sent(gate) -> Counter[str]:
    return Counter(json.loads(body)["name"] for body in gate.bodies)


def test_the_file_of_a_living_tracker_is_not_taken_by_another_one_of_its_process(api, gate, tmp_path):
    one = journy_track.Tracker("another-key", base_url=api.url, spool=tmp_path, http_client=gate)
    one.track("of_one", user="u1")
    assert one.flush(10)
    (path,) = tmp_path.glob("*.spool")
    two = journy_track.Tracker("a-key", base_url=api.url, spool=tmp_path)
    two.track("of_two", user="u1")
    assert two.flush(30, delivered=True)
    assert names(api) == Counter(["of_two"])
    looking = SpoolFile(path)
    assert looking.waiting() == 1
    looking.close()
    gate.opened.set()
    assert one.shutdown(10)
    assert two.shutdown(10)
    assert left(tmp_path) == []
