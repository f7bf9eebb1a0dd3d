"""Children of multiprocessing, where atexit does not run: what they captured is still delivered."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

#: A file, since a child that is not forked imports it again.
PROGRAM = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import journy_track

journy_track.configure("a-key", base_url=os.environ["API_URL"], shutdown_timeout=20)

def capture(number):
    journy_track.track(f"event_{number:02}", user="u1")

def capture_all():
    for number in range(20):
        capture(number)

def in_a_process(context):
    child = context.Process(target=capture_all)
    child.start()
    child.join()
    assert child.exitcode == 0, child.exitcode

def in_a_grandchild(context):
    child = context.Process(target=in_a_process, args=(context,))
    child.start()
    child.join()
    assert child.exitcode == 0, child.exitcode

def in_a_failing_process(context):
    child = context.Process(target=fail)
    child.start()
    child.join()
    assert child.exitcode == 1, child.exitcode

def fail():
    capture_all()
    sys.exit(1)

def in_a_pool(context):
    pool = context.Pool(2)
    pool.map(capture, range(20), chunksize=1)
    pool.close()
    pool.join()

def in_an_executor(context):
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        list(executor.map(capture, range(20)))

def after_the_parents_own(context):
    for number in range(20, 25):
        capture(number)
    in_a_process(context)

if __name__ == "__main__":
    globals()[sys.argv[1]](multiprocessing.get_context(sys.argv[2]))
"""
METHODS = ["fork", "forkserver", "spawn"]


@pytest.fixture
def run(api, run_program, tmp_path):
    """Run a function of the program with one start method for children, and return the names that arrived."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def start(function: str, method: str) -> list[str]:
        # In a separate process: a child can import a file, but not what was passed with -c.
        launch = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
        program = str(tmp_path / "program.py")
        done = run_program(
            launch, program, function, method, API_URL=api.url, PYTHONPATH=".", PYTHONWARNINGS="ignore"
        )
        assert (done.status, done.err) == (0, "")
        return sorted(event.name for event in api.events)

    return start


TWENTY = [f"event_{number:02}" for number in range(20)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "function",
    ["in_a_process", "in_a_grandchild", "in_a_failing_process", "in_a_pool", "in_an_executor"],
)
def test_what_a_child_captured_leaves_when_it_ends(run, function, method):
    # Catches: relying on atexit alone, which does not run in a child of multiprocessing.
    assert run(function, method) == TWENTY


@pytest.mark.parametrize("method", METHODS)
def test_a_child_of_a_parent_that_delivers_sends_its_own_alone(run, method):
    # Catches: a queue that a forked child takes over from its parent.
    assert run("after_the_parents_own", method) == TWENTY + [f"event_{number}" for number in range(20, 25)]


@pytest.mark.parametrize("method", METHODS)
def test_an_initializer_configures_children_that_do_not_inherit_the_tracker(api, run_program, tmp_path, method):
    (tmp_path / "program.py").write_text("""
import multiprocessing, sys
import journy_track

def capture(number):
    journy_track.track(f"event_{number:02}", user="u1")

if __name__ == "__main__":
    pool = multiprocessing.get_context(sys.argv[1]).Pool(2, initializer=journy_track.configure)
    pool.map(capture, range(20), chunksize=1)
    pool.close()
    pool.join()
""")
    launch = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
    done = run_program(launch, str(tmp_path / "program.py"), method, JOURNY_BASE_URL=api.url, PYTHONPATH=".")
    assert (done.status, done.err) == (0, "")
    assert sorted(event.name for event in api.events) == TWENTY
