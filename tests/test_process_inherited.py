"""Children of multiprocessing that are not forked, the default on Linux since Python 3.14, inherit the settings."""

from __future__ import annotations

import importlib.util
import multiprocessing
import pickle
import sys

import pytest

import journy_track
from journy_track._model.children import _pickled, hand_over
from journy_track._model.config import Config
from journy_track._runtime import inherit

METHODS = [method for method in ("forkserver", "spawn") if method in multiprocessing.get_all_start_methods()]
#: A file, since a child imports it again: what is below the last line runs in the parent only.
PROGRAM = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import journy_track

class Scrub:
    def __init__(self, **more):
        self.__dict__.update(more)

    def __call__(self, item):
        return item.with_metadata({"by": "its hook"}) if hasattr(item, "with_metadata") else item

def capture(number):
    journy_track.track(f"event_{number}", user="u1")

def in_a_process(context, run=capture, argument=0):
    child = context.Process(target=run, args=(argument,))
    child.start()
    child.join()
    assert child.exitcode == 0, child.exitcode

def in_a_grandchild(context):
    in_a_process(context, in_a_process, context)

def in_a_pool(context):
    with context.Pool(2) as pool:
        pool.map(capture, range(4), chunksize=1)
        pool.close()
        pool.join()

def in_an_executor(context):
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        list(executor.map(capture, range(4)))

def in_loky(context):
    from loky import ProcessPoolExecutor as Loky
    executor = Loky(2)
    list(executor.map(capture, range(4)))
    executor.shutdown()

def where_it_cannot(context):
    in_a_process(context)

def show(context):
    in_a_process(context, print_what_is_seen)

def print_what_is_seen(_):
    with open("/proc/self/cmdline") as arguments, open("/proc/self/environ") as environment:
        seen = arguments.read() + environment.read()
    print(journy_track.get_tracker().config.api_key.reveal() in seen, journy_track.get_tracker())

def itself(context):
    in_a_process(context, configure_itself)

def configure_itself(_):
    journy_track.configure("another-key", base_url=os.environ["API_URL"], metadata={"by": "itself"})
    capture(0)

if __name__ == "__main__":
    hook = Scrub(function=lambda: None) if sys.argv[1] == "where_it_cannot" else Scrub()
    if sys.argv[1] == "in_loky":  # which cannot import the class: its children have another __main__
        hook = None
    journy_track.configure("a-key-of-its-own", base_url=os.environ["API_URL"], shutdown_timeout=20, before_send=hook)
    globals()[sys.argv[1]](multiprocessing.get_context(sys.argv[2]))
"""


@pytest.fixture
def run(api, run_program, tmp_path):
    """Run one function of the program with one start method for its children."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def start(function: str, method: str):
        launch = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
        program = str(tmp_path / "program.py")
        return run_program(
            launch, program, function, method, API_URL=api.url, PYTHONPATH=".", PYTHONWARNINGS="ignore"
        )

    return start


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("function", "count"),
    [("in_a_process", 1), ("in_a_grandchild", 1), ("in_a_pool", 4), ("in_an_executor", 4)],
)
def test_what_only_the_parent_has_configured_holds_in_its_children(run, api, function, count, method):
    # Catches: children that deliver 4 of 4 on Python 3.13, where they are forked, and 0 of 4 on 3.14.
    done = run(function, method)
    assert (done.status, done.err) == (0, "")
    assert sorted(event.name for event in api.events) == [f"event_{number}" for number in range(count)]
    assert {event.metadata["by"] for event in api.events} == {"its hook"}


@pytest.mark.skipif(importlib.util.find_spec("loky") is None, reason="without loky")
def test_so_it_does_in_the_processes_of_loky(run, api):
    done = run("in_loky", "spawn")
    assert (done.status, done.err) == (0, "")
    assert sorted(event.name for event in api.events) == [f"event_{number}" for number in range(4)]


@pytest.mark.parametrize("method", METHODS)
def test_a_child_that_did_not_get_them_logs_once_what_to_do(run, api, method):
    done = run("where_it_cannot", method)
    assert done.status == 0
    assert done.err.count("journy_track") == 2, done.err  # the prefix of the line, and what to call
    assert "its parent: before_send cannot be pickled. Call journy_track.configure() in the child" in done.err
    assert not api.events


@pytest.mark.parametrize("method", METHODS)
def test_a_child_may_configure_itself(run, api, method):
    done = run("itself", method)
    assert (done.status, done.err) == (0, "")
    assert [event.metadata for event in api.events] == [{"by": "itself"}]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("method", METHODS)
def test_the_key_is_in_no_argument_and_no_environment_of_a_child(run, api, method):
    done = run("show", method)
    assert done.out == f"False <journy_track.Tracker {api.url} enabled>\n", done.err


def test_the_settings_are_pickled_for_children_of_multiprocessing_alone(tracker):
    with pytest.raises(TypeError, match="only be pickled for multiprocessing's child processes"):
        pickle.dumps(multiprocessing.current_process()._config["journy_track"])


def test_a_process_that_is_nobodys_child_inherits_nothing():
    hand_over(None)
    assert not inherit()


def test_while_a_test_captures_its_children_get_nothing(tracker):
    with journy_track.testing.capture():
        assert "journy_track" not in multiprocessing.current_process()._config
    assert "journy_track" in multiprocessing.current_process()._config


@pytest.fixture
def as_child_with(monkeypatch):
    """Make this process look like a child of multiprocessing that was passed these bytes as its settings."""

    def pass_on(packed: bytes) -> None:
        monkeypatch.setattr(multiprocessing.process, "parent_process", multiprocessing.current_process)
        monkeypatch.setitem(multiprocessing.current_process()._config, "journy_track", packed)

    return pass_on


class ConfiguresWhenRead:
    """Pickles as a call of `configure()` and, unless *then* is `None`, of that as well."""

    def __init__(self, url: str, then: object) -> None:
        self.call = (configured_by_a_module, (url, then))

    def __reduce__(self):
        return self.call


def configured_by_a_module(url: str, then: object) -> object:
    journy_track.configure("a-key", base_url=url, metadata={"by": "itself"})
    if then is None:
        raise LookupError("a module that fails")
    return then


@pytest.mark.parametrize("fails", [False, True], ids=["", "and that fails"])
def test_a_configure_in_a_module_that_is_imported_with_the_settings_wins(api, as_child_with, caplog, fails):
    read = None if fails else Config.load("of-its-parent", {"base_url": api.url, "metadata": {"by": "its parent"}})
    passed = None if read is None else (None, read)
    as_child_with(_pickled(ConfiguresWhenRead(api.url, passed)))
    journy_track.track("first", user="u1")
    journy_track.track("second", user="u1")
    assert journy_track.flush(5)
    assert [(event.name, event.metadata) for event in api.events] == [
        ("first", {"by": "itself"}),
        ("second", {"by": "itself"}),
    ]
    assert not caplog.records
