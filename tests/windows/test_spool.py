"""The spool when an open file can be neither removed nor renamed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The spool's own tests, except those of features that Windows lacks.
ITS_OWN = ("spool/test_file.py", "spool/test_folder.py", "spool/test_source.py", "delivery/test_spooling.py", "state")

CONFIGURE = """
    import json, logging, os, sys
    import journy_track

    journy_track.configure("test-key-0123456789", base_url=os.environ["API"], spool=os.environ["FOLDER"])
"""

ONCE = (
    CONFIGURE
    + """
    for number in range(3):
        journy_track.track(f"{sys.argv[1]}_{number}", user="u1")
    assert journy_track.flush(30)
    journy_track.shutdown(30)
    stats = journy_track.stats()
    print(json.dumps([stats.captured, stats.delivered, dict(stats.dropped)]))
"""
)

KILLED = (
    CONFIGURE
    + """
    for number in range(3):
        journy_track.track(f"killed_{number}", user="u1")
    from time import monotonic, sleep
    deadline = monotonic() + 30
    while journy_track.stats().spooled + journy_track.stats().in_flight < 3 and monotonic() < deadline:
        sleep(0.01)
    print("stored", flush=True)
    input()
"""
)


@pytest.fixture
def environment(windows, api, tmp_path):
    return {**windows, "API": api.url, "FOLDER": str(tmp_path / "spool")}


def left_in(tmp_path):
    return sorted(path.name for path in (tmp_path / "spool").iterdir())


def test_the_spool_works_after_a_clean_shutdown_and_leaves_nothing(run_program, environment, api, tmp_path):
    # Catches: the lock, which could not be removed while it was open, nor at the next start.
    for start in ("first", "second", "third"):
        ran = run_program(ONCE, start, **environment)
        assert (ran.status, ran.err) == (0, "")
        assert json.loads(ran.out) == [3, 3, {}]
        assert left_in(tmp_path) == []
    assert len(api.events) == 9


def test_a_lock_that_an_earlier_version_left_is_removed(run_program, environment, api, tmp_path):
    (tmp_path / "spool").mkdir(mode=0o700)
    (tmp_path / "spool" / "20260517T093000-1-0a0a0a0a.spool.lock").touch()
    ran = run_program(ONCE, "again", **environment)
    assert (ran.status, ran.err) == (0, "")
    assert left_in(tmp_path) == []


def test_what_a_killed_process_left_is_delivered_by_the_next_one(
    run_program, start_program, environment, api, tmp_path
):
    api.answer_next(count=1000, containing="killed_")
    killed = start_program(KILLED, **environment)
    assert killed.stdout.readline() == "stored\n", killed.communicate()
    killed.kill()
    killed.wait()
    assert [name.partition(".spool")[2] for name in left_in(tmp_path)] == ["", "-shm", "-wal", ".lock"]
    api.reset()
    ran = run_program(ONCE, "next", **environment)
    assert (ran.status, ran.err) == (0, "")
    assert left_in(tmp_path) == []
    assert Counter(event.name for event in api.events) == {
        f"{start}_{number}": 1 for start in ("killed", "next") for number in range(3)
    }


def test_two_processes_share_a_folder_and_neither_touches_what_the_other_owns(
    run_program, start_program, environment, api, tmp_path
):
    api.answer_next(count=1000, containing="killed_")
    living = start_program(KILLED, **environment)
    assert living.stdout.readline() == "stored\n", living.communicate()
    ran = run_program(ONCE, "beside", **environment)
    assert (ran.status, ran.err) == (0, "")
    assert len(left_in(tmp_path)) == 4
    assert [event.name for event in api.events] == ["beside_0", "beside_1", "beside_2"]
    api.reset()
    living.communicate("\n", timeout=60)
    assert living.returncode == 0
    assert [event.name for event in api.events] == ["killed_0", "killed_1", "killed_2"]
    assert left_in(tmp_path) == []


def test_a_file_that_somebody_looks_at_stays_and_the_spool_goes_on(
    run_program, start_program, environment, api, tmp_path
):
    look = """
        import os, sys, time
        from pathlib import Path
        folder, deadline = Path(os.environ["FOLDER"]), time.monotonic() + 30
        while not (found := list(folder.glob("*.spool"))) and time.monotonic() < deadline:
            time.sleep(0.01)
        file = open(found[0], "rb")
        print("looks", flush=True)
        input()
    """
    program = (
        CONFIGURE
        + """
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(30)
    print("delivered", flush=True)
    input()
    journy_track.shutdown(30)
    """
    )
    tracked, looking = start_program(program, **environment), start_program(look, **environment)
    assert tracked.stdout.readline() == "delivered\n", tracked.communicate()
    assert looking.stdout.readline() == "looks\n", looking.communicate()
    _, err = tracked.communicate("\n", timeout=60)
    assert (tracked.returncode, err) == (0, "")
    assert len(list((tmp_path / "spool").glob("*.spool"))) == 1
    looking.communicate("\n", timeout=60)
    ran = run_program(ONCE, "again", **environment)
    assert (ran.status, ran.err) == (0, "")
    assert left_in(tmp_path) == []


def test_a_file_that_is_no_spool_is_set_aside(run_program, environment, api, tmp_path):
    (tmp_path / "spool").mkdir(mode=0o700)
    (tmp_path / "spool" / "20260517T093000-1-0a0a0a0a.spool").write_bytes(b"not a database" * 100)
    ran = run_program(ONCE, "again", **environment)
    assert ran.status == 0
    assert ran.err.count("one file of the spool is left alone") == 1
    assert [name.partition("-")[0] for name in left_in(tmp_path)] == ["20260517T093000"]
    assert ".spool.corrupt-" in left_in(tmp_path)[0]


def test_dead_letters_are_kept_listed_and_removed(run_program, environment, api, tmp_path):
    api.answer_next(400)
    ran = run_program(ONCE, "first", **environment)
    assert (ran.status, json.loads(ran.out)) == (0, [3, 2, {}])
    command = "import sys; from journy_track.cli import main; sys.argv[0] = 'journy-track'; main()"
    folder = str(tmp_path / "spool")
    listed = run_program(command, "spool", "export", folder, **environment)
    assert listed.status == 0, listed.err
    assert json.loads(listed.out)["status"] == 400
    again = run_program(command, "spool", "retry", folder, "--json", **environment)
    assert (again.status, again.out) == (0, '{"retried": 1}\n'), again.err
    ran = run_program(ONCE, "again", **environment)
    assert (ran.status, ran.err) == (0, "")
    assert left_in(tmp_path) == []
    assert Counter(event.name for event in api.events)["first_0"] == 1


@pytest.mark.parametrize("spawned", ["Process", "Pool"])
def test_children_that_are_spawned_have_files_of_their_own(run_program, environment, api, tmp_path, spawned):
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import json, multiprocessing, os
import journy_track

def work(number):
    journy_track.configure("test-key-0123456789", base_url=os.environ["API"], spool=os.environ["FOLDER"])
    journy_track.track(f"child_{{number}}", user="u1")
    assert journy_track.flush(30)

if __name__ == "__main__":
    if {spawned!r} == "Pool":
        with multiprocessing.Pool(2) as pool:
            pool.map(work, range(2))
            pool.close()
            pool.join()
    else:
        children = [multiprocessing.Process(target=work, args=(number,)) for number in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
"""
    )
    run_script = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, sys.argv[1]]).returncode)"
    ran = run_program(run_script, str(script), **environment)
    assert (ran.status, ran.err) == (0, "")
    assert sorted(event.name for event in api.events) == ["child_0", "child_1"]
    assert left_in(tmp_path) == []


def test_the_tests_of_the_spool_itself_pass(windows, tmp_path):
    environment = {
        **windows,
        "PATH": "/usr/bin:/bin",
        "PYTHONWARNDEFAULTENCODING": "",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # Plain: otherwise pytest loads the library itself to rewrite its assertions, if its plugin is installed.
    options = ["-q", "-p", "no:cacheprovider", "--assert", "plain", "-m", "not slow"]
    options += ["--basetemp", str(tmp_path / "its own")]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"tests/{name}" for name in ITS_OWN)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        encoding="cp1252",
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout
