"""A watcher of a ledger learns the outcome of each item, by its number in the order of capture."""

from __future__ import annotations

from typing import Any

from journy_track._delivery.ledger import Watcher

from .wire import settle


class Seen(Watcher):
    def __init__(self) -> None:
        self.settled_as: dict[int, str] = {}
        self.part_of: dict[int, int] = {}

    def settled(self, index: int, outcome: str, answer: Any, /) -> None:
        assert index not in self.settled_as
        self.settled_as[index] = outcome

    def joined(self, index: int, target: int, /) -> None:
        assert index not in self.part_of
        self.part_of[index] = target


def test_each_item_is_told_once_and_merged_ones_by_what_they_are_part_of(desk):
    made = desk(400, 201, 201)
    seen = made.ledger.watcher = Seen()
    made.track("one", user="u1")
    made.track("two")  # without a user: dropped by the worker
    made.upsert_user(user="u2", plan="pro")
    made.upsert_user(user="u2", mrr=3)
    made.track("three", user="u3")
    settle(made)
    assert seen.settled_as == {1: "status 400", 2: "no_identity", 3: "delivered", 5: "delivered"}
    assert seen.part_of == {4: 3}


def test_what_shutdown_drops_is_not_told(desk):
    made = desk()
    seen = made.ledger.watcher = Seen()
    made.put()
    made.ledger.end("shutdown")
    assert made.ledger.stats().dropped == {"shutdown": 1}
    assert seen.settled_as == {}
