"""after_commit: what is held back until the commit, what is released or discarded, and how it is counted."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator

import pytest

import journy_track
from journy_track import InvalidArgument, UserIdentified, testing, track_event
from journy_track._capture import commit
from journy_track._capture.context import Change, enter, leave
from journy_track._capture.queue import UNIT
from journy_track._capture.request import Actor, Cell, Pending


class Transaction:
    """A database transaction, as an integration would provide it."""

    def __init__(self) -> None:
        self.emits: list[Callable[[], object]] = []

    def on_commit(self, emit: Callable[[], object]) -> None:
        self.emits.append(emit)

    def commit(self) -> None:
        emits, self.emits = self.emits, []
        for emit in emits:
            emit()

    def roll_back(self) -> None:
        self.emits = []
        gc.collect()


@pytest.fixture
def open_transactions(monkeypatch) -> list[Transaction]:
    """The transactions that are open in a test. The list starts empty; tests add to it."""
    found: list[Transaction] = []
    monkeypatch.setattr(commit, "_finders", [lambda: found])
    return found


@pytest.fixture
def transaction(open_transactions) -> Transaction:
    open_transactions.append(Transaction())
    return open_transactions[0]


@pytest.fixture
def events() -> Iterator[testing.CapturedItems]:
    with testing.capture() as captured:
        yield captured


def test_without_a_transaction_at_once(open_transactions, events):
    journy_track.track("opened", user="u1", after_commit=True)
    assert len(events) == 1


def test_only_what_is_asked_to_wait_does(transaction, events):
    journy_track.track("waits", user="u1", after_commit=True)
    journy_track.track("at_once", user="u1")
    assert [event.name for event in events] == ["at_once"]
    transaction.commit()
    assert [event.name for event in events] == ["at_once", "waits"]
    assert events[1].triggered_at < events[0].triggered_at


def test_with_several_transactions_the_last_commit_lets_it_go_once(open_transactions, events):
    open_transactions += [Transaction(), Transaction()]
    journy_track.track("opened", user="u1", after_commit=True)
    open_transactions[0].commit()
    assert not events
    open_transactions[1].commit()
    assert len(events) == 1


@pytest.mark.parametrize("kind", ["sync", "options", "coroutine", "generator"])
def test_every_kind_of_decorated_function_waits(transaction, events, kind):
    import asyncio

    if kind == "sync":
        track_event("done", user="u1", after_commit=True)(lambda: None)()
    elif kind == "options":
        track_event("done", user="u1", after_commit=True, duration=True, on="always")(lambda: None)()
    elif kind == "coroutine":

        @track_event("done", user="u1", after_commit=True)
        async def done() -> None: ...

        asyncio.run(done())
    else:

        @track_event("done", user="u1", after_commit=True)
        def rows():
            yield 1

        assert list(rows()) == [1]
    assert not events
    transaction.commit()
    assert [event.name for event in events] == ["done"]


@pytest.mark.slow
def test_what_is_rolled_back_was_never_captured(api, tracker, transaction, balance):
    for _ in range(3):
        journy_track.track("undone", user="u1", after_commit=True)
    assert tracker.flush(5)
    transaction.roll_back()
    balance(tracker, 0)
    journy_track.track("done", user="u1", after_commit=True)
    transaction.commit()
    assert tracker.flush(10)
    assert balance(tracker, 1).delivered == 1
    assert [event.name for event in api.events] == ["done"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "bound", [{"queue_size": 10}, {"queue_bytes": 10 * UNIT}], ids=["by their number", "by their size"]
)
def test_what_waits_is_bounded_and_a_rollback_gives_the_room_back(gate, transaction, balance, bound):
    tracker = journy_track.configure("a-key", http_client=gate, **bound)
    for _ in range(3):
        for _ in range(9):
            journy_track.track("waits", user="u1", after_commit=True)
        balance(tracker, 0)
        transaction.roll_back()
    for _ in range(15):
        journy_track.track("waits", user="u1", after_commit=True)
    assert balance(tracker, 5).dropped == {"queue_full": 5}


def test_with_a_closed_tracker_it_counts_as_any_other(gate, transaction, balance):
    tracker = journy_track.configure("a-key", http_client=gate)
    journy_track.track("late", user="u1", after_commit=True)
    tracker.shutdown(0)
    transaction.commit()
    assert balance(tracker, 1).dropped == {"closed": 1}


def test_an_integration_that_fails_loses_the_item_alone_and_it_is_counted(api, tracker, monkeypatch, caplog):
    def fails():
        raise LookupError("theirs")

    monkeypatch.setattr(commit, "_finders", [fails])
    journy_track.track("opened", user="u1", after_commit=True)
    assert tracker.stats().dropped == {"capture_failed": 1}
    assert "raised LookupError" in caplog.text


def test_before_configure_it_does_nothing(transaction):
    journy_track.track("opened", user="u1", after_commit=True)
    journy_track.configure(enabled=False)
    journy_track.track("opened", user="u1", after_commit=True)
    assert transaction.emits == []


def test_in_debug_mode_a_mistake_is_raised_where_it_is_made(api, transaction):
    journy_track.configure("a-key", base_url=api.url, debug=True)
    with pytest.raises(InvalidArgument, match="neither user nor account"):
        journy_track.track("opened", after_commit=True)


@pytest.mark.slow
def test_at_most_every_counts_what_was_let_go(transaction, events):
    opened = track_event("opened", user="u1", after_commit=True, at_most_every=60)(lambda: None)
    opened()
    transaction.roll_back()
    opened()
    opened()
    transaction.commit()
    assert len(events) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_queue_of_its_own(api, tracker, transaction):
    journy_track.track("first", user="u1", after_commit=True)
    child = os.fork()
    if child == 0:
        transaction.emits.clear()
        journy_track.track("in_child", user="u1", after_commit=True)
        transaction.commit()
        os._exit(0 if tracker.flush(20) and tracker.stats().delivered == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    transaction.commit()
    assert tracker.flush(10)
    assert sorted(event.name for event in api.events) == ["first", "in_child"]


@pytest.mark.slow
def test_a_span_gets_its_event_when_it_is_let_go_if_it_still_runs(api, transaction):
    from opentelemetry.sdk.trace import TracerProvider

    journy_track.configure("a-key", base_url=api.url, span_events=True)
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("request") as span:
        journy_track.track("undone", user="u1", after_commit=True)
        transaction.roll_back()
        with tracer.start_as_current_span("inner") as ended:
            journy_track.track("too_late", user="u1", after_commit=True)
        journy_track.track("done", user="u1", after_commit=True, plan="pro")
        assert span.events == ()
        transaction.commit()
    assert [(event.name, dict(event.attributes)) for event in span.events] == [("done", {"plan": "pro"})]
    assert ended.events == ()
    assert journy_track.flush(10)
    trace_ids = {event.metadata["trace_id"] for event in api.events}
    assert trace_ids == {f"{span.get_span_context().trace_id:032x}"}


def test_a_span_that_fails_at_the_commit_costs_neither_the_commit_nor_the_event(api, transaction, caplog):
    from opentelemetry.sdk import trace

    class Fails(trace.Event):
        def __init__(self, *_, **__):
            raise LookupError("theirs")

    tracker = journy_track.configure("a-key", base_url=api.url, span_events=True)
    provider = trace.TracerProvider()
    with pytest.MonkeyPatch.context() as patched, provider.get_tracer("t").start_as_current_span("s"):
        journy_track.track("opened", user="u1", after_commit=True)
        patched.setattr(trace, "Event", Fails)
        transaction.commit()
    assert tracker.flush(10)
    assert [event.name for event in api.events] == ["opened"]
    assert "recording on its span 'opened' raised LookupError" in caplog.text


# ── When the actor is not known yet ──


@pytest.fixture
def pending() -> Iterator[Pending]:
    """A request whose actor is not known yet. It ends with the test, unless the test has ended it."""
    cell = Cell()
    cell.pending = waiting = Pending(cell, lambda moment: None)
    entry = enter(Change(cell=cell))
    yield waiting
    waiting.close(None)
    leave(entry)


JANE = Actor(UserIdentified("jane"))


@pytest.mark.parametrize("first", ["commit", "actor"])
def test_an_item_waits_for_its_transactions_and_for_who_acts_whichever_comes_last(
    open_transactions, events, pending, first
):
    open_transactions += [Transaction(), Transaction()]
    journy_track.track("opened", after_commit=True)
    steps = [open_transactions[0].commit, open_transactions[1].commit, lambda: pending.close(JANE)]
    for step in steps if first == "commit" else reversed(steps):
        assert not events
        step()
    assert [event.user for event in events] == [UserIdentified("jane")]


def test_what_is_rolled_back_does_not_go_when_it_is_known_who_acted(api, tracker, transaction, pending, balance):
    journy_track.track("undone", after_commit=True)
    transaction.roll_back()
    pending.close(JANE)
    assert tracker.flush(5)
    balance(tracker, 0)


def test_without_a_transaction_it_waits_for_who_acts_alone(open_transactions, events, pending):
    journy_track.track("opened", after_commit=True)
    assert not events
    pending.close(JANE)
    assert [event.user for event in events] == [UserIdentified("jane")]


def test_without_a_transaction_a_span_gets_the_event_whose_actor_is_not_known_yet(api, open_transactions, pending):
    from opentelemetry.sdk.trace import TracerProvider

    journy_track.configure("a-key", base_url=api.url, span_events=True)
    with TracerProvider().get_tracer("test").start_as_current_span("request") as span:
        journy_track.track("opened", after_commit=True)
    assert [event.name for event in span.events] == ["opened"]


def test_a_commit_and_an_actor_that_come_at_once_let_an_item_go_once(open_transactions, events):
    # Catches: two separate flags that both threads check.
    rounds = 50
    for number in range(rounds):
        transaction, cell, start = Transaction(), Cell(), threading.Barrier(2)
        open_transactions[:] = [transaction]
        cell.pending = pending = Pending(cell, lambda moment: None)
        entry = enter(Change(cell=cell))
        journy_track.track("opened", number=number, after_commit=True)
        leave(entry)

        def commit_at_once(transaction: Transaction = transaction, start: threading.Barrier = start) -> None:
            start.wait(10)
            transaction.commit()

        committing = threading.Thread(target=journy_track.in_context(commit_at_once))
        committing.start()
        start.wait(10)
        pending.close(JANE)
        committing.join()
    assert [event.metadata["number"] for event in events] == list(range(rounds))


@pytest.mark.parametrize("value", [1, "yes", None])
def test_the_option_is_checked_where_it_is_given(value):
    with pytest.raises(InvalidArgument, match="after_commit must be True or False"):
        track_event("opened", after_commit=value)


def test_a_worker_that_cannot_be_woken_is_no_error_of_who_learns_the_actor(api, tracker, pending, caplog):
    journy_track.track("opened")
    queue = tracker._pipeline().queue
    start = queue.wake

    def fails():
        raise LookupError("no")

    queue.wake = fails
    pending.close(JANE)
    assert "waking the worker raised LookupError" in caplog.text
    queue.wake = start
    assert tracker.flush(10)
    assert [event.name for event in api.events] == ["opened"]
