"""Which items have to wait for which others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from journy_track import (
    AccountIdentified,
    AddUsersToAccount,
    DeleteUser,
    Event,
    UpsertAccount,
    UpsertUser,
    UserIdentified,
)
from journy_track._delivery.ordering import OrderingLocks, claims_of
from journy_track._model.items import Item
from journy_track._stores.store import Job

ACME, GLOBEX = AccountIdentified("acme"), AccountIdentified("globex")
U1, U2 = UserIdentified("u1"), UserIdentified("u2")
U1_WITH_EMAIL, U2_WITH_EMAIL = UserIdentified("u1", "jane@acme.com"), UserIdentified("u2", "jane@acme.com")
JANE = UserIdentified(email="jane@acme.com")


def event(user: UserIdentified | None = None, account: AccountIdentified | None = None) -> Event:
    return Event("happened", user, account)


class Claims:
    """Items that claim their ordering locks in order."""

    def __init__(self, *items: Item) -> None:
        self.locks: OrderingLocks = OrderingLocks()
        self.claims = [self._enter(item) for item in items]

    def _enter(self, item: Item) -> Job:
        claim = Job(0, 0.0, 0.0)
        self.locks.enter(claim, claims_of(item))
        return claim

    @property
    def ready(self) -> list[bool]:
        return [not claim.blocked for claim in self.claims]


def test_events_of_one_user_go_one_after_the_other() -> None:
    claimed = Claims(event(U1), event(U1, ACME), event(U1))
    assert claimed.ready == [True, False, False]
    assert claimed.locks.leave(claimed.claims[0]) == [claimed.claims[1]]


def test_events_of_different_users_of_one_account_go_side_by_side() -> None:
    assert Claims(event(U1, ACME), event(U2, ACME), event(None, ACME)).ready == [True, True, True]


def test_events_of_an_account_alone_go_one_after_the_other() -> None:
    assert Claims(event(None, ACME), event(None, ACME), event(None, GLOBEX)).ready == [True, False, True]


def test_an_upsert_waits_for_what_names_its_account_and_holds_back_what_comes_after() -> None:
    claimed = Claims(event(U1, ACME), event(U2, ACME), UpsertAccount(ACME), event(U1, ACME), event(U1, GLOBEX))
    assert claimed.ready == [True, True, False, False, False]
    assert claimed.locks.leave(claimed.claims[0]) == []
    assert claimed.locks.leave(claimed.claims[1]) == [claimed.claims[2]]
    assert claimed.locks.leave(claimed.claims[2]) == [claimed.claims[3]]
    assert claimed.locks.leave(claimed.claims[3]) == [claimed.claims[4]]


def test_a_membership_is_a_barrier_for_its_account_and_each_of_its_users() -> None:
    membership = AddUsersToAccount(ACME, (U1, U2))
    claimed = Claims(UpsertUser(U2), membership, event(U1), event(None, ACME), event(UserIdentified("u3")))
    assert claimed.ready == [True, False, False, False, True]


def test_users_are_one_by_id_or_when_one_lacks_it_by_email_as_given() -> None:
    assert Claims(event(U1_WITH_EMAIL), event(U2_WITH_EMAIL)).ready == [True, True], "two IDs are two users"
    assert Claims(event(U1_WITH_EMAIL), event(JANE)).ready == [True, False]
    assert Claims(event(JANE), event(U1_WITH_EMAIL), event(U2_WITH_EMAIL)).ready == [True, False, False]
    assert Claims(event(JANE), event(U1)).ready == [True, True], "aliases are not learned"
    assert Claims(DeleteUser(JANE), event(U1_WITH_EMAIL)).ready == [True, False]


def test_what_leaves_early_does_not_let_others_pass_who_still_wait() -> None:
    claimed = Claims(event(U1), UpsertUser(U1), event(U1))
    assert claimed.locks.leave(claimed.claims[1]) == []
    assert claimed.locks.leave(claimed.claims[0]) == [claimed.claims[2]]
    assert claimed.locks.leave(claimed.claims[2]) == []
    assert len(claimed.locks) == 0


def test_only_the_last_can_be_joined() -> None:
    claimed = Claims(UpsertUser(U1), UpsertUser(U2), event(U1))
    assert not claimed.locks.is_last(claimed.claims[0])
    assert claimed.locks.is_last(claimed.claims[1])


identities = st.sampled_from([U1, U2, U1_WITH_EMAIL, U2_WITH_EMAIL, JANE])
accounts = st.sampled_from(
    [ACME, GLOBEX, AccountIdentified("acme", "acme.com"), AccountIdentified(domain="acme.com")]
)
items = st.one_of(
    st.builds(event, identities, st.none() | accounts),
    st.builds(event, st.none(), accounts),
    st.builds(UpsertUser, identities),
    st.builds(UpsertAccount, accounts),
    st.builds(
        lambda account, users: AddUsersToAccount(account, tuple(users)), accounts, st.sets(identities, min_size=1)
    ),
)


def must_wait(later: Item, earlier: Item) -> bool:
    """What is promised, stated independently: items of one user stay in order, and barriers with what they name."""
    both_events = isinstance(later, Event) and isinstance(earlier, Event)
    if both_events:
        if later.user is not None and earlier.user is not None:
            return later.user.same_as(earlier.user)
        if later.user is None and earlier.user is None and later.account and earlier.account:
            return later.account.same_as(earlier.account)
        return False
    users = [(a, b) for a in users_of(later) for b in users_of(earlier)]
    named = [(a, b) for a in accounts_of(later) for b in accounts_of(earlier)]
    return any(a.same_as(b) for a, b in users) or any(a.same_as(b) for a, b in named)


def users_of(item: Item) -> list[UserIdentified]:
    many = getattr(item, "users", None)
    return list(many) if many is not None else [u for u in [getattr(item, "user", None)] if u is not None]


def accounts_of(item: Item) -> list[AccountIdentified]:
    return [a for a in [getattr(item, "account", None)] if a is not None]


@given(st.lists(items, max_size=14), st.randoms(use_true_random=False))
def test_the_order_holds_also_when_some_leave_who_still_wait(lot: list[Item], chance) -> None:  # type: ignore[no-untyped-def]
    """A delete removes waiting items, wherever they are in the order."""
    claimed = Claims(*lot)
    waiting = dict(enumerate(claimed.claims))
    while waiting:
        ready = {number for number, claim in waiting.items() if not claim.blocked}
        assert ready, "all wait for each other"
        for number, claim in waiting.items():
            behind = [later for later in waiting if later > number and must_wait(lot[later], lot[number])]
            assert not ready.intersection(behind), (lot[number], [lot[later] for later in behind])
            if claimed.locks.is_last(claim):
                assert not behind, "what joined it would overtake"
        left = chance.choice(list(waiting))
        called = claimed.locks.leave(waiting.pop(left))
        assert {id(claim) for claim in called} == {
            id(claim) for number, claim in waiting.items() if not claim.blocked and number not in ready
        }
    assert len(claimed.locks) == 0


@given(st.lists(items, max_size=14), st.randoms(use_true_random=False))
def test_nothing_overtakes_what_it_must_wait_for_and_nothing_waits_for_ever(lot: list[Item], chance) -> None:  # type: ignore[no-untyped-def]
    claimed = Claims(*lot)
    waiting = dict(enumerate(claimed.claims))
    while waiting:
        ready = [number for number, claim in waiting.items() if not claim.blocked]
        assert ready, "all wait for each other"
        for number in ready:
            for before in waiting:
                if before < number:
                    assert not must_wait(lot[number], lot[before]), (lot[before], lot[number])
        claimed.locks.leave(waiting.pop(chance.choice(ready)))
    assert len(claimed.locks) == 0
