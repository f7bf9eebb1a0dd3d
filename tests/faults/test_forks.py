"""Forks at bad moments: whatever the library's threads were doing, the child starts clean and never blocks."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

START = """
import faulthandler, os, sys, threading, warnings
import journy_track
from journy_track import HttpResponse

faulthandler.dump_traceback_later(60, exit=True)
warnings.simplefilter("ignore", DeprecationWarning)
tracker = journy_track.configure(base_url=sys.argv[1], shutdown_timeout=20)

def a_child(work):
    # Forks, and does work in the child, whose exit status is 0 when all went well.
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child

def in_a_child(work):
    return os.waitpid(a_child(work), 0)[1]

def captures():
    journy_track.track("childs", user="u1")
    assert tracker.flush(20)
    stats = tracker.stats()
    assert (stats.captured, stats.delivered) == (1, 1), stats
"""


@pytest.fixture
def run(api, run_program, canary, seen):
    """Runs a program with the key that must not appear. Returns what it printed and the names of arrived events."""

    def start(source: str) -> tuple[str, list[str]]:
        done = run_program(START + source, api.url, JOURNY_API_KEY=canary, timeout=90)
        seen(done)
        # On a busy machine, an item may wait so long that this is logged.
        errors = [line for line in done.err.splitlines() if "items have been waiting for " not in line]
        assert (done.status, errors) == (0, [])
        return done.out, sorted(event.name for event in api.events)

    return start


AT_EVERY_LINE = """
class Http:
    def send(self, request):
        return HttpResponse(201, {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}, b"")
    def close(self): pass

tracker = journy_track.Tracker(http_client=Http(), shutdown_timeout=20)

def captures():
    tracker.track("childs", user="u1")
    assert tracker.flush(20)
    stats = tracker.stats()
    assert (stats.captured, stats.delivered) == (1, 1), stats

paused, go_on, lines = threading.Semaphore(0), threading.Semaphore(0), set()
here = []

def trace(frame, event, _):
    # Each thread of ours stops before each line that it comes to for the first time.
    if "journy_track" not in frame.f_code.co_filename:
        return None
    place = (frame.f_code.co_filename, frame.f_lineno)
    if event == "line" and place not in lines and threading.current_thread().name.startswith("journy_track"):
        lines.add(place)
        here.append(place)
        paused.release()
        go_on.acquire()
    return trace

threading.settrace(trace)
tracker.track("parents", {"plan": "pro"}, user="u1")
tracker.upsert_user(user="u1", plan="pro")
tracker.upsert_user(user="u1", plan="free")
children = []

def look_after(children):
    child, place = children.pop(0)
    assert os.waitpid(child, 0)[1] == 0, place

while paused.acquire(timeout=0.5):
    threading.settrace(None)
    children.append((a_child(captures), here[-1]))
    threading.settrace(trace)
    go_on.release()
    if len(children) == 8:
        look_after(children)
while children:
    look_after(children)
threading.settrace(None)
assert tracker.flush(20)
stats = tracker.stats()
assert stats.captured == 3 == stats.delivered + stats.coalesced, stats
print(len(lines))
"""


def test_a_fork_while_the_worker_is_at_any_of_its_lines_leaves_a_child_that_delivers(run):
    # Catches: a lock of the worker, the ledger or a sender that the child inherits; a queue that both of them send.
    out, _ = run(AT_EVERY_LINE)
    assert int(out) > 100, out


def test_a_fork_while_the_connections_are_locked_leaves_a_child_that_delivers(run):
    # Catches: a child that uses or closes its parent's HTTP client.
    _, names = run("""
journy_track.track("parents", user="u1")
assert tracker.flush(20)
http = tracker._pipeline().dispatcher.ways[0].transport._calls._http._client()
held, done = threading.Event(), threading.Event()
def hold():
    with http._pools[os.getpid()]._lock:
        held.set()
        done.wait(60)
thread = threading.Thread(target=hold)
thread.start()
assert held.wait(20)
assert in_a_child(captures) == 0
done.set()
thread.join()
journy_track.track("parents", user="u1")
assert tracker.flush(20)
""")
    assert names == ["childs", "parents", "parents"]


def test_eight_threads_of_a_child_that_come_first_share_one_engine(run):
    # Catches: a check of the process ID that is not atomic with what follows: two queues, one of which is forgotten.
    _, names = run("""
journy_track.track("parents", user="u1")
assert tracker.flush(20)
def captures():
    start = threading.Barrier(8)
    def capture(number):
        start.wait(20)
        for _ in range(5):
            journy_track.track("childs", user=f"u{number}")
    threads = [threading.Thread(target=capture, args=(number,)) for number in range(8)]
    for thread in threads: thread.start()
    workers = lambda: [t for t in threading.enumerate() if t.name == "journy_track"]
    for thread in threads: thread.join()
    assert len(workers()) == 1, workers()
    assert tracker.flush(20)
    assert tracker.stats().delivered == tracker.stats().captured == 40, tracker.stats()
for _ in range(5):
    assert in_a_child(captures) == 0
""")
    assert names == ["childs"] * 200 + ["parents"]


def test_a_hook_that_forks_harms_nobody(run):
    # Catches: a child of the worker's own thread that continues with its parent's item.
    _, names = run("""
def scrub(item):
    def captures():
        tracker.track("in_a_hook", user="u1")
        assert not tracker.flush(5)
        assert tracker.stats().dropped == {"own_code": 1}, tracker.stats()
    assert in_a_child(captures) == 0
    return item
tracker = journy_track.Tracker(base_url=sys.argv[1], shutdown_timeout=20, before_send=scrub)
tracker.track("parents", user="u1")
assert tracker.flush(20)
assert tracker.stats().delivered == 1, tracker.stats()
""")
    assert names == ["parents"]


def test_many_trackers_register_one_hook_each_way(run):
    # Catches: hooks that are registered for each tracker, although they can never be removed.
    out, _ = run("""
from journy_track import _process
import atexit
calls = []
_process._registered = False
os.register_at_fork = lambda **hooks: calls.append("fork")
atexit.register = lambda function: calls.append("exit")
for _ in range(100):
    journy_track.Tracker(base_url=sys.argv[1])
print(calls)
""")
    assert out == "['exit']\n"


def test_a_fork_while_a_thread_configures_leaves_a_child_that_configures_too(run_program):
    # Catches: a child that waits forever for a lock held by a thread that does not exist in the child.
    done = run_program("""
import faulthandler, os, threading, warnings
import journy_track
from journy_track import Tracker

faulthandler.dump_traceback_later(20, exit=True)
warnings.simplefilter("ignore", DeprecationWarning)
begun, forking = threading.Event(), threading.Event()
made = Tracker.of

def slow(config):
    if not forking.is_set():
        begun.set()
        assert forking.wait(10)
    return made(config)

Tracker.of = slow
os.register_at_fork(before=forking.set)  # registered last, called first
configuring = threading.Thread(target=lambda: journy_track.configure("a-key"))
configuring.start()
assert begun.wait(10)
child = os.fork()
if not child:
    assert journy_track.configure("another-key", base_url="http://127.0.0.1:9") is journy_track.get_tracker()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
configuring.join()
""")
    assert done.status == 0, done.err


def test_a_fork_while_something_is_imported_late_leaves_a_child_that_imports_it_too(run_program):
    # Catches: a child that waits forever for a module that a thread missing in the child was importing.
    done = run_program("""
import faulthandler, functools, importlib.abc, os, sys, threading, warnings
import journy_track

faulthandler.dump_traceback_later(20, exit=True)
warnings.simplefilter("ignore", DeprecationWarning)
begun, forking = threading.Event(), threading.Event()

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "wrapt" and not forking.is_set():
            begun.set()
            assert forking.wait(10)

sys.meta_path.insert(0, Slow())
os.register_at_fork(before=forking.set)  # registered last, called first
importing = threading.Thread(target=lambda: journy_track.track_event("signed_in")(functools.partial(int)))
importing.start()
assert begun.wait(10)
child = os.fork()
if not child:
    assert journy_track.track_event("signed_in")(functools.partial(int, 7))() == 7
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
importing.join()
""")
    assert done.status == 0, done.err


def test_a_spawned_child_that_was_not_configured_warns_once_and_goes_on(run_program, api, canary, seen, tmp_path):
    # Catches: a verb that raises, or that warns on each call, where configure() is never called.
    (tmp_path / "program.py").write_text("""
import multiprocessing, sys
import journy_track

def capture():
    for _ in range(3):
        journy_track.track("childs", user="u1")
    assert journy_track.flush(5)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=capture)
    child.start()
    child.join()
    sys.exit(child.exitcode)
""")
    launch = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
    done = run_program(launch, str(tmp_path / "program.py"), api.url, JOURNY_API_KEY=canary, PYTHONPATH=".")
    seen(done)
    assert done.status == 0
    assert done.err.count("nothing is captured before journy_track.configure()") == 1
    assert not api.requests


def test_a_child_takes_no_lock_of_a_dict_that_its_parents_threads_use(api, run_program):
    # Catches: reading the parent's dict. On a free-threaded Python it has a lock, and a thread that does not exist in
    # the child may hold it forever.
    done = run_program(
        START
        + """
class OfTheParent(dict):
    def get(self, *arguments):
        assert os.getpid() == parent
        return super().get(*arguments)
    setdefault = __getitem__ = __iter__ = values = get

parent = os.getpid()
tracker._pipelines = OfTheParent(tracker._pipelines)
assert in_a_child(captures) == 0
""",
        api.url,
    )
    assert done.status == 0, done.err
