"""From the verb to the API: everything arrives once, with the values it had when it was captured."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

import journy_track
from journy_track import UserIdentified


def test_an_event_keeps_the_user_of_the_moment_it_was_captured(api, tracker, balance):
    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme"):
        journy_track.track("signed_in")
    with journy_track.user("u2"):
        assert tracker.flush(5)
    assert api.requests[0].json["identification"] == {
        "user": {"userId": "u1", "email": "jane@acme.com"},
        "account": {"accountId": "acme"},
    }
    assert balance(tracker, captured=1).delivered == 1


def test_an_event_keeps_the_metadata_of_the_moment_it_was_captured(api, tracker, balance):
    given = {"theme": "dark"}
    with journy_track.user("u1"), journy_track.metadata(region="eu"):
        journy_track.track("updated_settings", given)
        given["theme"] = "light"
    assert tracker.flush(5)
    assert api.events[0].metadata == {"region": "eu", "theme": "dark"}
    assert balance(tracker, captured=1).delivered == 1


@pytest.mark.slow
def test_triggered_at_is_the_moment_of_capture_and_not_of_sending(api, tracker):
    api.answer_next(500, count=1)
    before = datetime.now(UTC)
    journy_track.track("signed_in", user="u1")
    after = datetime.now(UTC)
    assert tracker.flush(5)
    sent = datetime.fromisoformat(api.events[0].triggered_at)
    assert before - timedelta(milliseconds=1) <= sent <= after
    assert api.events[0].triggered_at.endswith("Z")


def test_triggered_at_is_the_moment_that_the_caller_names(api, tracker):
    zone = timezone(timedelta(hours=2))
    journy_track.track("signed_up", user="u1", happened_at=datetime(2024, 5, 1, 12, 30, tzinfo=zone))
    assert tracker.flush(5)
    assert api.events[0].triggered_at == "2024-05-01T10:30:00.000Z"


def test_an_event_of_an_account_alone_names_no_user(api, tracker):
    journy_track.track("paid_invoice", user=None, account="acme", amount=12.5)
    assert tracker.flush(5)
    assert api.requests[0].json["identification"] == {"account": {"accountId": "acme"}}
    assert api.events[0].metadata == {"amount": 12.5}


def test_upserts_arrive(api, tracker, balance):
    with journy_track.user("u1"), journy_track.account("acme"):
        journy_track.upsert_user(full_name="Jane", phone=None, tags=["a", 1])
        journy_track.upsert_account(plan="pro", mrr=100)
    assert tracker.flush(5)
    assert [(r.path, r.json) for r in api.requests] == [
        (
            "/users/upsert",
            {
                "identification": {"userId": "u1"},
                "properties": {"full_name": "Jane", "phone": None, "tags": ["a", "1"]},
            },
        ),
        (
            "/accounts/upsert",
            {"identification": {"accountId": "acme"}, "properties": {"plan": "pro", "mrr": 100}},
        ),
    ]
    assert balance(tracker, captured=2).delivered == 2


def test_250_users_join_and_leave_an_account_in_three_calls_each(api, tracker, balance):
    users = [f"u{number}" for number in range(250)]
    journy_track.add_users_to_account("acme", users)
    journy_track.remove_users_from_account("acme", users)
    assert tracker.flush(5)
    assert [len(request.json["users"]) for request in api.requests] == [100, 100, 50] * 2
    sent = [user["identification"]["userId"] for request in api.requests[:3] for user in request.json["users"]]
    assert sent == users
    assert [len(account.removed) for account in api.accounts] == [250]
    assert balance(tracker, captured=6).delivered == 6


def test_deletes_arrive_and_do_not_read_the_context(api, tracker):
    with journy_track.user("somebody else"), journy_track.account("another"):
        journy_track.delete_user("u1")
        journy_track.delete_user(UserIdentified.by_email("jane@acme.com"))
        journy_track.delete_account("acme")
    assert tracker.flush(5)
    assert [(request.method, request.path, request.json) for request in api.requests] == [
        ("DELETE", "/users", {"identification": {"userId": "u1"}}),
        ("DELETE", "/users", {"identification": {"email": "jane@acme.com"}}),
        ("DELETE", "/accounts", {"identification": {"accountId": "acme"}}),
    ]


def test_a_device_is_linked_to_the_user(api, tracker):
    journy_track.link("device-1", user="u1")
    assert tracker.flush(5)
    assert api.requests[0].json == {"deviceId": "device-1", "identification": {"userId": "u1"}}


def test_no_device_is_linked_silently_not_at_all(api, tracker, caplog, balance):
    journy_track.link(None, user="u1")
    journy_track.link("", user="u1")
    assert tracker.flush(5)
    balance(tracker, captured=0)
    assert not api.requests
    assert not caplog.records


def test_the_items_of_a_user_go_in_the_order_of_capture(api, tracker):
    for number in range(200):
        journy_track.track(f"event_{number}", user=f"u{number % 7}")
    assert tracker.flush(10)
    for user in range(7):
        names = [event.name for event in api.events if event.user == {"userId": f"u{user}"}]
        assert names == [f"event_{number}" for number in range(200) if number % 7 == user]


@pytest.mark.slow
def test_the_order_of_capture_survives_a_retry(api, tracker):
    api.answer_next(503, count=2)
    for number in range(20):
        journy_track.track(f"event_{number}", user="u1")
    assert tracker.flush(10)
    assert [event.name for event in api.events] == [f"event_{number}" for number in range(20)]


@pytest.mark.slow
def test_a_thousand_events_of_threads_and_tasks_arrive_each_with_its_own_user(api, tracker, balance):
    def in_a_thread(number: int) -> None:
        for turn in range(50):
            with journy_track.user(f"thread-{number}"):
                journy_track.track("worked", where=f"thread-{number}", turn=turn)

    async def in_a_task(number: int) -> None:
        with journy_track.user(f"task-{number}"):
            for turn in range(6):
                journy_track.track("worked", where=f"task-{number}", turn=turn)
                await asyncio.sleep(0)

    async def tasks() -> None:
        await asyncio.gather(*(in_a_task(number) for number in range(100)))

    threads = [threading.Thread(target=in_a_thread, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()

    assert tracker.flush(20)
    arrived = [(event.user["userId"], event.metadata["where"], event.metadata["turn"]) for event in api.events]
    expected = [(f"thread-{n}", f"thread-{n}", turn) for n in range(8) for turn in range(50)]
    expected += [(f"task-{n}", f"task-{n}", turn) for n in range(100) for turn in range(6)]
    assert sorted(arrived) == sorted(expected)
    stats = balance(tracker, captured=1000)
    assert stats.delivered == api.counts.accepted == 1000
