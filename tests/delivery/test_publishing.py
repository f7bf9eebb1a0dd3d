"""Items handed to a broker, without threads and with simulated time: order, numbers, and failures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from journy_track._capture.queue import BoundedQueue
from journy_track._model.broker import BrokerError
from journy_track._model.ending import Ending
from journy_track._transport import broker as transports

AWAY = BrokerError("away")


@dataclass
class Scripted:
    """A broker that returns or raises the next of its *answers*, and accepts everything after the last one."""

    answers: list[Any] = field(default_factory=list)
    calls: list[list[tuple[int, str]]] = field(default_factory=list)

    def publish(self, messages, /) -> Any:
        self.calls.append([(message.number, json.loads(message.text)["body"].get("name")) for message in messages])
        answer = self.answers.pop(0) if self.answers else len(messages)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def is_empty(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing: no connection is kept open."""

    @property
    def names(self) -> list[list[str]]:
        return [[name for _, name in call] for call in self.calls]


@pytest.fixture
def made(desk):
    """Makes a desk whose broker returns *answers*."""

    def make(*answers, **settings):
        broker = Scripted(list(answers))
        made = desk(broker=broker, **settings)
        made.broker = broker
        return made

    return make


def counts(made, captured: int):
    stats = made.ledger.stats()
    ended = stats.published + stats.given_up + sum(stats.dropped.values())
    assert stats.captured == captured == ended + stats.queued + stats.in_flight, stats
    assert made.dispatcher.waiting == stats.queued
    return stats


def test_items_go_in_batches_in_the_order_of_capture(made, monkeypatch):
    monkeypatch.setattr(transports.BrokerTransport, "max_jobs", 2)
    desk = made()
    for name in "abcde":
        desk.put(name)
    assert desk.turn() is None
    assert desk.broker.calls == [[(1, "a"), (2, "b")], [(3, "c"), (4, "d")], [(5, "e")]]
    assert counts(desk, 5).published == 5


def test_what_failed_is_offered_again_under_the_same_numbers_before_what_came_later(made):
    desk = made(AWAY)
    desk.put("a")
    desk.put("b")
    assert desk.turn() == 2.0
    desk.put("c")
    assert desk.turn() == 2.0  # the retry is not due yet
    assert counts(desk, 3).queued == 3
    desk.clock.now += 2.0
    assert desk.turn() is None
    assert desk.broker.calls == [[(1, "a"), (2, "b")], [(1, "a"), (2, "b"), (3, "c")]]
    assert counts(desk, 3).retried == 2


def test_pauses_grow_to_five_seconds_and_start_anew_after_a_success(made):
    desk = made(*[AWAY] * 4)
    desk.put("a")
    pauses = []
    for _ in range(4):
        pauses.append(desk.turn())
        desk.clock.now += pauses[-1]
    assert pauses == [2.0, 4.0, 5.0, 5.0]
    assert desk.turn() is None
    desk.broker.answers.append(AWAY)
    desk.put("b")
    assert desk.turn() == 2.0


def test_of_a_batch_that_was_taken_in_part_the_rest_waits(made):
    desk = made(1)
    for name in "abc":
        desk.put(name)
    assert desk.turn() == 2.0
    stats = counts(desk, 3)
    assert (stats.published, stats.queued) == (1, 2)
    desk.clock.now += 2.0
    desk.turn()
    assert desk.broker.calls[1] == [(2, "b"), (3, "c")]


@pytest.mark.parametrize(
    "answer", [None, -1, 4, "3", RuntimeError("of the app's own"), OSError("gone"), MemoryError()], ids=repr
)
def test_whatever_a_broker_answers_or_raises_nothing_is_lost_or_doubled(made, answer):
    desk = made(answer)
    for name in "abc":
        desk.put(name)
    assert desk.turn() == 2.0
    stats = counts(desk, 3)
    assert (stats.published, stats.queued) == (0, 3)
    desk.clock.now += 2.0
    assert desk.turn() is None
    assert desk.broker.names == [["a", "b", "c"]] * 2
    assert counts(desk, 3).published == 3


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit()], ids=repr)
def test_a_ctrl_c_while_the_apps_own_thread_publishes_goes_on_and_leaves_all_in_order(made, interruption):
    desk = made(interruption)
    desk.put("a")
    desk.put("b")
    with pytest.raises(type(interruption)):
        desk.turn()
    assert counts(desk, 2).queued == 2
    assert desk.turn() is None
    assert desk.broker.calls == [[(1, "a"), (2, "b")]] * 2
    assert counts(desk, 2).published == 2


def test_a_ctrl_c_in_on_error_loses_nobody_else(made):
    def interrupted(_):
        raise KeyboardInterrupt

    desk = made(AWAY, max_age=10, on_error=interrupted)
    desk.put("old")
    desk.turn()
    desk.clock.now += 11
    desk.put("new")
    with pytest.raises(KeyboardInterrupt):
        desk.turn()
    assert desk.turn() is None
    stats = counts(desk, 2)
    assert (stats.published, stats.given_up) == (1, 1)


def test_an_item_that_is_too_old_is_given_up_and_on_error_told(made):
    told = []
    desk = made(AWAY, max_age=10, on_error=told.append)
    desk.put("old")
    desk.turn()
    desk.clock.now += 9
    desk.put("young")
    desk.clock.now += 2
    assert desk.turn() is None
    assert desk.broker.names == [["old"], ["young"]]
    assert [(lost.item.name, lost.reason, lost.attempts) for lost in told] == [("old", "max_age", 1)]
    assert counts(desk, 2).given_up == 1


def test_an_item_that_cannot_be_written_holds_nobody_up(made, monkeypatch):
    written = transports.message_of

    def message_of(item, at, message_id):
        if item.name == "b":
            raise TypeError("of ours")
        return written(item, at, message_id)

    monkeypatch.setattr(transports, "message_of", message_of)
    desk = made()
    for name in "abc":
        desk.put(name)
    assert desk.turn() is None
    assert desk.broker.calls == [[(1, "a"), (2, "c")]]
    assert counts(desk, 3).dropped == {"internal_error": 1}


def test_a_delete_removes_what_waits_of_its_user_and_goes_itself(made):
    desk = made(AWAY)
    desk.track("mine", user="u1")
    desk.track("theirs", user="u2")
    desk.turn()
    desk.delete_user("u1")
    desk.clock.now += 2.0
    desk.turn()
    assert desk.broker.calls[1] == [(2, "theirs"), (3, None)]
    stats = counts(desk, 3)
    assert (stats.published, stats.dropped) == (2, {"deleted": 1})


def test_after_stop_nothing_begins(made):
    desk = made()
    desk.put("a")
    desk.dispatcher.stop()
    assert desk.turn() is None
    assert desk.broker.calls == []
    assert counts(desk, 1).queued == 1


def test_after_the_deadline_nothing_begins(made):
    desk = made()
    desk.put("a")
    desk.dispatcher.until = lambda: desk.clock.now
    assert desk.turn() is None
    assert desk.broker.calls == []


def test_the_exit_drains_what_waits(made):
    desk = made()
    desk.put("a")
    assert desk.pipeline.end(Ending(5, clock=desk.clock))
    assert desk.broker.names == [["a"]]


def test_what_cannot_be_drained_in_time_is_dropped_and_counted(made, monkeypatch):
    desk = made(*[AWAY] * 100)
    desk.put("a")
    later = lambda _, timeout, *, wakeable: setattr(desk.clock, "now", desk.clock.now + timeout)  # noqa: E731
    monkeypatch.setattr(BoundedQueue, "wait", later)
    assert not desk.pipeline.end(Ending(5, clock=desk.clock))
    assert counts_after_the_end(desk) == {"shutdown": 1}


def counts_after_the_end(desk) -> dict[str, int]:
    stats = desk.ledger.stats()
    assert (stats.captured, stats.queued, stats.in_flight) == (1, 0, 0)
    return dict(stats.dropped)


def test_withdrawing_and_amending_what_waits(made):
    desk = made(AWAY)
    desk.put("a")
    desk.put("b")
    desk.turn()
    first, second = list(desk.dispatcher._outbox._waiting.values())
    desk.dispatcher.withdraw(first, "deleted")
    desk.dispatcher.withdraw(first, "deleted")
    desk.dispatcher.amend(second, second.item.with_metadata({"more": 1}))
    desk.clock.now += 2.0
    desk.turn()
    assert desk.broker.calls[1] == [(2, "b")]
    assert counts(desk, 2).dropped == {"deleted": 1}
