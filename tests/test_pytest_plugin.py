"""The pytest plugin, as it runs in a user's test suite."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import pytest
import pytest_journy_track

from journy_track import Client, ClientConfig, Event, HttpResponse, RequestsHttpClient, UserIdentified, _runtime
from journy_track._testing import capturing

pytest_plugins = ["pytester"]
EVENT = Event.for_user("signed_in", UserIdentified("u1"))


@pytest.fixture(autouse=True)
def _nothing_kept():
    yield
    capturing.strays.clear()


@pytest.fixture
def suite(pytester):
    """Runs these tests in a separate pytest session, in this process unless *subprocess* is true."""

    def run(source: str, *arguments: str, ini: str = "", subprocess: bool = False) -> pytest.RunResult:
        pytester.makeini(f"[pytest]\n{ini}")
        pytester.makepyfile(source)
        inner = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return inner("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments)

    return run


def test_it_is_registered_by_its_entry_point():
    (found,) = (e for e in entry_points(group="pytest11") if e.name == "journy_track")
    assert found.load() is pytest_journy_track


def test_the_fixture_has_what_the_test_tracked(suite):
    suite(
        """
        import journy_track

        def test_first(journy_events):
            assert not journy_events
            with journy_track.user("u1"):
                journy_track.track("signed_in", plan="pro")
            journy_events.assert_tracked("signed_in", user="u1", metadata={"plan": "pro"}, times=1)

        def test_second(journy_events):
            assert journy_events == []
            tracker = journy_track.configure("a-key")
            assert tracker is journy_track.get_tracker()

        def test_without():
            assert journy_track.get_tracker() is None
        """
    ).assert_outcomes(passed=3)


@pytest.mark.slow
def test_a_failure_is_readable_and_shows_no_frames_of_ours(suite):
    result = suite(
        """
        import journy_track
        def test_it(journy_events):
            journy_track.track("signed_in", user="u1")
            journy_events.assert_tracked("signed_in", user="u2")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*expected at least one event 'signed_in', user='u2'*", "E*- user: 'u2'"])
    result.stdout.fnmatch_lines(["E*+ user: 'u1'"])
    result.stdout.no_fnmatch_line("*raise AssertionError(matching*")


def test_an_event_that_would_be_lost_fails_the_test_once(suite):
    result = suite(
        """
        import journy_track
        def test_nobody(journy_events):
            journy_track.track("signed_in")
        def test_value(journy_events):
            journy_track.track("paid", user="u1", price=float("inf"))
        def test_next(journy_events):
            journy_track.track("signed_in", user="u1")
        """
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["*'signed_in' has neither user nor account*test_an_event*.py:3"])
    result.stdout.fnmatch_lines(["*the value of 'price' was left out*test_an_event*.py:5"])


def test_a_test_that_leaves_an_identity_set_fails_and_the_next_one_starts_clean(suite):
    result = suite(
        """
        import journy_track
        def test_leaks():
            journy_track.set_user("u1")
        def test_leaks_too(journy_events):
            journy_track.account("acme").__enter__()
        def test_is_clean(journy_events):
            assert journy_track.current_context() == journy_track.Context()
        """
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["*user 'u1' was set outside any scope(), first at *.py:3"])
    result.stdout.fnmatch_lines(["*account 'acme'*of the block entered at *.py:5 was not left"])


def test_what_a_test_configures_ends_with_it(suite):
    suite(
        """
        import pytest
        import journy_track

        @pytest.fixture(scope="module")
        def configured():
            return journy_track.configure("a-key", base_url="http://127.0.0.1:9", metadata={"of": "module"})

        def test_configures():
            journy_track.configure("a-key", base_url="http://127.0.0.1:9", metadata={"of": "test"})

        def test_sees_none():
            assert journy_track.get_tracker() is None

        def test_captures_without(journy_events):
            journy_track.track("signed_in", user="u1")
            assert journy_events[0].metadata == {}

        def test_replaces_that_of_a_fixture(configured):
            journy_track.configure("a-key", base_url="http://127.0.0.1:9", metadata={"of": "test"})
            assert configured.closed

        def test_has_that_of_the_fixture(configured, journy_events):
            journy_track.track("signed_in", user="u1")
            assert journy_events[0].metadata == {"of": "module"}

        def test_which_takes_items(configured):
            assert not journy_track.get_tracker().closed
            journy_track._runtime.reset()
        """
    ).assert_outcomes(passed=6)


@pytest.mark.slow
def test_links_and_what_was_said_are_each_tests_own(suite):
    suite(
        """
        import re
        import pytest
        import journy_track
        from journy_track.integrations.wsgi import JournyMiddleware

        def serve(environ, start_response):
            journy_track.track("seen")
            return [b""]

        def visit(**functions):
            list(JournyMiddleware(serve, **functions)({"HTTP_COOKIE": "__journey=d1"}, None))

        @pytest.mark.parametrize("number", [1, 2])
        def test_links(journy_events, number):
            visit(user=lambda environ: "u1", link_devices=True)
            assert [type(item).__name__ for item in journy_events] == ["Event", "Link"]

        @pytest.mark.parametrize("number", [1, 2])
        def test_says(journy_events, number, caplog):
            visit(user=lambda environ: environ["nothing"], account=lambda environ: "acme")
            assert "raised KeyError" in caplog.text

        @pytest.mark.parametrize("number", [1, 2])
        def test_hints_without_the_fixture(number, caplog):
            journy_track.track("seen")
            [line] = [line for line in caplog.messages if "before journy_track.configure() is called" in line]
            assert re.search(r"as at test_[a-z_]+[.]py:[0-9]+[.] ", line)
        """,
        subprocess=True,  # objects left by other tests of this process may be finalised meanwhile, and log something
    ).assert_outcomes(passed=6)


def test_a_pool_that_outlives_a_test_works_for_the_next_and_a_thread_is_named(suite):
    result = suite(
        """
        import queue
        import threading
        from concurrent.futures import ThreadPoolExecutor
        import journy_track

        pool = ThreadPoolExecutor(1)
        jobs, done = queue.Queue(), queue.Queue()

        def work():
            while (job := jobs.get()) is not None:
                done.put(job())

        def by_thread():
            jobs.put(lambda: journy_track.track("by_thread", user="u1"))
            done.get(timeout=30)

        def by_pool():
            pool.submit(journy_track.track, "by_pool", user="u1").result(30)

        def test_first(journy_events):
            threading.Thread(target=work).start()
            by_pool()
            by_thread()
            journy_events.assert_tracked("by_pool", times=1)
            journy_events.assert_tracked("by_thread", times=1)

        def test_second(journy_events):
            by_pool()
            journy_events.assert_tracked("by_pool", times=1)

        def test_third(journy_events):
            by_thread()
            try:
                journy_events.assert_tracked("by_thread", times=1)
            finally:
                jobs.put(None)
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["E*not counted here*", "E*::test_first: 'track by_thread' at *.py:14*"])


def test_an_identity_of_a_fixture_is_no_leak(suite):
    suite(
        """
        import pytest
        import journy_track

        @pytest.fixture(scope="module", autouse=True)
        def module():
            with journy_track.account("acme"):
                yield

        @pytest.fixture
        def signed_in():
            with journy_track.user("u1"):
                yield

        def test_one(signed_in, journy_events):
            journy_track.track("opened")
            journy_events.assert_tracked("opened", user="u1", account="acme")

        def test_two(journy_events, signed_in):
            journy_track.track("opened")
            journy_events.assert_tracked("opened", user="u1", account="acme")

        def test_three(journy_events):
            assert journy_track.current_context().user is None
        """
    ).assert_outcomes(passed=3)


def test_async_tests_work(suite):
    suite(
        """
        import asyncio
        import pytest
        import journy_track

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_it(journy_events):
            async def work(number):
                with journy_track.user(f"u{number}"):
                    await asyncio.sleep(0)
                    journy_track.track("worked")
            await asyncio.gather(*(work(n) for n in range(5)))
            for number in range(5):
                journy_events.assert_tracked("worked", user=f"u{number}", times=1)
        """,
        "-p",
        "anyio",
    ).assert_outcomes(passed=1)


LATE = """
import threading
import journy_track

go_on = threading.Event()

def late():
    go_on.wait(30)
    journy_track.track("late", user="u1")

thread = threading.Thread(target=late)

def test_first(journy_events):
    thread.start()

def test_second(journy_events):
    go_on.set()
    thread.join()
    assert not journy_events
"""


@pytest.mark.slow
def test_a_thread_that_outlives_its_test_is_told_of_at_the_end_and_counts_for_no_other(suite):
    result = suite(LATE)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*tracked after the test had ended*", "*::test_first: 'track late' at *.py:8*"])


@pytest.mark.slow
def test_with_xdist_too(suite):
    result = suite(LATE, "-n", "2", "--dist", "loadfile", subprocess=True)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*tracked after the test had ended*", "*::test_first: 'track late' at *.py:8*"])


def test_when_the_tests_have_ended_the_process_is_as_before(run_program, tmp_path):
    (tmp_path / "test_it.py").write_text(
        """
from concurrent.futures import ThreadPoolExecutor
import journy_track
import pytest

def test_first(journy_events):
    with ThreadPoolExecutor() as pool:
        pool.submit(journy_track.track, "in_pool", user="u1")
    assert len(journy_events) == 1

def test_is_strict():
    with pytest.raises(journy_track.InvalidArgument):
        journy_track.track("")
"""
    )
    ran = run_program(
        """
        import sys
        from concurrent.futures import ThreadPoolExecutor
        import pytest
        original = ThreadPoolExecutor.submit
        status = pytest.main(["-p", "no:cacheprovider", sys.argv[1]])
        import journy_track
        journy_track.track("")
        print("ended:", int(status), ThreadPoolExecutor.submit is original)
        """,
        str(tmp_path),
    )
    assert "ended: 0 True" in ran.out, ran.out + ran.err


# ── Sending ──


def test_sending_to_the_world_is_refused_at_once_and_said():
    result = Client.with_defaults("a-key").add_event(EVENT)
    assert result.success is False
    assert result.error == "ConnectionFailed"
    assert result.status is None
    assert "api.journy.io is refused while pytest runs" in result.message
    assert "journy_live" in result.message


def test_a_tracker_gives_up_what_it_may_not_send_and_says_so(caplog):
    tracker = _runtime.configure("a-key")
    tracker.track("signed_in", user="u1")
    assert tracker.flush(10)
    assert tracker.stats().given_up == 1
    assert "is refused while pytest runs" in caplog.text


def test_a_client_of_ones_own_is_refused_only_if_it_really_sends():
    client = Client(RequestsHttpClient(), ClientConfig("a-key"))
    assert "is refused while pytest runs" in client.add_event(EVENT).message

    class Stub:
        def send(self, request):
            return HttpResponse(201, {}, b'{"meta": {"requestId": "r"}}')

        def close(self): ...

    assert Client(Stub(), ClientConfig("a-key")).add_event(EVENT).success is True


def test_this_machine_is_not_refused(api):
    tracker = _runtime.configure("a-key", base_url=api.url)
    tracker.track("signed_in", user="u1")
    assert tracker.flush(10)
    assert tracker.stats().delivered == 1


def test_journy_live_takes_the_refusal_away_and_only_there(suite):
    source = """
        import pytest_journy_track
        def test_it():
            assert pytest_journy_track.live is {}
        """
    suite(source.format(True), ini="journy_live = true").assert_outcomes(passed=1)
    assert pytest_journy_track.live is False
    suite(source.format(False)).assert_outcomes(passed=1)


#: Writes the first host that is looked up to a file, since pytest captures output, and ends the process there: the
#: test does not depend on how long a look-up takes.
LOOK_UPS = """
import os
import pathlib
import socket

def looked_up(host, *_, **__):
    pathlib.Path("looked_up").write_text(host)
    os._exit(3)

socket.getaddrinfo = looked_up
"""
#: Leaves delivery to the exit of the process.
LEFT_BEHIND = """
import journy_track
def test_it():
    journy_track.configure("a-key", shutdown_timeout=30, base_url="https://api.journy.invalid", **{})
    journy_track.track("signed_in", user="u1")
"""


@pytest.fixture
def look_ups(pytester) -> Callable[[], str | None]:
    """Returns the host that the tests of a process looked up, `None` if there was none."""
    pytester.makeconftest(LOOK_UPS)
    written = pytester.path / "looked_up"

    def asked() -> str | None:
        if not written.exists():
            return None
        host = written.read_text()
        written.unlink()
        return host

    return asked


@pytest.mark.slow
def test_what_is_left_when_the_tests_are_over_is_not_sent_either(suite, look_ups):
    suite(LEFT_BEHIND.format({}), subprocess=True).assert_outcomes(passed=1)
    assert look_ups() is None
    suite(LEFT_BEHIND.format({}), ini="journy_live = true", subprocess=True)
    assert look_ups() == "api.journy.invalid"


@pytest.mark.slow
def test_a_broker_elsewhere_is_not_even_connected_to(suite, look_ups):
    source = """
        import journy_track
        def test_it(caplog):
            tracker = journy_track.configure(broker="redis://broker.invalid/0", shutdown_timeout=30)
            tracker.track("signed_in", user="u1")
            assert tracker.flush(10)
            assert tracker.stats().given_up == 1
            assert "broker.invalid is refused while pytest runs" in caplog.text
        """
    suite(source, subprocess=True).assert_outcomes(passed=1)
    assert look_ups() is None


@pytest.mark.slow
def test_a_broker_on_this_machine_or_with_journy_live_is_used(suite, look_ups):
    source = """
        import journy_track
        def test_it():
            tracker = journy_track.configure(broker="redis://{}/0", shutdown_timeout=30)
            tracker.track("signed_in", user="u1")
        """
    suite(source.format("localhost"), subprocess=True)
    assert look_ups() == "localhost"
    suite(source.format("broker.invalid"), ini="journy_live = true", subprocess=True)
    assert look_ups() == "broker.invalid"


# ── Coverage ──

SHOP = """
import journy_track

@journy_track.event("signed_up")
class SignedUp(journy_track.TypedEvent):
    plan: str

def pay(): journy_track.track("paid", user="u1")
def sign_up(): SignedUp(plan="pro").track(user="u1")
def leave(): journy_track.track("left", user="u1")
def never(): journy_track.track("gone", user="u1")
"""
ASSERTS = """
import shop
import journy_track

def test_paid(journy_events):
    shop.pay()
    journy_events.assert_tracked("paid")

def test_signed_up(journy_events):
    shop.sign_up()
    assert [event.metadata for event in journy_events.named(shop.SignedUp)] == [{"plan": "pro"}]

def test_only_tracks(journy_events):
    shop.leave()
    journy_track.track("of_the_test", user="u1")
    journy_events.assert_tracked("left", user="u2", times=0)
    assert not journy_events.named("gone")
"""


@pytest.fixture
def covered(suite, pytester):
    """Runs the tests of a small product, which assert two of its four events."""

    def run(*arguments: str) -> pytest.RunResult:
        pytester.makepyfile(shop=SHOP)
        result = suite(ASSERTS, *arguments, ini="pythonpath = .", subprocess=True)
        result.assert_outcomes(passed=3)
        return result

    return run


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in one process", "with xdist"])
def test_events_that_no_test_asserted_are_listed(covered, workers):
    result = covered("--journy-coverage", *workers)
    result.stdout.fnmatch_lines(
        [
            "*events that no test asserted*",
            "gone  shop.py:10",
            "left  shop.py:9",
            "Tests asserted 2 of 4 events: 50 %.",
        ]
    )
    result.stdout.no_fnmatch_line("*of_the_test*")
    assert result.ret == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in one process", "with xdist"])
def test_too_few_asserted_events_fail_the_run(covered, workers):
    result = covered("--journy-coverage-fail-under", "51", *workers)
    result.stdout.fnmatch_lines(["left  shop.py:9", "*50 %. That is less than --journy-coverage-fail-under 51."])
    assert result.ret == 1
    assert covered("--journy-coverage-fail-under", "50", *workers).ret == 0


# ── When the plugin is not used ──


@pytest.mark.slow
def test_unused_it_loads_nothing(suite):
    suite(
        """
        import sys
        def test_it():
            assert "pytest_journy_track" in sys.modules
            assert not [name for name in sys.modules if name.split(".")[0] in ("journy_track", "requests", "wrapt")]
        """,
        "-p",
        "no:requests_mock",  # the plugin loads requests
        subprocess=True,
    ).assert_outcomes(passed=1)


@pytest.mark.slow
def test_it_can_be_switched_off(suite):
    result = suite("def test_it(journy_events): pass", "-p", "no:journy_track", subprocess=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'journy_events' not found*"])
