"""Two calls that wait are merged into one; nothing is lost or sent out of order because of it."""

from __future__ import annotations

import json
import threading

import pytest

import journy_track
from journy_track import UserIdentified
from journy_track._capture.queue import UNIT
from journy_track._model.items import MAX_BODY

from .wire import during, sent, settle, turn, warmed

JANE = UserIdentified("u1", "jane@acme.com")


def test_upserts_of_one_identity_that_wait_become_one_and_the_later_value_wins(desk):
    made = warmed(desk)
    made.upsert_user(user="u1", plan="free", name="Jane", seats=None)
    made.upsert_user(user="u1", plan="pro", phone=None)
    made.upsert_user(user="u1", name=None, seats=3)
    settle(made)
    assert sent(made) == ["upsert u1 {'plan': 'pro', 'name': None, 'seats': 3, 'phone': None}"]
    stats = made.ledger.stats()
    assert (stats.captured, stats.delivered, stats.coalesced) == (4, 2, 2)


def test_merged_upserts_stay_charged_for_about_the_largest_call_and_no_more(desk):
    made = warmed(desk)
    for number in range(200):
        made.upsert_user(user="u1", about=f"{number:04000}")
        made.take_captured()
    charged = made.queue._used - made.queue._released
    assert MAX_BODY <= charged * UNIT <= MAX_BODY + 8_000
    settle(made)
    assert made.queue._used == made.queue._released


def test_upserts_of_one_account_that_wait_become_one(desk):
    made = warmed(desk)
    made.upsert_account(account="acme", plan="free")
    made.upsert_account(account="globex", plan="free")
    made.upsert_account(account="acme", mrr=1)
    settle(made)
    assert sent(made) == ["upsert acme {'plan': 'free', 'mrr': 1}", "upsert globex {'plan': 'free'}"]


def test_an_event_keeps_its_place_between_two_upserts(desk):
    made = warmed(desk)
    made.upsert_user(user="u1", plan="free")
    made.track("upgraded", user="u1")
    made.upsert_user(user="u1", plan="pro")
    settle(made)
    assert sent(made) == ["upsert u1 {'plan': 'free'}", "upgraded u1", "upsert u1 {'plan': 'pro'}"]


def test_upserts_after_an_event_still_become_one(desk):
    made = warmed(desk)
    made.upsert_user(user="u1", plan="free")
    made.track("upgraded", user="u1")
    made.upsert_user(user="u1", plan="pro")
    made.upsert_user(user="u1", plan="team")
    settle(made)
    assert sent(made)[1:] == ["upgraded u1", "upsert u1 {'plan': 'team'}"]


def test_what_waits_is_as_old_as_its_first_part_and_tried_as_long_as_its_last(desk):
    made = warmed(desk, max_age=60)
    made.upsert_user(user="u1", plan="free")
    made.take_captured()
    made.clock.now += 70
    made.upsert_user(user="u1", plan="pro")
    made.take_captured()
    assert made.ledger.ages()[0] == 70  # health() reports the stall
    settle(made)
    assert sent(made) == ["upsert u1 {'plan': 'pro'}"]


def test_nothing_is_merged_across_a_delete(desk):
    made = warmed(desk, 503)
    made.track("acted", user="u1")
    during(made, 1, lambda: made.upsert_user(user="u1", plan="old", seats=1))
    turn(made)
    made.delete_user("u1")
    made.upsert_user(user="u1", plan="new")
    settle(made)
    assert sent(made) == ["acted u1", "delete u1", "upsert u1 {'plan': 'new'}"]
    assert made.ledger.stats().dropped == {"deleted": 2}


def test_nothing_is_merged_across_a_delete_that_waits(desk):
    made = warmed(desk)
    during(made, 1, lambda: (made.delete_user("u1"), made.upsert_user(user="u1", plan="new")))
    made.upsert_user(user="u1", plan="old", seats=1)
    settle(made)
    assert sent(made) == ["upsert u1 {'plan': 'old', 'seats': 1}", "delete u1", "upsert u1 {'plan': 'new'}"]


def test_identities_that_are_not_written_alike_are_not_merged(desk):
    made = warmed(desk)
    made.upsert_user(user="u1", plan="free")
    made.upsert_user(user=JANE, plan="pro")
    made.upsert_user(user=UserIdentified(email="jane@acme.com"), plan="team")
    settle(made)
    assert len(sent(made)) == 3


def test_what_is_on_its_way_is_not_joined(desk):
    made = warmed(desk, 503)
    made.upsert_user(user="u1", plan="free")
    during(made, 1, lambda: made.upsert_user(user="u1", plan="pro"))
    settle(made)
    assert sent(made) == ["upsert u1 {'plan': 'free'}"] * 2 + ["upsert u1 {'plan': 'pro'}"]


def test_memberships_of_one_account_become_calls_of_at_most_100_users(desk):
    made = warmed(desk)
    for number in range(250):
        made.add_users_to_account("acme", [f"u{number}", "u0"])
    settle(made)
    members = [
        [user["identification"]["userId"] for user in json.loads(r.body)["users"]] for r in made.script.requests
    ]
    assert [len(users) for users in members] == [100, 100, 52]
    assert {user for users in members for user in users} == {f"u{number}" for number in range(250)}
    assert made.ledger.stats().coalesced == 247


def test_joining_and_leaving_are_not_merged_and_keep_their_order(desk):
    made = warmed(desk)
    made.add_users_to_account("acme", ["u1"])
    made.remove_users_from_account("acme", ["u1"])
    made.add_users_to_account("acme", ["u1"])
    made.add_users_to_account("globex", ["u2"])
    settle(made)
    assert sent(made) == ["add acme u1", "remove acme u1", "add acme u1", "add globex u2"]


def test_a_membership_is_not_joined_when_something_waits_behind_it(desk):
    made = warmed(desk)
    made.add_users_to_account("acme", ["u1"])
    made.track("acted", user="u1")
    made.add_users_to_account("acme", ["u2"])
    settle(made)
    assert sorted(sent(made)) == ["acted u1", "add acme u1", "add acme u2"]


def test_a_member_that_joins_a_call_waits_for_what_came_before_it(desk):
    made = warmed(desk, 503)
    made.upsert_user(user="u2", plan="pro")
    made.add_users_to_account("acme", ["u1"])
    made.add_users_to_account("acme", ["u2"])
    settle(made)
    assert sent(made) == ["upsert u2 {'plan': 'pro'}"] * 2 + ["add acme u1 u2"]


@pytest.mark.parametrize("letter", ["🦆", '"', "\x01"], ids=["four bytes", "escaped", "escaped at length"])
def test_merging_never_makes_an_item_too_large_for_the_api(desk, letter):
    made = warmed(desk)
    for number in range(8):
        made.upsert_user(user="u1", **{f"text_{number}": letter * 7_000})
    settle(made)
    assert max(len(request.body) for request in made.script.requests) <= 64 * 1024
    stats = made.ledger.stats()
    assert stats.delivered + stats.coalesced == 9


def test_what_before_send_made_large_is_not_merged_into_something_too_large(desk):
    def enlarge(item):
        return UpsertUser(item.user, {f"text_{item.properties['number']}": "x" * 40_000})

    from journy_track import UpsertUser

    made = warmed(desk, before_send=enlarge)
    made.upsert_user(user="u1", number=1)
    made.upsert_user(user="u1", number=2)
    settle(made)
    assert [len(request.body) < 64 * 1024 for request in made.script.requests] == [True, True]


def test_with_budget_to_spare_nothing_is_held_back_to_be_merged(desk):
    made = warmed(desk)
    for plan in ("free", "pro", "team"):
        made.upsert_user(user="u1", plan=plan)
        turn(made)
    assert len(sent(made)) == 3
    assert made.ledger.stats().coalesced == 0


def test_flush_waits_for_the_item_that_one_was_merged_into(gate):
    tracker = journy_track.configure("a-key", http_client=gate)
    journy_track.track("first", user="u1")
    assert gate.entered.wait(5)
    journy_track.upsert_user(user="u1", plan="free")
    journy_track.upsert_user(user="u1", plan="pro")
    assert not tracker.flush(0.2)
    flushed: list[bool] = []
    waiting = threading.Thread(target=lambda: flushed.append(tracker.flush(10)))
    waiting.start()
    gate.opened.set()
    waiting.join(10)
    assert flushed == [True]
    assert len(gate.bodies) == 2
    assert b'"pro"' in gate.bodies[1]
    assert tracker.stats().coalesced == 1


@pytest.mark.parametrize("length", [10, 200, 700, 6_000])
def test_bytes_of_merged_items_are_given_back_as_they_were_charged(desk, length):
    made = warmed(desk)
    for letter in "abcdefghij" * 5:
        made.upsert_user(user="u1", text=letter * length)
    settle(made)
    assert made.ledger.stats().coalesced == 49
    assert made.queue._used == made.queue._released


def test_bytes_of_merged_items_are_given_back_even_when_the_call_is_settled_first(desk):
    made = warmed(desk)
    settle_job = made.dispatcher._settle

    def late(job, outcome, *details, **into):
        if outcome == "coalesced":
            made.clock.now += 1
            made.dispatcher.dispatch()  # a sender was faster than the worker
        settle_job(job, outcome, *details, **into)

    made.dispatcher._settle = late
    made.upsert_user(user="u1", text="x" * 6_000)
    made.upsert_user(user="u1", text="y" * 6_000)
    settle(made)
    assert made.ledger.stats().coalesced == 1
    assert made.queue._used == made.queue._released


def test_values_that_were_overwritten_while_they_waited_leave_room_for_others(desk):
    made = warmed(desk, *[503] * 3, queue_bytes=300_000)
    made.track("first", user="u1")
    turn(made)
    for _ in range(500):
        made.upsert_user(user="u1", text="x" * 5_000)
        turn(made)
    assert made.ledger.stats().dropped == {}
