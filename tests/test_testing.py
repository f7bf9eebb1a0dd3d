"""journy_track.testing.capture(): what was tracked can be checked, and nothing is sent."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from unittest.mock import ANY, MagicMock

import pytest

import journy_track
from journy_track import ConfigurationError, Event, InvalidArgument, UpsertUser, UserIdentified, testing, track_event
from journy_track._testing import capturing


@pytest.fixture(autouse=True)
def _no_strays_kept():
    yield
    capturing.strays.clear()


@pytest.fixture
def events():
    with testing.capture() as captured:
        yield captured


def test_it_is_reached_by_a_bare_import_of_the_package():
    program = (
        "import journy_track\n"
        "with journy_track.testing.capture() as events: journy_track.track('signed_in', user=1)\n"
        "print(len(events))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1\n"


# ── What is captured ──


def test_events_and_other_items_are_there_in_order_as_they_would_be_sent(events):
    with journy_track.user("u1"), journy_track.account("acme"), journy_track.metadata(channel="web"):
        journy_track.track("changed_plan", price=Decimal("9.5"))
        journy_track.upsert_user(full_name="Jane")
    assert [type(item) for item in events] == [Event, UpsertUser]
    assert events[0].metadata == {"channel": "web", "price": 9.5}
    assert events[0].user == UserIdentified("u1")
    assert [event.name for event in events.named("changed_plan")] == ["changed_plan"]
    assert events.for_user("u1") == list(events)
    assert events.for_user("u2") == []
    assert len(events) == 2
    assert events[-1:] == [events[1]]


def test_cleared_it_is_empty_and_captures_on(events):
    journy_track.track("signed_in", user="u1")
    events.clear()
    assert not events
    assert events == []
    journy_track.track("signed_out", user="u1")
    assert [event.name for event in events] == ["signed_out"]


def test_threads_and_tasks_are_captured_too(events):
    thread = threading.Thread(target=journy_track.track, args=("in_thread",), kwargs={"user": "u1"})
    thread.start()
    thread.join()

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(journy_track.track, "in_pool", user="u1") for _ in range(5)))

    asyncio.run(main())
    assert len(events.named("in_thread")) == 1
    assert len(events.named("in_pool")) == 5


def test_nothing_leaves_the_process_and_the_tracker_before_is_there_again(api, tracker):
    with testing.capture() as events:
        journy_track.track("signed_in", user="u1")
        assert journy_track.get_tracker() is not tracker
        assert journy_track.flush()
        assert journy_track.stats().captured == len(events) == 1
    assert journy_track.get_tracker() is tracker
    assert tracker.stats().captured == 0
    journy_track.track("signed_out", user="u1")
    assert tracker.flush(10)
    assert [event.name for event in api.events] == ["signed_out"]


@pytest.mark.parametrize("settings", [{}, {"enabled": False}], ids=repr)
def test_a_tracker_that_the_app_kept_is_captured_too(api, settings):
    kept = journy_track.configure("a-key", base_url=api.url, **settings)
    signing_in = kept.track_event("signed_in", user="u1")(lambda: None)
    for _ in range(2):
        with testing.capture() as events:
            signing_in()
            kept.track("opened", user="u1")
            journy_track.configure("a-key", metadata={"release": "7"})
            kept.track("closed", user="u1")
            assert kept.flush(5)
            assert [event.name for event in events] == ["signed_in", "opened", "closed"]
            assert events[-1].metadata == {"release": "7"}
    kept.track("afterwards", user="u1")
    assert kept.flush(10)
    assert [event.name for event in api.events] == ([] if settings else ["afterwards"])


def test_the_settings_of_the_tracker_before_hold(api):
    journy_track.configure("a-key", base_url=api.url, metadata={"release": "7"})
    with testing.capture() as events:
        journy_track.track("signed_in", user="u1")
    assert events[0].metadata == {"release": "7"}


def test_without_configure_it_captures():
    with testing.capture() as events:
        track_event("signed_in", user="u1")(lambda: None)()
    assert [event.name for event in events] == ["signed_in"]
    assert journy_track.get_tracker() is None


@pytest.mark.slow
def test_nothing_is_lost_to_threads_that_track_while_it_is_read():
    def work(first: int) -> None:
        for number in range(first, first + 50):
            journy_track.track("x", user="u1", number=number)

    for _ in range(20):
        with testing.capture() as events:
            threads = [threading.Thread(target=work, args=(50 * n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                assert {event.name for event in events} <= {"x"}
                assert len(events) <= 400
            assert sorted(event.metadata["number"] for event in events) == list(range(400))


# ── configure() inside a block ──


def test_configure_checks_its_arguments_and_answers_the_capturing_tracker(events):
    with pytest.raises(ConfigurationError, match="queue_size"):
        journy_track.configure("a-key", queue_size=0)
    with pytest.raises(ConfigurationError, match="required"):
        journy_track.configure(required=True)
    tracker = journy_track.configure("a-key", metadata={"release": "7"})
    assert tracker is journy_track.get_tracker()
    assert isinstance(tracker, journy_track.Tracker)
    assert journy_track.configure(enabled=False) is tracker
    journy_track.configure("a-key", metadata={"release": "8"})
    journy_track.track("signed_in", user="u1")
    assert events[0].metadata == {"release": "8"}


def test_after_a_shutdown_it_captures_on(events):
    journy_track.configure("a-key")
    assert journy_track.shutdown(0)
    journy_track.track("signed_in", user="u1")
    assert len(events) == 1


def test_before_send_and_at_most_every_are_asked(events):
    def scrub(item):
        return None if item.name == "secret" else item.with_metadata({"scrubbed": True})

    journy_track.configure("a-key", before_send=scrub)
    opened = track_event("opened", user="u1", at_most_every=60)(lambda: None)
    opened()
    opened()
    journy_track.track("secret", user="u1")
    assert [(event.name, event.metadata) for event in events] == [("opened", {"scrubbed": True})]


def test_one_inside_another_has_what_is_captured_inside():
    with testing.capture() as outer:
        journy_track.track("first", user="u1")
        with testing.capture() as inner:
            journy_track.track("second", user="u1")
        journy_track.track("third", user="u1")
    assert [event.name for event in outer] == ["first", "third"]
    assert [event.name for event in inner] == ["second"]


# ── What fails ──


@pytest.mark.parametrize(
    ("track", "says"),
    [
        (lambda: journy_track.track("signed_in"), "the event 'signed_in' has neither user nor account"),
        (
            lambda: journy_track.track("paid", user="u1", price=float("nan")),
            "'paid': the value of 'price' was left out",
        ),
        (lambda: journy_track.upsert_user(plan="pro"), "upsert_user has no user"),
        (track_event("x", user=lambda call: 1 / 0)(lambda: None), "capture_failed"),
    ],
    ids=["nobody", "cannot travel", "no user", "raises while capturing"],
)
def test_what_would_be_lost_fails_at_the_end_and_says_where_it_was_captured(track, says):
    with pytest.raises(AssertionError) as failed, testing.capture():
        track()
    assert says in str(failed.value)
    assert "test_testing.py:" in str(failed.value)


def test_a_before_send_that_raises_fails_too():
    with pytest.raises(AssertionError, match="before_send raised KeyError"), testing.capture():
        journy_track.configure("a-key", before_send=lambda item: {}[item.name])
        journy_track.track("signed_in", user="u1")


def test_a_block_that_raises_keeps_its_own_error():
    with pytest.raises(LookupError, match="theirs"), testing.capture():
        journy_track.track("signed_in")
        raise LookupError("theirs")


def test_what_was_wrong_can_be_looked_at_and_cleared():
    with testing.capture() as events:
        journy_track.track("signed_in")
        (problem,) = events.problems
        assert "neither user nor account" in problem
        events.clear()
    assert not events


def test_an_identity_that_is_left_set_fails_and_says_where_it_was_set():
    with pytest.raises(AssertionError) as failed, testing.capture():
        journy_track.user("u1", email="jane@acme.com").__enter__()  # line A
        journy_track.set_account("acme")  # line B
    said = str(failed.value)
    assert "user" in said
    assert "'u1'" in said
    assert "outside any scope" in said
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    for mark in ("# line A", "# line B"):
        (number,) = (n for n, line in enumerate(lines, 1) if line.endswith(mark) and "endswith" not in line)
        assert f"test_testing.py:{number}" in said
    assert journy_track.current_context() == journy_track.Context()


def test_an_identity_from_before_is_nobodys_leak():
    with journy_track.user("u1"), testing.capture() as events:
        with journy_track.account("acme"):
            journy_track.track("signed_in")
        assert journy_track.current_context().user == UserIdentified("u1")
    events.assert_tracked("signed_in", user="u1", account="acme")


# ── assert_tracked ──


def test_assert_tracked_compares_what_it_is_given(events):
    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme"):
        journy_track.track("changed_plan", plan="pro", price=Decimal(399), seats=3)
    journy_track.track("reached_limit", user=None, account="acme")
    event = events.assert_tracked("changed_plan")
    assert event is events[0]
    for given in (
        {"user": "u1"},
        {"user": UserIdentified(email="jane@acme.com")},
        {"account": "acme", "times": 1},
        {"metadata": {"price": Decimal(399), "plan": ANY}},
    ):
        assert events.assert_tracked("changed_plan", **given) is event
    assert events.assert_tracked("reached_limit", user=None).name == "reached_limit"
    assert events.assert_tracked("changed_plan", user="u2", times=0) is None


@pytest.mark.parametrize(
    "given",
    [
        {"user": "u2"},
        {"user": None},
        {"account": "other"},
        {"metadata": {"plan": "free"}},
        {"metadata": {"missing": 1}},
        {"times": 2},
        {"times": 0},
    ],
)
def test_assert_tracked_fails_for_what_is_otherwise(events, given):
    journy_track.track("changed_plan", user="u1", account="acme", plan="pro")
    with pytest.raises(AssertionError):
        events.assert_tracked("changed_plan", **given)


def test_a_failure_shows_the_nearest_event_and_all_there_is(events):
    journy_track.track("changed_plan", user="u1", plan="pro")
    journy_track.track("changed_plan", user="u2", plan="free", seats=3)
    journy_track.upsert_user(user="u2", plan="free")
    with pytest.raises(AssertionError) as failed:
        events.assert_tracked("changed_plan", user="u2", metadata={"plan": "pro", "seats": 3})
    assert str(failed.value).splitlines() == [
        (
            "expected at least one event 'changed_plan', user='u2', metadata={'plan': 'pro', 'seats': 3}; "
            "0 of 3 captured items match"
        ),
        "the nearest differs in (- expected, + captured):",
        "  - metadata['plan']: 'pro'",
        "  + metadata['plan']: 'free'",
        "captured:",
        "  0. 'changed_plan', user='u1', metadata={'plan': 'pro'}",
        "  1. 'changed_plan', user='u2', metadata={'plan': 'free', 'seats': 3}",
        "  2. UpsertUser, user='u2', properties={'plan': 'free'}",
    ]


def test_a_failure_without_any_event_says_so(events):
    with pytest.raises(AssertionError, match=r"(?s)expected 2 events 'signed_in'; 0 of 0.*captured:\n  nothing"):
        events.assert_tracked("signed_in", times=2)


@pytest.mark.parametrize(
    ("track", "says"),
    [
        (lambda: journy_track.track("paid", user="u1", price=MagicMock()), "a MagicMock is a mock"),
        (lambda: journy_track.track("paid", user=MagicMock()), "user_id must be an ID"),
        (track_event("paid", user=lambda call: MagicMock())(lambda: None), "lost while it was captured (invalid)"),
        (lambda: journy_track.track("", user="u1"), "name is required"),
    ],
)
def test_a_mock_and_a_wrong_value_fail_it(track, says):
    with pytest.raises((AssertionError, InvalidArgument)) as failed, testing.capture():
        track()
    assert says in str(failed.value)


@pytest.mark.parametrize(
    ("end", "expected"),
    [("", "True True"), ("ThreadPoolExecutor.submit = wrapper(ThreadPoolExecutor.submit)", "False True")],
    ids=["alone", "wrapped by others"],
)
def test_what_pools_submit_with_is_put_back(run_program, end, expected):
    ran = run_program(
        """
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from journy_track import testing, track
        def wrapper(submit):
            return lambda *arguments: submit(*arguments)
        original = ThreadPoolExecutor.submit
        for _ in range(2):
            with testing.capture("outer") as outer, testing.capture("inner") as events:
                with ThreadPoolExecutor() as pool:
                    pool.submit(track, "in_pool", user="u1")
                exec(sys.argv[1])
            assert [len(outer), len(events)] == [0, 1]
        with ThreadPoolExecutor() as pool:
            print(ThreadPoolExecutor.submit is original, pool.submit(lambda: 1).result() == 1)
        """.replace("\n        ", "\n").strip(),
        end,
    )
    assert ran.out == f"{expected}\n", ran.err


# ── Strays ──


def test_a_thread_that_outlives_its_capture_is_a_stray_there_and_counts_for_nobody_else():
    go_on = threading.Event()

    def late() -> None:
        assert go_on.wait(30)
        journy_track.track("late", user="u1")

    thread = threading.Thread(target=late, name="the late one")
    with testing.capture("the first test") as first:
        thread.start()
    with testing.capture("the second test") as second:
        go_on.set()
        thread.join()
        journy_track.track("on_time", user="u1")
    assert [event.name for event in second] == ["on_time"]
    assert not first
    (stray,) = first.strays
    assert (stray.owner, stray.label, stray.thread) == ("the first test", "track late", "the late one")
    assert "test_testing.py:" in stray.place
    assert not second.strays


def test_a_call_that_began_inside_and_ends_after_it_is_a_stray():
    began, go_on = threading.Event(), threading.Event()

    @track_event("late", user="u1")
    def call() -> None:
        began.set()
        assert go_on.wait(30)

    thread = threading.Thread(target=call)
    with testing.capture("the one before") as events:
        thread.start()
        assert began.wait(30)
    go_on.set()
    thread.join()
    assert [stray.label for stray in events.strays] == ["track late"]


def test_a_task_that_outlives_its_capture_is_a_stray():
    async def main() -> None:
        go_on = asyncio.Event()

        async def late() -> None:
            await go_on.wait()
            journy_track.track("late", user="u1")

        with testing.capture("the test of a task") as first:
            task = asyncio.create_task(late())
            await asyncio.sleep(0)
        with testing.capture("the next") as second:
            go_on.set()
            await task
        assert not second
        assert [stray.owner for stray in first.strays] == ["the test of a task"]

    asyncio.run(main())


def test_a_thread_of_before_counts_for_the_capture_that_runs():
    go_on, done = threading.Event(), threading.Event()

    def server() -> None:
        assert go_on.wait(30)
        journy_track.track("served", user="u1")
        done.set()

    thread = threading.Thread(target=server)
    thread.start()
    with testing.capture() as events:
        go_on.set()
        assert done.wait(30)
    thread.join()
    assert [event.name for event in events] == ["served"]
