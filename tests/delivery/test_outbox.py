"""What still has to be sent: in which order, what a retry holds back, and what a delete removes."""

from __future__ import annotations

import pytest

from journy_track import UserIdentified

from .wire import during, sent, settle, turn, warmed

JANE = UserIdentified("u1", "jane@acme.com")


@pytest.mark.slow
def test_what_a_delete_takes_away_is_not_kept_while_nothing_may_go(desk):
    made = warmed(desk)
    made.dispatcher._stopped = True
    outbox = made.dispatcher._outbox
    for account in range(20):
        for number in range(20):
            made.track("acted", user=f"u{number}", account=f"a{account}")
        made.turn()
        made.delete_account(f"a{account}")
        made.turn()
    assert len(outbox) == 20
    assert len(outbox._ready) + len(outbox._later) <= 2 * len(outbox)
    made.dispatcher._stopped = False
    settle(made)
    assert made.ledger.stats().delivered == 1 + 20


# ── A retry holds its ordering lock ──


def test_a_retry_holds_its_own_user_and_nobody_else(desk):
    made = warmed(desk, 503)
    made.track("first", user="u1", account="acme")
    made.track("second", user="u1")
    made.track("other", user="u2", account="acme")
    turn(made)
    assert sent(made) == ["first u1 acme", "other u2 acme"]
    settle(made)
    assert sent(made)[2:] == ["first u1 acme", "second u1"]


def test_what_waits_behind_an_account_goes_once_its_upsert_is_settled(desk):
    made = warmed(desk, 503)
    made.upsert_account(account="acme", plan="pro")
    made.track("one", user="u1", account="acme")
    made.track("two", user="u2", account="globex")
    turn(made)
    assert sent(made) == ["upsert acme {'plan': 'pro'}", "two u2 globex"]
    settle(made)
    assert sent(made)[2:] == ["upsert acme {'plan': 'pro'}", "one u1 acme"]


def test_after_ten_deferrals_an_item_lets_its_lane_go_on(desk):
    made = warmed(desk, *[503] * 10)
    made.track("first", user="u1")
    made.track("second", user="u1")
    for deferrals in range(1, 11):
        wait = turn(made)
        assert sent(made).count("first u1") == deferrals
        assert ("second u1" in sent(made)) == (deferrals == 10)
        made.clock.now += wait
    turn(made)
    assert made.ledger.stats().delivered == 3


def test_a_429_is_no_deferral_of_the_item(desk):
    made = warmed(desk, *[429] * 15)
    made.track("first", user="u1")
    made.track("second", user="u1")
    settle(made)
    assert sent(made) == ["first u1"] * 16 + ["second u1"]


def test_what_is_refused_for_good_lets_its_lane_go_on_at_once(desk):
    made = warmed(desk, 422)
    made.track("first", user="u1")
    made.track("second", user="u1")
    turn(made)
    stats = made.ledger.stats()
    assert (stats.given_up, stats.delivered) == (1, 2)


# ── How long an item waits ──


def test_what_waited_behind_is_given_up_when_its_own_time_is_over(desk):
    told = []
    made = warmed(desk, *[503] * 4, max_age=10, on_error=told.append)
    made.track("first", user="u1")
    turn(made)
    made.clock.now += 1
    made.track("second", user="u1")
    turn(made)
    made.clock.now += 10.5
    assert turn(made) is None
    assert [(lost.item.name, lost.reason, lost.attempts) for lost in told] == [
        ("first", "max_age", 1),
        ("second", "max_age", 0),
    ]


def test_what_is_younger_than_the_one_before_it_is_still_sent(desk):
    made = warmed(desk, 503, 503, max_age=10)
    made.track("first", user="u1")
    turn(made)
    made.clock.now += 8
    made.track("second", user="u1")
    settle(made)
    assert made.ledger.stats().given_up == 1, "the next attempt would be after its time"
    assert made.ledger.stats().delivered == 2


# ── Deletes ──


def test_a_delete_takes_along_all_that_waits_and_names_the_user(desk):
    made = warmed(desk)
    made.upsert_user(user="u1", plan="pro")
    made.track("acted", user="u1", account="acme")
    made.link("device", user="u1")
    made.add_users_to_account("globex", ["u1"])
    made.track("acted", user="u2")
    made.delete_user("u1")
    settle(made)
    assert sent(made) == ["acted u2", "delete u1"]
    assert made.ledger.stats().dropped == {"deleted": 4}


def test_a_delete_takes_along_all_that_waits_and_names_the_account(desk):
    made = warmed(desk)
    made.upsert_account(account="acme", plan="pro")
    made.track("acted", user="u1", account="acme")
    made.add_users_to_account("acme", ["u1", "u2"])
    made.track("acted", user="u1", account="globex")
    made.delete_account("acme")
    settle(made)
    assert sent(made) == ["acted u1 globex", "delete acme"]
    assert made.ledger.stats().dropped == {"deleted": 3}


def test_a_deleted_user_is_taken_out_of_memberships_and_the_others_stay(desk):
    made = warmed(desk)
    made.add_users_to_account("acme", ["u1", "u2"])
    made.remove_users_from_account("globex", ["u1", "u3"])
    made.delete_user("u1")
    settle(made)
    assert sent(made) == ["add acme u2", "remove globex u3", "delete u1"]
    assert made.ledger.stats().dropped == {}


@pytest.mark.parametrize(
    ("deleted", "gone"),
    [
        (UserIdentified("u1"), True),
        (UserIdentified(email="jane@acme.com"), True),
        (UserIdentified("u2", "jane@acme.com"), False),
    ],
    ids=["by the ID", "by the e-mail alone", "another ID with that e-mail"],
)
def test_a_delete_names_whom_it_names(desk, deleted, gone):
    made = warmed(desk)
    made.upsert_user(user=JANE, plan="pro")
    made.delete_user(deleted)
    settle(made)
    assert made.ledger.stats().dropped == ({"deleted": 1} if gone else {})


def test_a_delete_takes_nothing_along_that_comes_after_it(desk):
    made = warmed(desk)
    made.upsert_user(user="u1", plan="old")
    made.delete_user("u1")
    made.upsert_user(user="u1", plan="new")
    settle(made)
    assert sent(made) == ["delete u1", "upsert u1 {'plan': 'new'}"]


def test_a_delete_leaves_what_is_in_flight_and_goes_after_it(desk):
    made = warmed(desk)
    made.track("acted", user="u1")
    during(made, 1, lambda: made.delete_user("u1"))
    settle(made)
    assert sent(made) == ["acted u1", "delete u1"]
    assert made.ledger.stats().delivered == 3


def test_a_delete_finds_what_waits_for_a_retry(desk):
    made = warmed(desk, 503)
    made.upsert_user(user="u1", plan="pro")
    turn(made)
    made.delete_user("u1")
    settle(made)
    assert sent(made)[1:] == ["delete u1"]
    assert made.ledger.stats().dropped == {"deleted": 1}


def test_a_delete_finds_what_let_its_lane_go(desk):
    made = warmed(desk, *[503] * 10)
    made.upsert_user(user="u1", plan="pro")
    for _ in range(10):
        made.clock.now += turn(made)
    made.delete_user("u1")
    settle(made)
    assert sent(made)[10:] == ["delete u1"]
    assert made.ledger.stats().dropped == {"deleted": 1}


def test_a_delete_finds_what_let_its_lane_go_even_when_that_was_just_on_its_way(desk):
    made = warmed(desk, *[503] * 11, max_age=1e5)
    made.upsert_user(user="u1", plan="pro")
    during(made, 11, lambda: made.delete_user("u1"))
    settle(made)
    assert sent(made)[11:] == ["delete u1"], "else it would come after the delete, and bring the user back"
    assert made.ledger.stats().dropped == {"deleted": 1}


def test_an_item_does_not_let_a_delete_overtake_it_and_then_go(desk):
    made = warmed(desk, *[503] * 10)
    made.upsert_user(user="u1", plan="pro")
    during(made, 1, lambda: made.delete_user("u1"))
    settle(made)
    assert sent(made).count("upsert u1 {'plan': 'pro'}") == 10
    assert sent(made)[-1] == "delete u1"
    assert made.ledger.stats().dropped == {"deleted": 1}


def test_an_item_that_let_its_lane_go_is_sent_when_nothing_was_deleted(desk):
    made = warmed(desk, *[503] * 11, max_age=1e5)
    made.upsert_user(user="u1", plan="pro")
    during(made, 11, lambda: made.delete_user("u2"))
    settle(made)
    assert made.ledger.stats().delivered == 3


def test_nothing_is_kept_of_what_is_settled(desk):
    made = warmed(desk, *[503] * 12, max_age=1e5)
    for number in range(20):
        made.upsert_user(user=f"u{number}", plan="pro")
        made.add_users_to_account("acme", [f"u{number}"])
        made.delete_user(f"u{number}")
    settle(made)
    made.script.answers[:] = [503] * 11
    made.track("acted", user="u1")
    during(made, len(sent(made)) + 11, lambda: made.delete_user("u2"))
    settle(made)
    outbox = made.dispatcher._outbox
    kept = [outbox._waiting, *outbox._ready, outbox._joinable, outbox._loose, outbox._deletes]
    assert [len(held) for held in kept] == [0] * 5
    assert outbox._counts == [0]
    assert len(outbox._locks) == 0
