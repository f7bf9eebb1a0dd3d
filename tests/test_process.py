"""The end of a process, and forks, each tested in a separate process."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import threading
from time import monotonic

import pytest

import journy_track
from journy_track import HttpRequest, HttpResponse

from .conftest import PLENTY, Ran
from .timing import keeps_to

WAIT_UNTIL_STILL = """
import os, threading
from time import monotonic

def switches():
    others = set(os.listdir("/proc/self/task")) - {str(threading.get_native_id())}
    try:
        return {thread: open(f"/proc/self/task/{thread}/status").read().split("ctxt", 1)[1] for thread in others}
    except OSError:
        return None  # one ended meanwhile

def wait_until_still():
    # Nobody else has run between two looks: the kernel counts how often each thread does.
    deadline, look = monotonic() + 20, threading.Event()
    while (before := switches()) is None or look.wait(0.01) or switches() != before:
        assert monotonic() < deadline, before
"""
START = (
    WAIT_UNTIL_STILL
    + """
import atexit, os, sys, threading
import journy_track

tracker = journy_track.configure("a-key", base_url=sys.argv[1], shutdown_timeout=float(os.environ.get("WAIT", "5")))
"""
)
#: Prints the time when the exit begins and everything is in flight, so that startup time is not counted.
END_BEGINS = """
def end_begins(*trackers):
    deadline, look = monotonic() + 20, threading.Event()
    while not all(tracker.stats().in_flight for tracker in trackers):
        assert monotonic() < deadline
        look.wait(0.01)
    sys.stdout.write(str(monotonic()))

"""


def seconds_since(done: Ran) -> float:
    """Return how long the end of a program took, from the time that it printed."""
    return monotonic() - float(done.out)


def names(api) -> list[str]:
    return sorted(event.name for event in api.events)


# ── The end of the process ──


@pytest.mark.parametrize(
    ("end", "status"),
    [("pass", 0), ("raise ValueError('boom')", 1), ("sys.exit(3)", 3), ("os.kill(os.getpid(), 2)", None)],
    ids=["return", "exception", "sys.exit", "Ctrl-C"],
)
def test_what_is_queued_is_delivered_at_the_end(api, run_program, end, status):
    done = run_program(
        START + f"for number in range(20): journy_track.track(f'event_{{number:02}}', user='u1')\n{end}", api.url
    )
    assert names(api) == [f"event_{number:02}" for number in range(20)]
    assert status is None or done.status == status
    assert "journy_track" not in done.err.replace("import journy_track", "")


def test_the_end_waits_for_a_slow_answer(api, run_program):
    api.answer_next(None, delay=0.5)
    done = run_program(START + "journy_track.track('signed_in', user='u1')", api.url)
    assert (done.status, done.err, names(api)) == (0, "", ["signed_in"])


def test_an_end_with_nothing_to_deliver_is_immediate(run_program, hung_server):
    done = run_program(START + "assert tracker.flush(0)", hung_server)
    assert (done.status, done.err) == (0, "")
    assert done.seconds < 5


def test_the_end_waits_no_longer_than_asked_and_says_what_is_lost(hung_server, run_program):
    program = START + END_BEGINS + "for _ in range(5): tracker.track('signed_in', user='u1')\nend_begins(tracker)"

    def end() -> float:
        done = run_program(program, hung_server, WAIT="0.5")
        assert done.status == 0
        assert "5 items could not be delivered in the 0." in done.err
        return seconds_since(done)

    keeps_to(0.5, end, slack=2.5)  # a server that hangs would take 30 s


def test_the_end_of_many_trackers_with_spools_takes_one_time_budget(hung_server, run_program, tmp_path):
    program = """

folder = sys.argv[2]
trackers = [
    journy_track.Tracker(f"key-{number}", base_url=sys.argv[1], spool=f"{folder}/{number}", shutdown_timeout=0.5)
    for number in range(20)
]
for tracker in trackers:
    tracker.track("signed_in", user="u1")
end_begins(*trackers)
"""

    def end() -> float:
        done = run_program(START + END_BEGINS + program, hung_server, str(tmp_path), WAIT="0.5")
        assert done.err == ""
        return seconds_since(done)

    keeps_to(0.5, end, slack=2.5)  # a fifth of a second for each would add 4 s


def test_the_end_of_two_trackers_takes_one_time_budget(hung_server, run_program):
    program = (
        START
        + END_BEGINS
        + "second = journy_track.Tracker('a-key', base_url=sys.argv[1], shutdown_timeout=3, metadata={'b': 1})\n"
        + "tracker.track('signed_in', user='u1')\n"
        + "second.track('signed_in', user='u1')\n"
        + "end_begins(tracker, second)"
    )

    def end() -> float:
        done = run_program(program, hung_server, WAIT="3")
        assert done.err.count("1 item could not be delivered") == 2
        return seconds_since(done)

    keeps_to(3, end, slack=2.5)  # one after the other would add 3 s


def test_what_other_exit_handlers_capture_is_delivered_when_they_were_registered_later(api, run_program):
    late = "atexit.register(lambda: journy_track.track('late', user='u1'))\n"
    done = run_program(START + late + "journy_track.track('signed_in', user='u1')", api.url)
    assert (done.err, names(api)) == ("", ["late", "signed_in"])


def test_what_is_captured_after_the_last_delivery_is_counted_and_harmless(api, run_program):
    program = """
import atexit

@atexit.register
def early():  # registered first, so run last
    journy_track.track("too_late", user="u1")
    print(dict(journy_track.stats().dropped), journy_track.stats().delivered)
"""
    done = run_program(program + START + "journy_track.track('signed_in', user='u1')", api.url)
    assert (done.status, names(api)) == (0, ["signed_in"])
    (line,) = done.err.splitlines()
    assert "captured after shutdown()" in line
    assert done.out == "{'closed': 1} 1\n"


def test_a_first_event_at_the_end_still_leaves(api, run_program):
    # Catches: an exit that waits for a thread. Python 3.12 does not start threads once exit handlers run.
    late = "atexit.register(lambda: journy_track.track('late', user='u1'))\n"
    done = run_program(START + late, api.url)
    assert (done.status, done.err, names(api)) == (0, "", ["late"])


def test_a_first_event_at_the_end_keeps_to_the_time_of_the_end(hung_server, run_program):
    late = "atexit.register(lambda: journy_track.track('late', user='u1'))\nsys.stdout.write(str(monotonic()))"

    def end() -> float:
        done = run_program(START + late, hung_server, WAIT="0.5")
        assert "1 item could not be delivered" in done.err
        return seconds_since(done)

    keeps_to(0.5, end, slack=2.5)  # a server that hangs would take 30 s


def test_flush_in_an_exit_handler_sends_by_itself_and_keeps_its_time(hung_server, run_program):
    late = (
        "from time import monotonic\n"
        "@atexit.register\n"
        "def late():\n"
        "    journy_track.track('late', user='u1')\n"
        "    began = monotonic()\n"
        "    print(journy_track.flush(0.3), monotonic() - began < 2.3)\n"
    )
    assert run_program(START + late, hung_server, WAIT="0").out == "False True\n"


def test_threads_that_outlive_the_main_thread_are_waited_for(api, run_program):
    late = (
        "def late():\n"
        "    threading.main_thread().join()\n"
        "    journy_track.track('late', user='u1')\n"
        "threading.Thread(target=late).start()\n"
    )
    done = run_program(START + late, api.url)
    assert (done.status, done.err, names(api)) == (0, "", ["late"])


def test_a_replaced_tracker_is_delivered_at_the_end_too(api, run_program):
    program = START + (
        "journy_track.track('old', user='u1')\n"
        "journy_track.configure('a-key', base_url=sys.argv[1], metadata={'b': 1})\n"
        "journy_track.track('new', user='u1')\n"
    )
    run_program(program, api.url)
    assert names(api) == ["new", "old"]


# Takes longer than shutdown waits for a server that does not respond, but each response comes within that time.
STEADY = "for number in range(12): journy_track.track(f'event_{number:02}', user='u1')\n"


def test_the_end_goes_on_while_something_is_delivered(api, run_program):
    api.answer_next(None, delay=0.2, count=12)
    done = run_program(START + STEADY, api.url, WAIT="1")
    assert (done.status, done.err, len(api.events)) == (0, "", 12)


def test_the_end_of_a_server_goes_on_up_to_its_limit(api, run_program):
    api.answer_next(None, delay=0.2, count=12)
    handler = "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    program = START + handler + STEADY + "os.kill(os.getpid(), 15)"
    done = run_program(program, api.url, WAIT="0.5", JOURNY_SHUTDOWN_LIMIT="1")
    lost = 12 - len(api.events)
    assert 4 < lost < 12
    # The server may have accepted the request that was cut off.
    assert re.match(rf"journy_track: ({lost}|{lost + 1}) items could not be delivered in the ", done.err)


def test_with_a_spool_the_end_takes_a_fixed_time(api, run_program, tmp_path):
    # Nothing is lost: a deploy does not have to wait for a backlog.
    api.answer_next(None, delay=0.2, count=12)
    done = run_program(START + STEADY, api.url, WAIT="0.5", JOURNY_SPOOL=str(tmp_path))
    assert done.status == 0
    assert len(api.events) < 9
    done = run_program(START + "assert tracker.flush(20, delivered=True)", api.url, JOURNY_SPOOL=str(tmp_path))
    assert (done.status, set(names(api))) == (0, {f"event_{number:02}" for number in range(12)})


@pytest.mark.slow
def test_what_is_on_its_way_when_the_time_is_over_is_counted_by_what_came_of_it():
    class Late:
        """Responds shortly after its timeout has passed."""

        def send(self, request: HttpRequest) -> HttpResponse:
            threading.Event().wait(0.55)
            return HttpResponse(201, PLENTY, b'{"meta": {"requestId": "r1"}}')

        def close(self) -> None: ...

    def counts() -> tuple[int, dict[str, int]]:
        tracker = journy_track.Tracker("a-key", http_client=Late())
        tracker.track("signed_in", user="u1")
        tracker.shutdown(0.5)
        return tracker.stats().delivered, dict(tracker.stats().dropped)

    assert (1, {}) in (counts() for _ in range(5))  # a busy machine may miss the grace period


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="Python 3.12 starts no thread once the main one has ended"
)
def test_threads_for_what_waits_are_started_before_none_can_be(api, run_program):
    # Some Pythons do not start threads once exit handlers run: one connection would take 4 s.
    api.answer_next(None, delay=0.2, count=20)
    program = START + (
        "began = monotonic()\n"
        "atexit.register(lambda: print(len([t for t in threading.enumerate() if 'sender' in t.name])))\n"
        "for number in range(20): journy_track.track('signed_in', user=f'u{number}')\n"
    )
    done = run_program(program, api.url)
    assert (done.status, done.out.strip(), len(api.events)) == (0, "8", 20)


# ── On a terminal ──


TAKE_THE_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"


def on_a_terminal(source: str, url: str, *, press: bytes = b"", after: bytes = b"to deliver") -> tuple[str, int]:
    """Return what a user sees of the program's stderr, and its status. Types *press* when *after* appears."""
    master, slave = pytest.importorskip("pty", reason="needs a pseudo terminal, as on Unix").openpty()
    environment = {**os.environ, "WAIT": "30"}
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE_THE_TERMINAL + source, url],
        stdin=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    seen, deadline = b"", monotonic() + 60
    try:
        while monotonic() < deadline:
            if select.select([master], [], [], 0.5)[0]:
                try:
                    part = os.read(master, 4096)
                except OSError:  # the other end is closed
                    break
                seen += part
                if press and after in seen:
                    os.write(master, press)
                    press = b""
        return seen.decode(), process.wait(10)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.slow
def test_a_terminal_shows_what_the_end_waits_for(api):
    api.answer_next(None, delay=0.4, count=9)
    program = START + "for _ in range(9): journy_track.track('signed_in', user='u1')\n"
    seen, status = on_a_terminal(program, api.url)
    assert status == 0
    assert re.search(r"journy_track: \d items? to deliver, about \d s\. Ctrl-C ends it\.", seen)
    assert "\x1b" not in seen  # a Windows console would display it
    assert re.search(r"\r +\r$", seen)
    assert len(api.events) == 9


@pytest.mark.slow
def test_ctrl_c_ends_the_end(hung_server):
    program = START + "for _ in range(3): journy_track.track('signed_in', user='u1')\n"
    began = monotonic()
    seen, status = on_a_terminal(program, hung_server, press=b"\x03")
    assert monotonic() - began < 25
    assert status == 0
    assert "3 items to deliver. Ctrl-C ends it." in seen
    assert "Traceback" not in seen
    waited = re.search(r"3 items could not be delivered in the ([\d.]+) s that shutdown waited", seen)
    assert waited is not None
    assert float(waited[1]) >= 2  # from the start of the exit, and not from Ctrl-C: the line came after two seconds


# ── Forks ──

FORK = {
    "os.fork": "child = os.fork()",
    # uWSGI forks like this: no hook runs, and the worker's thread looks alive in the child. The other threads must be
    # idle, in a request or waiting for work: CPython itself may hang after such a fork when they want its lock.
    "without hooks": "import ctypes; wait_until_still(); child = ctypes.PyDLL(None).fork()",
}
# A fork without hooks must not happen while the worker imports requests: only a hook could detect that.
WARM = START + "journy_track.track('first', user='u1')\nassert tracker.flush(10)\n"


@pytest.fixture(params=FORK)
def fork(request) -> str:
    return f"import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n{FORK[request.param]}\n"


END_OF_BOTH = "if child: assert os.waitpid(child, 0)[1] == 0\n"


def test_a_forked_child_sends_its_own_events_and_nothing_of_its_parents(api, run_program, fork):
    # Catches: a fork hook without a check of the process ID: uWSGI does not run hooks.
    api.answer_next(None, delay=0.1, count=11)
    program = WARM + (
        "for number in range(10): journy_track.track('parents', user='u1')\n"
        + fork
        + "me = 'parents' if child else 'childs'\n"
        "for number in range(10): journy_track.track(me, user='u1')\n"
        "stats = tracker.stats()\n"
        "assert stats.captured == (21 if child else 10), stats\n" + END_OF_BOTH
    )
    done = run_program(program, api.url)
    assert (done.status, done.err) == (0, "")
    assert names(api) == ["childs"] * 10 + ["first"] + ["parents"] * 20


def test_a_child_can_flush_and_shut_down_by_itself(api, run_program, fork):
    program = WARM + (
        fork + "if not child:\n"
        "    journy_track.track('childs', user='u1')\n"
        "    assert tracker.flush(5)\n"
        "    assert tracker.shutdown(5)\n"
        "    os._exit(0)\n"
        "journy_track.track('after', user='u1')\n"
        "assert tracker.flush(5) and not tracker.closed\n" + END_OF_BOTH
    )
    done = run_program(program, api.url)
    assert (done.status, done.err, names(api)) == (0, "", ["after", "childs", "first"])


def test_a_child_of_a_child_sends_its_own(api, run_program):
    program = START + (
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "journy_track.track('parents', user='u1')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    journy_track.track('childs', user='u1')\n"
        "    grandchild = os.fork()\n"
        "    if not grandchild: journy_track.track('grandchilds', user='u1')\n"
        "    else: assert os.waitpid(grandchild, 0)[1] == 0\n" + END_OF_BOTH
    )
    done = run_program(program, api.url)
    assert (done.status, done.err, names(api)) == (0, "", ["childs", "grandchilds", "parents"])


def test_forks_under_load_neither_hang_nor_double(api, run_program):
    program = WARM + (
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "stop = threading.Event()\n"
        "def capture():\n"
        "    while not stop.wait(0.0005): journy_track.track('parents', user='u1')\n"
        "threads = [threading.Thread(target=capture) for _ in range(2)]\n"
        "for thread in threads: thread.start()\n"
        "children = []\n"
        "for number in range(10):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        journy_track.track('childs', user='u1')\n"
        "        os._exit(0 if tracker.flush(20) and tracker.stats().captured == 1 else 1)\n"
        "    children.append(child)\n"
        "assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10\n"
        "stop.set()\n"
        "for thread in threads: thread.join()\n"
        "assert tracker.flush(30)\n"
        "print(tracker.stats().delivered)\n"
    )
    done = run_program(program, api.url, WAIT="20")
    assert (done.status, done.err) == (0, "")
    assert names(api).count("childs") == 10
    assert names(api).count("parents") + 1 == int(done.out)


def test_a_fork_that_comes_while_the_worker_imports_leaves_a_child_that_works(api, run_program):
    program = START + (
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "journy_track.track('parents', user='u1')\n"
        "while 'requests' not in sys.modules: pass\n"
        "child = os.fork()\n"
        "if not child: journy_track.track('childs', user='u1')\n" + END_OF_BOTH
    )
    done = run_program(program, api.url)
    assert (done.status, done.err, names(api)) == (0, "", ["childs", "parents"])


def test_no_thread_lives_before_the_first_event_so_that_a_fork_is_clean(api, run_program):
    # Catches: a worker that configure() starts: it does not survive in a preloaded server's workers.
    program = START + (
        "import warnings; warnings.simplefilter('error')\n"
        "child = os.fork()\n"
        "journy_track.track('parents' if child else 'childs', user='u1')\n" + END_OF_BOTH
    )
    done = run_program(program, api.url)
    assert (done.status, done.err, names(api)) == (0, "", ["childs", "parents"])


def test_the_identity_survives_a_fork(api, run_program, fork):
    program = START + (
        "with journy_track.user('u1'):\n"
        + "".join(f"    {line}\n" for line in fork.splitlines())
        + "    if not child: journy_track.track('childs')\n"
        + END_OF_BOTH
    )
    run_program(program, api.url)
    assert api.events[0].user == {"userId": "u1"}


# ── Processes that end without an exit ──


def test_a_forked_child_that_ends_without_exit_handlers_delivers_first(api, run_program, fork):
    program = (
        WARM
        + fork
        + (
            "if not child:\n"
            "    journy_track.track('job_done', user='u1')\n"
            "    os._exit(3)\n"
            "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n"
        )
    )
    done = run_program(program, api.url)
    assert (done.status, done.err, names(api)) == (0, "", ["first", "job_done"])


def test_such_a_child_waits_no_longer_than_the_shutdown_timeout(hung_server, run_program):
    program = START + (
        "child = os.fork()\n"
        "if not child:\n"
        "    journy_track.track('job_done', user='u1')\n"
        "    os._exit(3)\n"
        "began = monotonic()\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n"
        "print(monotonic() - began)\n"
    )
    keeps_to(0.5, lambda: float(run_program(program, hung_server, WAIT="0.5").out), slack=1.0)


@pytest.mark.parametrize(("capture", "wrap"), [(False, "1"), (True, "0")], ids=["nothing waits", "switched off"])
def test_an_end_without_exit_handlers_is_immediate(hung_server, run_program, capture, wrap):
    program = START + (
        "before = os._exit\n"
        "child = os.fork()\n"
        "if not child:\n"
        f"    if {capture}: journy_track.track('job_done', user='u1')\n"
        "    assert os._exit is before\n"
        "    os._exit(3)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n"
    )
    done = run_program(program, hung_server, WAIT="30", JOURNY_WRAP_OS_EXIT=wrap)
    assert (done.status, done.err) == (0, "")
    assert done.seconds < 20


def test_the_main_process_ends_as_it_asks_to(hung_server, run_program):
    done = run_program(START + "journy_track.track('a', user='u1'); os._exit(3)", hung_server, WAIT="30")
    assert done.status == 3
    assert done.seconds < 20
