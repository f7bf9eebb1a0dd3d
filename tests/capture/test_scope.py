"""scope(), and the functions that fill it: set_user(), set_account() and add_metadata()."""

from __future__ import annotations

import asyncio
import threading

import pytest

import journy_track
from journy_track import AccountIdentified, Context, UserIdentified


def test_what_is_set_in_a_scope_holds_until_the_scope_ends(kept):
    with journy_track.scope():
        journy_track.set_user("u1", email="jane@acme.com")
        journy_track.set_account("acme")
        journy_track.add_metadata({"plan": "free"}, region="eu")
        journy_track.add_metadata(plan="pro")
        journy_track.track("signed_in")
    event = kept.one()
    assert event.user == UserIdentified("u1", "jane@acme.com")
    assert event.account == AccountIdentified("acme")
    assert event.metadata == {"plan": "pro", "region": "eu"}
    assert journy_track.current_context() == Context()


def test_a_scope_inherits_nothing():
    with journy_track.user("u1"), journy_track.account("acme"), journy_track.metadata(plan="pro"):
        with journy_track.scope() as context:
            assert context == Context()
        assert journy_track.current_context().user == UserIdentified("u1")


def test_a_scope_inherits_when_asked_and_keeps_its_own_changes():
    with journy_track.user("u1"), journy_track.metadata(plan="pro"):
        with journy_track.scope(inherit=True) as context:
            assert context.user == UserIdentified("u1")
            journy_track.set_user("u2")
            journy_track.add_metadata(seats=3)
            assert journy_track.current_context() == Context(UserIdentified("u2"), None, {"plan": "pro", "seats": 3})
        assert journy_track.current_context() == Context(UserIdentified("u1"), None, {"plan": "pro"})


def test_a_scope_in_a_scope_is_its_own(whoami):
    with journy_track.scope():
        journy_track.set_user("request")
        with journy_track.scope():
            assert whoami() is None
            journy_track.set_user("job")
        assert whoami() == "request"


def test_an_enclosing_block_inside_the_scope_still_wins(whoami):
    with journy_track.scope(), journy_track.metadata(plan="block"):
        with journy_track.user("block"):
            journy_track.set_user("request")
            journy_track.add_metadata(plan="request", region="eu")
            assert whoami() == "block"
            assert journy_track.current_context().metadata == {"plan": "block", "region": "eu"}
        assert whoami() == "request"


def test_an_anonymous_block_wins_too(whoami):
    with journy_track.scope():
        journy_track.set_user("request")
        with journy_track.user(None):
            assert whoami() is None


def test_setting_nobody_makes_the_request_anonymous(whoami):
    with journy_track.scope():
        journy_track.set_user("u1")
        journy_track.set_account("acme")
        journy_track.set_user(None)
        journy_track.set_account(None)
        assert journy_track.current_context() == Context()


def test_what_a_child_task_sets_is_seen_by_the_request_and_its_other_tasks(whoami):
    async def authenticate() -> None:
        journy_track.set_user("u1")

    async def main() -> list[str | None]:
        with journy_track.scope():
            waiting = asyncio.Event()

            async def sibling() -> str | None:
                await waiting.wait()
                return whoami()

            task = asyncio.create_task(sibling())
            await asyncio.create_task(authenticate())
            waiting.set()
            return [whoami(), await task]

    assert asyncio.run(main()) == ["u1", "u1"]


def test_what_a_thread_pool_sets_is_seen_by_the_request(whoami):
    """As in a sync dependency of FastAPI. Naive: a ContextVar that is set in the thread pool's copy is lost."""

    async def main() -> str | None:
        with journy_track.scope():
            await asyncio.to_thread(journy_track.set_user, "u1")
            return whoami()

    assert asyncio.run(main()) == "u1"


def test_what_a_plain_thread_sets_is_seen_when_started_in_context(whoami):
    with journy_track.scope():
        thread = threading.Thread(target=journy_track.in_context(journy_track.set_user), args=("u1",))
        thread.start()
        thread.join(5)
        assert whoami() == "u1"


def test_a_plain_thread_sees_nothing_of_the_scope(whoami):
    seen: list[str | None] = []
    with journy_track.scope():
        journy_track.set_user("u1")
        thread = threading.Thread(target=lambda: seen.append(whoami()))
        thread.start()
        thread.join(5)
    assert seen == [None]


def test_jobs_with_a_scope_each_do_not_see_each_other(kept):
    async def job(number: int) -> None:
        with journy_track.scope():
            journy_track.set_user(f"u{number}")
            await asyncio.sleep(0)
            journy_track.track("worked", number=number)

    async def main() -> None:
        with journy_track.scope():
            await asyncio.gather(*(job(number) for number in range(20)))

    asyncio.run(main())
    events = kept()
    assert len(events) == 20
    assert all(event.user == UserIdentified(f"u{event.metadata['number']}") for event in events)


def test_a_request_set_from_many_threads_loses_nothing():
    start = threading.Barrier(4)

    def fill(thread: int) -> None:
        start.wait(5)
        for number in range(200):
            journy_track.add_metadata({f"{thread}.{number}": number})
            assert journy_track.current_context().metadata[f"{thread}.{number}"] == number

    with journy_track.scope():
        threads = [threading.Thread(target=journy_track.in_context(fill), args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(journy_track.current_context().metadata) == 800


def test_each_call_of_a_function_decorated_with_scope_has_one_of_its_own(whoami):
    @journy_track.scope()
    def request(user: str | None) -> list[str | None]:
        before = whoami()
        if user is not None:
            journy_track.set_user(user)
        return [before, whoami()]

    assert [request("u1"), request(None), whoami()] == [[None, "u1"], [None, None], None]


def test_a_generator_decorated_with_scope_keeps_what_its_body_sets(whoami):
    @journy_track.scope()
    def stream():
        journy_track.set_user("u1")
        yield whoami()
        yield whoami()

    assert [(row, whoami()) for row in stream()] == [("u1", None), ("u1", None)]


def test_an_event_keeps_what_the_request_held_when_it_was_captured(kept):
    with journy_track.scope():
        journy_track.set_user("u1")
        journy_track.add_metadata(step=1)
        journy_track.track("first")
        journy_track.set_user("u2")
        journy_track.add_metadata(step=2)
        journy_track.track("second")
    assert [(event.user.user_id, event.metadata["step"]) for event in kept()] == [("u1", 1), ("u2", 2)]


# ── Outside any scope ────────────────────────────────────────────────────────────────────────────────────


def test_outside_any_scope_it_lasts_until_the_context_ends_and_warns_once(elsewhere, whoami, caplog):
    def script() -> str | None:
        journy_track.set_user("u1")
        journy_track.add_metadata(plan="pro")
        journy_track.set_user("u2")
        return whoami()

    assert elsewhere(script) == "u2"
    assert elsewhere(script) == "u2"
    assert whoami() is None
    assert [record.message.count("outside any scope") for record in caplog.records] == [1]


def test_outside_any_scope_open_blocks_win_and_are_left_as_usual(elsewhere, whoami):
    def script() -> list[str | None]:
        with journy_track.user("outer"):
            with journy_track.user("inner"):
                journy_track.set_user("script")
                seen = [whoami()]
            seen.append(whoami())
        return [*seen, whoami()]

    assert elsewhere(script) == ["inner", "outer", "script"]


def test_outside_any_scope_a_task_keeps_it_to_itself(whoami):
    async def job(user: str) -> str | None:
        journy_track.set_user(user)
        await asyncio.sleep(0)
        return whoami()

    async def main() -> list[str | None]:
        return [*await asyncio.gather(job("a"), job("b")), whoami()]

    assert asyncio.run(main()) == ["a", "b", None]


@pytest.mark.parametrize("verb", [journy_track.set_user, journy_track.set_account])
def test_setting_what_is_not_an_identity_changes_nothing(verb):
    with journy_track.scope():
        with pytest.raises(journy_track.InvalidArgument):
            verb("")
        assert journy_track.current_context() == Context()
