"""user(), account() and metadata() as `with` blocks and as decorators."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

import journy_track
from journy_track import AccountIdentified, Context, InvalidArgument, UserIdentified


@pytest.fixture
def switching_often():
    """Make threads switch as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_blocks_give_user_account_and_metadata_to_each_event_inside(kept):
    jane, acme = journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme", domain="acme.com")
    with jane, acme, journy_track.metadata(plan="pro"):
        journy_track.track("signed_in")
    event = kept.one()
    assert event.user == UserIdentified("u1", "jane@acme.com")
    assert event.account == AccountIdentified("acme", "acme.com")
    assert event.metadata == {"plan": "pro"}


def test_the_inner_block_wins_and_leaving_restores_what_was_there(whoami):
    seen = [whoami()]
    with journy_track.user("outer"):
        seen.append(whoami())
        with journy_track.user("inner"):
            seen.append(whoami())
        seen.append(whoami())
    assert [*seen, whoami()] == [None, "outer", "inner", "outer", None]


def test_metadata_merges_and_the_inner_value_wins():
    with journy_track.metadata(plan="free", region="eu"), journy_track.metadata({"plan": "pro", "a b": 1}, seats=3):
        assert journy_track.current_context().metadata == {"plan": "pro", "region": "eu", "a b": 1, "seats": 3}
    assert journy_track.current_context().metadata == {}


def test_user_and_account_are_independent():
    with journy_track.account("acme"), journy_track.user("u1"), journy_track.user("u2"):
        assert journy_track.current_context().account == AccountIdentified("acme")
        assert journy_track.current_context().user == UserIdentified("u2")


def test_a_block_yields_the_context_of_now():
    with journy_track.user("u1") as first, journy_track.metadata(plan="pro") as second:
        assert first == Context(user=UserIdentified("u1"))
        assert second == journy_track.current_context()


def test_an_exception_leaves_the_block_as_it_is(whoami):
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as raised, journy_track.user("u1"):
        raise error
    assert raised.value is error
    assert whoami() is None


def test_nobody_as_user_is_an_anonymous_visitor(kept):
    with journy_track.user("u1"), journy_track.account("acme"), journy_track.user(None):
        journy_track.track("viewed_page")
    event = kept.one()
    assert (event.user, event.account) == (None, AccountIdentified("acme"))


def test_nobody_as_account_hides_the_outer_account():
    with journy_track.account("acme"), journy_track.account(None):
        assert journy_track.current_context().account is None


def test_identities_are_taken_as_they_are():
    jane, acme = UserIdentified.by_email("jane@acme.com"), AccountIdentified.by_domain("acme.com")
    with journy_track.user(jane) as context, journy_track.account(acme):
        assert context.user is jane
        assert journy_track.current_context().account is acme


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: journy_track.user(""), "user_id is empty"),
        (lambda: journy_track.user(True), "user_id must be an ID"),
        (lambda: journy_track.user(AccountIdentified("a")), "user must be a user"),
        (lambda: journy_track.account(UserIdentified("u")), "account must be an account"),
        (lambda: journy_track.user(UserIdentified("u"), email="a@b.c"), "email was given as well as"),
        (lambda: journy_track.account(AccountIdentified("a"), domain="b.c"), "domain was given as well as"),
        (lambda: journy_track.metadata("plan"), "must be a mapping"),
    ],
)
def test_what_is_not_an_identity_is_refused_where_it_is_written(wrong, message):
    with pytest.raises(InvalidArgument, match=message):
        wrong()


def test_a_block_can_be_entered_again_while_it_is_open(whoami):
    jane = journy_track.user("jane")
    with jane, journy_track.user("joe"), jane:
        assert whoami() == "jane"
        with jane:
            assert whoami() == "jane"
        assert whoami() == "jane"
    assert whoami() is None


def test_a_re_entered_block_leaves_its_innermost_entry_first(whoami):
    jane = journy_track.user("jane")
    with jane:
        with journy_track.user("joe"):
            with jane:
                pass
            assert whoami() == "joe"
        assert whoami() == "jane"


def test_one_block_serves_many_tasks_at_once(whoami):
    shared = journy_track.user("shared")

    async def job(number: int) -> list[str | None]:
        with journy_track.user(f"own-{number}"):
            with shared:
                await asyncio.sleep(0)
                during = whoami()
            await asyncio.sleep(0)
            return [during, whoami()]

    async def main() -> list[list[str | None]]:
        return await asyncio.gather(*(job(number) for number in range(20)))

    assert asyncio.run(main()) == [["shared", f"own-{number}"] for number in range(20)]


def test_one_block_serves_many_threads_at_once(whoami, switching_often):
    shared = journy_track.user("shared")
    wrong: list[object] = []
    start = threading.Barrier(4)

    def work(name: str) -> None:
        start.wait(5)
        with journy_track.user(name):
            for _ in range(500):
                with shared:
                    wrong.extend([who] if (who := whoami()) != "shared" else [])
                wrong.extend([who] if (who := whoami()) != name else [])

    threads = [threading.Thread(target=work, args=(f"own-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_the_context_follows_await_tasks_and_to_thread(whoami):
    async def main() -> list[str | None]:
        with journy_track.user("u1"):
            await asyncio.sleep(0)
            task = asyncio.create_task(asyncio.to_thread(whoami))
        return [await task, whoami()]

    assert asyncio.run(main()) == ["u1", None]


def test_a_task_keeps_the_user_of_its_start_after_the_block_is_left(whoami):
    async def main() -> str | None:
        left = asyncio.Event()

        async def work() -> str | None:
            await left.wait()
            return whoami()

        with journy_track.user("u1"):
            task = asyncio.create_task(work())
        left.set()
        return await task

    assert asyncio.run(main()) == "u1"


def test_siblings_never_see_each_others_blocks(whoami):
    async def work(name: str) -> list[str | None]:
        seen = []
        with journy_track.user(name):
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append(whoami())
        return seen

    async def main() -> list[list[str | None]]:
        return await asyncio.gather(work("a"), work("b"))

    assert asyncio.run(main()) == [["a"] * 3, ["b"] * 3]


def test_left_out_the_context_decides_and_none_is_nobody(kept):
    with journy_track.user("u1"), journy_track.account("acme"):
        journy_track.track("as_context")
        journy_track.track("as_given", user="u2", account="globex")
        journy_track.track("account_only", user=None)
        journy_track.track("user_only", account=None)
    u1, u2 = UserIdentified("u1"), UserIdentified("u2")
    acme, globex = AccountIdentified("acme"), AccountIdentified("globex")
    assert [(event.user, event.account) for event in kept()] == [
        (u1, acme),
        (u2, globex),
        (None, acme),
        (u1, None),
    ]


def test_current_is_a_value_that_does_not_change():
    with journy_track.user("u1"):
        before = journy_track.current_context()
        with journy_track.user("u2"):
            assert before == Context(user=UserIdentified("u1"))
    with pytest.raises(TypeError):
        before.metadata["plan"] = "pro"


# ── As decorators ────────────────────────────────────────────────────────────────────────────────────────


def test_a_decorated_function_runs_as_the_user_at_each_call(whoami):
    as_jane = journy_track.user("jane")(whoami)
    assert [as_jane(), whoami(), as_jane()] == ["jane", None, "jane"]


def test_a_decorated_coroutine_function_runs_as_the_user_also_after_an_await(whoami):
    @journy_track.user("jane")
    async def work() -> list[str | None]:
        before = whoami()
        await asyncio.sleep(0)
        return [before, whoami()]

    async def main() -> tuple[list[str | None], str | None]:
        with journy_track.user("joe"):
            return await work(), whoami()

    assert asyncio.run(main()) == (["jane", "jane"], "joe")


def test_a_decorated_generator_runs_as_the_user_at_each_step(whoami):
    @journy_track.user("jane")
    def rows():
        yield whoami()
        yield whoami()

    assert list(rows()) == ["jane", "jane"]


def test_a_decorated_async_generator_runs_as_the_user_at_each_step(whoami):
    @journy_track.user("jane")
    async def rows():
        yield whoami()
        await asyncio.sleep(0)
        yield whoami()

    async def main() -> list[str | None]:
        return [row async for row in rows()]

    assert asyncio.run(main()) == ["jane", "jane"]


def test_a_sync_wrapper_around_a_coroutine_function_keeps_the_user_while_awaited(whoami):
    async def work() -> str | None:
        await asyncio.sleep(0)
        return whoami()

    as_jane = journy_track.user("jane")(lambda *_: work())
    assert asyncio.run(as_jane()) == "jane"


def test_methods_are_decorated_in_any_order(whoami):
    jane = journy_track.user("jane")

    class Service:
        @jane
        def method(self):
            return whoami()

        @jane
        @classmethod
        def below(cls):
            return cls.__name__, whoami()

        @classmethod
        @jane
        def above(cls):
            return cls.__name__, whoami()

        @jane
        @staticmethod
        def plain():
            return whoami()

    assert (Service().method(), Service.plain(), Service().plain()) == ("jane", "jane", "jane")
    assert Service.below() == Service.above() == Service().above() == ("Service", "jane")


def test_a_decorated_function_that_calls_itself_is_left_as_often_as_entered(whoami):
    @journy_track.user("jane")
    def down(depth: int) -> list[str | None]:
        return [whoami()] if depth == 0 else [*down(depth - 1), whoami()]

    assert down(5) == ["jane"] * 6
    assert whoami() is None
