"""Subinterpreters, which do not allow daemon threads: a flush delivers, and so does the interpreter's end."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 13) or sys.implementation.name != "cpython",
    reason="has no subinterpreters, or modules of its own break in them",
)

PROGRAM = """
import os, sys, warnings
warnings.simplefilter("ignore")
inside = '''
import warnings
warnings.simplefilter("ignore")  # modules of others cannot be loaded everywhere
import asyncio, journy_track

@journy_track.track_event("worked", user="u1")
def work(): ...

tracker = journy_track.configure("a-key", base_url={url!r}, shutdown_timeout=20)
for _ in range(3):
    work()
'''.format(url=os.environ["API_URL"]) + sys.argv[1]
try:
    from concurrent import interpreters
    interpreter = interpreters.create()
    interpreter.exec(inside)
    interpreter.close()
except ImportError:
    import _interpreters
    interpreter = _interpreters.create()
    problem = _interpreters.exec(interpreter, inside)
    assert problem is None, problem
    _interpreters.destroy(interpreter)
"""


@pytest.fixture
def run(api, run_program):
    def start(code: str) -> list[str]:
        done = run_program(PROGRAM, code, API_URL=api.url)
        assert done.status == 0, done.err
        assert done.err.count("no thread can deliver what is captured in this interpreter") == 1, done.err
        assert "Traceback" not in done.err
        assert [event.name for event in api.events] == ["worked"] * 3
        return done.out.split()

    return start


def test_their_end_delivers(run):
    assert run("") == []


def test_flush_delivers(run):
    assert run("print(journy_track.flush(20), tracker.stats().delivered)") == ["True", "3"]


def test_aflush_delivers(run):
    # Catches: waiting for the whole timeout for a thread that cannot be started.
    assert run("print(asyncio.run(journy_track.aflush(20)), tracker.stats().delivered)") == ["True", "3"]


def test_shutdown_delivers(run):
    assert run("print(journy_track.shutdown(20), tracker.stats().delivered)") == ["True", "3"]
