"""Threads and greenlets: they act for the user passed to them, never for the user who happened to start them."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context

import pytest

import journy_track
from journy_track._capture.threads import start_without_identity

theirs: ContextVar[str] = ContextVar("of the app", default="")


@pytest.fixture
def inheriting(monkeypatch) -> type[threading.Thread]:
    """A `threading.Thread` that copies the context of its starter, as in Python 3.14."""

    class Inheriting(threading.Thread):
        def start(self):
            self._inherited = copy_context()
            super().start()

        def run(self):
            self._inherited.run(super().run)

    monkeypatch.setattr(threading, "Thread", Inheriting)
    return Inheriting


def seen_in_a_thread(function) -> object:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(function()))
    thread.start()
    thread.join(20)
    [found] = seen
    return found


def test_a_thread_would_inherit_who_starts_it(inheriting, whoami):
    with journy_track.user("jane"):
        assert seen_in_a_thread(whoami) == "jane"


def test_a_thread_does_not_inherit_who_starts_it(inheriting, whoami):
    start_without_identity(inheriting)
    theirs.set("kept")
    with journy_track.user("jane"), journy_track.scope(), journy_track.user("joe"):
        assert seen_in_a_thread(lambda: (whoami(), theirs.get())) == (None, "kept")
        assert whoami() == "joe"


def test_a_thread_of_a_pool_does_not_act_for_whoever_was_served_when_it_was_started(inheriting, whoami):
    start_without_identity(inheriting)
    with ThreadPoolExecutor(1) as pool:
        with journy_track.user("jane"):
            assert pool.submit(whoami).result(20) is None
            assert pool.submit(journy_track.in_context(whoami)).result(20) == "jane"
        with journy_track.user("joe"):
            assert pool.submit(journy_track.in_context(whoami)).result(20) == "joe"
        assert pool.submit(whoami).result(20) is None


def test_what_is_handed_over_still_is(inheriting, whoami):
    start_without_identity(inheriting)

    async def request(user):
        with journy_track.user(user):
            return await asyncio.to_thread(whoami)

    async def main():
        return await asyncio.gather(*(request(f"u{number}") for number in range(20)))

    assert asyncio.run(main()) == [f"u{number}" for number in range(20)]
    with journy_track.user("jane"):
        assert seen_in_a_thread(whoami) is None
        assert seen_in_a_thread(journy_track.in_context(whoami)) == "jane"


def test_a_loop_that_runs_in_such_a_thread_acts_for_nobody(inheriting, whoami):
    start_without_identity(inheriting)

    async def main():
        return await asyncio.create_task(asyncio.to_thread(whoami))

    with journy_track.user("jane"):
        assert seen_in_a_thread(lambda: asyncio.run(main())) is None


OF_PYTHON_3_14 = """
import sys, threading
from contextvars import copy_context
from types import SimpleNamespace

class Inheriting(threading.Thread):
    def start(self):
        self._inherited = copy_context()
        super().start()

    def run(self):
        self._inherited.run(super().run)

threading.Thread = Inheriting
flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if not name.startswith("_")}
sys.flags = SimpleNamespace(**{**flags, "thread_inherit_context": 1})
"""
STARTED = """
import threading
import journy_track
with journy_track.user("jane"):
    thread = threading.Thread(target=lambda: print(journy_track.current_context().user))
    thread.start()
    thread.join()
"""


def test_where_threads_inherit_nobody_has_to_ask_for_it(run_program):
    ran = run_program(OF_PYTHON_3_14 + STARTED)
    assert ran.out == "None\n", ran.err


@pytest.mark.skipif(sys.version_info < (3, 14), reason="needs Python 3.14, whose threads can inherit a context")
def test_the_threads_of_python_3_14_inherit_nobody(run_program):
    ran = run_program(STARTED, PYTHON_THREAD_INHERIT_CONTEXT="1")
    assert ran.out == "None\n", ran.err


@pytest.mark.parametrize("patched", [False, True], ids=["gevent", "patched by gevent"])
def test_the_pools_of_gevent_act_for_whom_in_context_says(run_program, patched):
    pytest.importorskip("gevent", reason="needs gevent")
    ran = run_program(
        """
        import sys
        from gevent import monkey
        if sys.argv[1] == "True":
            monkey.patch_all()
        import gevent
        from concurrent.futures import ThreadPoolExecutor
        from gevent.pool import Pool
        from gevent.threadpool import ThreadPool
        import journy_track
        from journy_track import in_context

        def whoami(_=None):
            gevent.sleep(0)
            user = journy_track.current_context().user
            return user and user.user_id

        greenlets, threads, standard = Pool(4), ThreadPool(1), ThreadPoolExecutor(1)

        def request(user):
            with journy_track.scope():
                journy_track.set_user(user)
                found = [greenlets.spawn(in_context(whoami)).get(), *greenlets.map(in_context(whoami), range(3)),
                         threads.apply(in_context(whoami)), standard.submit(in_context(whoami)).result()]
                assert found == [user] * 6, (user, found)
                plain = [greenlets.spawn(whoami).get(), threads.apply(whoami), standard.submit(whoami).result()]
                assert plain == [None] * 3, (user, plain)

        for served in gevent.joinall([gevent.spawn(request, f"u{number}") for number in range(20)], timeout=30):
            served.get()
        print("served")
        """,
        str(patched),
    )
    assert ran.out == "served\n", ran.err
