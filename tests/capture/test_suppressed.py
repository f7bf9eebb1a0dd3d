"""Where the app wants nothing tracked: calls are counted but not logged, and removals of data are still sent."""

from __future__ import annotations

import asyncio
import logging

import pytest

import journy_track
from journy_track import DeleteUser, RemoveUsersFromAccount, track, track_event
from journy_track.testing import capture


def suppressed_of(tracker) -> dict[str, int]:
    """Return how many were dropped, by reason, without `before_send`, which drops the events kept by the fixture."""
    return {reason: count for reason, count in tracker.stats().dropped.items() if reason != "before_send"}


def test_nothing_is_captured_in_the_block_and_all_is_around_it(kept):
    with journy_track.user("u1"):
        track("before")
        with journy_track.suppressed():
            track("within")
            journy_track.upsert_user(plan="pro")
            with journy_track.scope(), journy_track.user("u2"):
                track("deeper")
        track("after")
    assert kept.names() == ["before", "after"]
    assert suppressed_of(kept.tracker) == {"suppressed": 3}


def test_it_is_silent(kept, caplog):
    with caplog.at_level(logging.DEBUG), journy_track.suppressed():
        track("within")
    assert kept() == []
    assert "suppressed" not in caplog.text


def test_a_decorated_function_of_any_kind_tracks_nothing(kept):
    @journy_track.suppressed()
    def function():
        track("within")

    @journy_track.suppressed()
    async def coroutine_function():
        await asyncio.sleep(0)
        track("within")

    @journy_track.suppressed()
    def generator():
        track("within")
        yield
        track("within")

    @journy_track.suppressed()
    async def async_generator():
        track("within")
        yield
        track("within")

    async def consume():
        await coroutine_function()
        async for _ in async_generator():
            track("consumed")

    with journy_track.user("u1"):
        function()
        for _ in generator():
            track("consumed")
        asyncio.run(consume())
    assert kept.names() == ["consumed", "consumed"]
    assert suppressed_of(kept.tracker) == {"suppressed": 6}


def test_a_call_that_would_be_no_event_is_not_counted(kept):
    @track_event("failed", on="error")
    def work(): ...

    with journy_track.suppressed():
        work()
    kept()
    assert suppressed_of(kept.tracker) == {}


def test_it_follows_await_and_tasks_and_leaves_other_tasks_alone(kept):
    async def visit(name):
        await asyncio.sleep(0)
        track(name)

    async def staff():
        with journy_track.suppressed():
            await asyncio.gather(visit("staff"), visit("staff"))
            await asyncio.to_thread(track, "staff")

    async def main():
        with journy_track.user("u1"):
            await asyncio.gather(staff(), visit("customer"))

    asyncio.run(main())
    assert kept.names() == ["customer"]
    assert suppressed_of(kept.tracker) == {"suppressed": 3}


def test_who_acts_there_is_still_known():
    with journy_track.user("u1"), journy_track.suppressed():
        assert journy_track.current_context().user == journy_track.UserIdentified("u1")


def test_deletes_and_removals_go_out(kept):
    with journy_track.suppressed():
        journy_track.delete_user("u1")
        journy_track.remove_users_from_account("acme", ["u1"])
        journy_track.add_users_to_account("acme", ["u1"])
    assert [type(item) for item in kept()] == [DeleteUser, RemoveUsersFromAccount]
    assert suppressed_of(kept.tracker) == {"suppressed": 1}


def test_flushing_there_still_waits_for_delivery(api, tracker):
    track("before", user="u1")
    with journy_track.suppressed():
        assert tracker.flush(10)
    assert [event.name for event in api.events] == ["before"]


def test_what_a_hook_captures_in_such_a_block_is_still_the_hooks(api):
    def scrub(item):
        with journy_track.suppressed():
            track("scrubbed", user="u1")
            assert not journy_track.flush(5)
        return item

    tracker = journy_track.configure("a-key", base_url=api.url, before_send=scrub)
    track("visited", user="u1")
    assert tracker.flush(10)
    assert tracker.stats().dropped == {"own_code": 1}


def test_in_a_test_it_is_no_problem():
    with capture() as captured, journy_track.suppressed():
        track("within", user="u1")
    assert len(captured) == 0


# ── Consent ──────────────────────────────────────────────────────────────────────────────────────────────


def consenting(api, allow, **settings):
    return journy_track.configure("a-key", base_url=api.url, allow=allow, **settings)


def test_who_is_not_allowed_is_not_tracked_and_everybody_else_is(api, caplog):
    tracker = consenting(api, lambda user: user.user_id != "u1")
    for who in ("u1", "u2"):
        track("visited", user=who, account="acme")
        journy_track.upsert_user(user=who, plan="pro")
        journy_track.link("device", user=who)
    track("renewed", user=None, account="acme")
    assert tracker.flush(10)
    assert sorted(sent.operation for sent in api.requests) == ["link", "trackEvent", "trackEvent", "upsertUser"]
    assert [event.name for event in api.events if event.user is None] == ["renewed"]
    assert tracker.stats().dropped == {"suppressed": 3}
    assert "suppressed" not in caplog.text


def test_deletes_and_removals_of_who_is_not_allowed_go_out(api):
    tracker = consenting(api, lambda user: False)
    journy_track.delete_user("u1")
    journy_track.remove_users_from_account("acme", ["u1"])
    assert tracker.flush(10)
    assert {sent.operation for sent in api.requests} == {"deleteUser", "removeUserFromAccount"}
    assert tracker.stats().dropped == {}


def test_of_the_members_of_an_account_those_go_out_who_are_allowed(api):
    tracker = consenting(api, lambda user: user.user_id == "u2")
    journy_track.add_users_to_account("acme", ["u1", "u2"])
    journy_track.add_users_to_account("other", ["u1"])
    assert tracker.flush(10)
    [sent] = api.requests
    assert [user["identification"]["userId"] for user in sent.json["users"]] == ["u2"]
    assert tracker.stats().dropped == {"suppressed": 1}


@pytest.mark.parametrize("answer", ["raises", "promises"])
def test_without_an_answer_nobody_is_tracked_and_that_is_logged(api, caplog, answer):
    async def promised(user):
        return True

    def allow(user):
        if answer == "raises":
            raise ConnectionError("jane@acme.com")
        return promised(user)

    tracker = consenting(api, allow)
    track("visited", user="u1")
    assert tracker.flush(10)
    assert not api.requests
    assert tracker.stats().dropped == {"allow_failed": 1}
    assert "counted as allow_failed: allow raised" in caplog.text
    assert "jane@acme.com" not in caplog.text


def test_the_identity_that_before_send_returns_is_the_one_that_is_asked_about(api):
    asked = []
    tracker = consenting(api, asked.append, before_send=lambda item: item and journy_track.Event("visited", HASHED))
    track("visited", user="u1")
    assert tracker.flush(10)
    assert asked == [HASHED]


HASHED = journy_track.UserIdentified("hashed")
