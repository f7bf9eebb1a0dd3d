"""The simulated Windows behaves like Windows, so the results of the other tests here are meaningful."""

from __future__ import annotations

import pytest

LIBRARY = """
    import sys
    from journy_track._stores.sqlite import lock
    assert sys.platform == "linux"
    assert lock.sys.platform == "win32"
    for name in ("fork", "register_at_fork", "geteuid", "O_CLOEXEC", "O_NOFOLLOW"):
        assert not hasattr(lock.os, name), name
    from journy_track.cli.importing import process
    assert not hasattr(process.signal, "SIGHUP")
    assert process.signal.SIGBREAK in process.signal.valid_signals()
    try:
        exec("import fcntl", vars(process))
    except ModuleNotFoundError:
        print("done")
"""

FILES = """
    import os, sqlite3, subprocess, sys
    from pathlib import Path

    def refused(do, *arguments):
        try:
            do(*arguments)
        except PermissionError:
            return True
        return False

    folder = Path(sys.argv[1])
    one, other, database = folder / "one", folder / "other", folder / "database"
    other.touch()
    with one.open("w") as file:
        assert refused(one.unlink) and refused(os.remove, one)
        assert refused(one.rename, folder / "new") and refused(os.replace, other, one)
    one.unlink()
    one.touch()
    try:
        one.rename(other)
    except FileExistsError:
        one.replace(other)
    connection = sqlite3.connect(database)
    assert refused(database.unlink)
    connection.close()
    database.unlink()
    hold = [sys.executable, "-c", "import sys; file = open(sys.argv[1]); print(1, flush=True); input()", other]
    child = subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    assert refused(other.unlink)
    child.communicate(b"\\n")
    other.unlink()
    assert refused(os.open, folder, os.O_RDONLY)
    try:
        open(folder / "a:b", "w")
    except OSError:
        print("done")
"""

PROCESSES = """
    import multiprocessing, os
    assert multiprocessing.get_all_start_methods() == ["spawn"]
    assert multiprocessing.get_start_method() == "spawn"
    try:
        os.fork()
    except OSError:
        print("done")
"""

LOCKS = """
    import os, sys
    sys.path.insert(0, os.environ["PYTHONPATH"])
    from sitecustomize import VIEWS
    msvcrt, path = VIEWS["msvcrt"], sys.argv[1] + "/file"
    one, other = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    msvcrt.locking(one, msvcrt.LK_NBLCK, 1)
    try:
        msvcrt.locking(other, msvcrt.LK_NBLCK, 1)
    except PermissionError:
        os.close(one)
    msvcrt.locking(other, msvcrt.LK_NBLCK, 1)
    print("done")
"""


@pytest.mark.parametrize("what", [LIBRARY, FILES, PROCESSES, LOCKS])
def test_the_stand_in_for_windows_refuses_what_windows_refuses(windows, run_program, tmp_path, what):
    ran = run_program(what, str(tmp_path), **windows)
    assert (ran.status, ran.out, ran.err) == (0, "done\n", "")
