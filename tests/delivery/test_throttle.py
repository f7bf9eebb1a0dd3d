"""Options that save budget: `at_most_every` and `skip_unchanged`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from journy_track import DeleteUser, Event, HttpResponse, InvalidArgument, UpsertUser, UserIdentified
from journy_track._delivery.throttle import REMEMBERED, AtMostEvery, Unchanged

from .wire import during, sent, settle, turn, warmed

JANE = UserIdentified("u1", "jane@acme.com")
BY_EMAIL = UserIdentified(email="jane@acme.com")
REJECTED = b'{"meta": {"requestId": "r", "status": 201}, "rejected": {"plan": "no such plan"}}'
U1 = UserIdentified("u1")


# ── At most every ──


def viewed(made, every: object = 60, **options):
    """Return a decorated function of that tracker, which captures when it is called."""
    return made.track_event("viewed", at_most_every=every, **options)(lambda: None)


def test_one_event_in_each_window_enters_delivery_and_the_others_are_counted(desk):
    made = warmed(desk)
    view = viewed(made, user="u1")
    for _ in range(5):
        view()
    settle(made)
    assert sent(made) == ["viewed u1"]
    assert made.ledger.stats().throttled == 4


def test_a_window_is_of_one_name_and_one_complete_identity(desk):
    made = warmed(desk)
    for identity in ({"user": "u1"}, {"user": "u2"}, {"user": "u1", "account": "acme"}, {"user": JANE}):
        for name in ("viewed", "opened"):
            decorated = made.track_event(name, at_most_every=60, **identity)(lambda: None)
            decorated()
            decorated()
    settle(made)
    assert len(sent(made)) == 8
    assert made.ledger.stats().throttled == 8


def test_windows_are_judged_by_the_time_of_capture():
    windows = AtMostEvery()
    event = Event("viewed", U1)
    captured = [(1000.0, True), (1009.9, False), (1010.0, True), (1015.0, False), (1020.0, True)]
    assert [windows.lets_through(event, 10, at) for at, _ in captured] == [through for _, through in captured]


def test_a_wall_clock_that_is_set_back_does_not_stop_events_for_long():
    windows = AtMostEvery()
    event = Event("viewed", U1)
    assert windows.lets_through(event, 10, 100_000.0)
    assert windows.lets_through(event, 10, 1000.0)
    assert not windows.lets_through(event, 10, 1001.0)


def test_what_before_send_answers_is_what_is_judged_and_what_it_drops_takes_no_window(desk):
    answers = [None, lambda event: event, lambda event: Event("viewed", UserIdentified("u2"))]

    def before_send(item):
        answer = answers.pop(0) if answers else None
        return answer if answer is None else answer(item)

    made = desk(before_send=before_send)
    for _ in range(3):
        viewed(made, user="u1")()
    settle(made)
    assert sent(made) == ["viewed u1", "viewed u2"]
    assert (made.ledger.stats().throttled, made.ledger.stats().dropped) == (0, {"before_send": 1})


def test_a_retry_is_not_asked_again(desk):
    made = warmed(desk, 503, 503)
    viewed(made, 3600, user="u1")()
    settle(made)
    assert sent(made) == ["viewed u1"] * 3
    assert made.ledger.stats().throttled == 0


def test_an_event_without_the_option_is_neither_throttled_nor_does_it_throttle(desk):
    made = warmed(desk)
    made.track("viewed", user="u1")
    view = viewed(made, user="u1")
    view()
    made.track("viewed", user="u1")
    view()
    settle(made)
    assert len(sent(made)) == 3


@pytest.mark.parametrize(
    "every", [0, -1, 0.0, True, float("nan"), float("inf"), "60", timedelta(0), timedelta(-1), [60]]
)
def test_a_window_is_seconds_above_0_or_a_timedelta(desk, every):
    with pytest.raises(InvalidArgument, match="at_most_every must be seconds above 0, or a timedelta"):
        desk().track_event("viewed", at_most_every=every)


@pytest.mark.parametrize("every", [1, 0.5, timedelta(milliseconds=1), timedelta(days=30), None])
def test_windows_that_are_taken(desk, every):
    desk().track_event("viewed", at_most_every=every)


def test_the_windows_are_remembered_in_bounded_memory_and_the_oldest_is_forgotten():
    windows = AtMostEvery()
    for number in range(REMEMBERED + 1):
        assert windows.lets_through(Event("viewed", UserIdentified(number)), 60, 1000.0)
    assert len(windows._last) == REMEMBERED
    assert not windows.lets_through(Event("viewed", UserIdentified(1)), 60, 1000.0)
    assert windows.lets_through(Event("viewed", UserIdentified(0)), 60, 1000.0)


# ── Skip unchanged ──


def upserted(made, *plans: object, user: object = "u1") -> int:
    """Upsert the values one after the other, each settled before the next. Returns how many requests that took."""
    before = len(made.script.requests)
    for plan in plans:
        made.upsert_user(user=user, plan=plan)
        settle(made)
    return len(made.script.requests) - before


def skipping(desk, *answers, **settings):
    return warmed(desk, *answers, skip_unchanged=60, **settings)


def test_an_identical_upsert_is_not_sent_again_within_the_window(desk):
    made = skipping(desk)
    assert upserted(made, "pro", "pro", "pro") == 1
    assert made.ledger.stats().coalesced == 2
    made.clock.now += 61
    assert upserted(made, "pro") == 1


def test_the_window_begins_with_what_was_sent_and_not_with_what_was_skipped(desk):
    made = skipping(desk)
    upserted(made, "pro")
    for _ in range(3):
        made.clock.now += 25
        requests = upserted(made, "pro")
    assert requests == 1


def test_it_is_off_unless_asked_for(desk):
    assert upserted(warmed(desk), "pro", "pro") == 2


def test_accounts_are_skipped_as_well(desk):
    made = skipping(desk)
    for _ in range(3):
        made.upsert_account(account="acme", plan="pro")
        settle(made)
    assert len(sent(made)) == 1


def test_there_and_back_again_is_sent_three_times(desk):
    assert upserted(skipping(desk), 1, 2, 1) == 3


@pytest.mark.parametrize("values", [(1, True), (0, False), (1, "1"), ("", None), (1, 1.5)], ids=str)
def test_values_that_are_not_the_same_to_journy_io_are_sent(desk, values):
    assert upserted(skipping(desk), *values) == 2


def test_an_upsert_by_email_alone_in_between_may_have_changed_it(desk):
    made = skipping(desk)
    assert upserted(made, 1, user=JANE) == 1
    assert upserted(made, 2, user=BY_EMAIL) == 1
    assert upserted(made, 1, user=JANE) == 1
    assert upserted(made, 1, user=JANE) == 0


@pytest.mark.parametrize("deleted", [JANE, U1, BY_EMAIL], ids=str)
def test_it_is_forgotten_when_the_user_is_deleted(desk, deleted):
    made = skipping(desk)
    upserted(made, "pro", user=JANE)
    made.delete_user(deleted)
    settle(made)
    assert upserted(made, "pro", user=JANE) == 1


def test_what_was_on_its_way_when_the_user_was_deleted_is_not_confirmed(desk):
    made = skipping(desk)
    during(made, 1, lambda: made.delete_user("u1"))
    assert upserted(made, "pro", "pro") == 3


@pytest.mark.parametrize("answer", [422, 400], ids=str)
def test_what_was_given_up_is_sent_again(desk, answer):
    assert upserted(skipping(desk, answer), "pro", "pro") == 2


def test_a_failure_in_between_makes_the_former_values_unsure(desk):
    made = skipping(desk)
    upserted(made, "free")
    made.script.answers[:] = [422]
    assert upserted(made, "pro", "free") == 2


def test_properties_that_were_rejected_are_sent_again(desk):
    taken = HttpResponse(201, {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "999999"}, REJECTED)
    assert upserted(skipping(desk, taken), "pro", "pro", "pro") == 2


def test_what_is_on_its_way_is_not_confirmed_yet(desk):
    made = skipping(desk)
    during(made, 1, lambda: made.upsert_user(user="u1", plan="pro"))
    assert upserted(made, "pro") == 2


def test_what_still_waits_counts_as_the_last_that_was_said(desk):
    made = skipping(desk, 503, 503)
    during(made, 2, lambda: made.upsert_user(user="u1", plan=2))
    assert upserted(made, 1) == 4
    assert upserted(made, 1) == 1, "journy.io has 2"


def test_a_retry_that_comes_after_its_successor_leaves_nobody_sure(desk):
    made = warmed(desk, *[503] * 10, max_age=1e6, skip_unchanged=1e6)
    made.upsert_user(user="u1", plan=1)
    for _ in range(9):
        made.clock.now += turn(made)
    turn(made)
    made.upsert_user(user="u1", plan=2)
    settle(made)
    assert sent(made)[10:] == ["upsert u1 {'plan': 2}", "upsert u1 {'plan': 1}"]
    assert upserted(made, 2) == 1, "journy.io has 1"


def test_a_former_one_that_was_given_up_after_its_successor_leaves_nobody_sure(desk):
    made = warmed(desk, *[500] * 10, 201, 422, max_age=1e6, skip_unchanged=1e6)
    made.upsert_user(user="u1", plan=1)
    for _ in range(9):
        made.clock.now += turn(made)
    turn(made)
    assert upserted(made, 2) == 2
    assert upserted(made, 2) == 1, "one of the 500s may have been processed late"


def test_what_was_queued_meanwhile_is_not_confirmed_by_its_predecessor(desk):
    made = skipping(desk, 201, 503)
    made.upsert_user(user="u1", plan=1)
    during(made, 1, lambda: made.upsert_user(user="u1", plan=2))
    turn(made)
    made.upsert_user(user="u1", plan=2)
    settle(made)
    assert sent(made) == ["upsert u1 {'plan': 1}", *["upsert u1 {'plan': 2}"] * 3]


def test_what_merged_while_it_waited_is_confirmed_as_a_whole(desk):
    made = skipping(desk)
    made.upsert_user(user="u1", plan="pro")
    made.upsert_user(user="u1", name="Jane")
    settle(made)
    made.upsert_user(user="u1", plan="pro", name="Jane")
    settle(made)
    assert len(sent(made)) == 1
    assert upserted(made, "pro") == 1, "which says less, and is not what was said last"


@pytest.mark.slow
def test_what_is_confirmed_is_remembered_in_bounded_memory_and_the_oldest_is_forgotten():
    unchanged = Unchanged(60)
    for number in range(REMEMBERED + 1):
        item = UpsertUser(UserIdentified(number), {"plan": "pro"})
        assert not unchanged.is_unchanged(item, number, 0.0)
        unchanged.confirmed(item, number, 0.0)
    assert len(unchanged._last) == REMEMBERED
    assert unchanged.is_unchanged(UpsertUser(UserIdentified(1), {"plan": "pro"}), 0, 1.0)
    assert not unchanged.is_unchanged(UpsertUser(UserIdentified(0), {"plan": "pro"}), 0, 1.0)


def test_nothing_is_remembered_unless_asked_for():
    unchanged = Unchanged(0)
    item = UpsertUser(U1, {"plan": "pro"})
    assert not unchanged.is_unchanged(item, 1, 0.0)
    unchanged.sends(item, 1)
    unchanged.confirmed(item, 1, 0.0)
    unchanged.forget(DeleteUser(U1))
    assert len(unchanged._last) == 0
