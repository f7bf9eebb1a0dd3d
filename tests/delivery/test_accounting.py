"""Every item is in exactly one count after each step, whatever the server does; the server gets items in order."""

from __future__ import annotations

import json
import logging
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from journy_track import Event, HttpRequest, HttpResponse, MaybeSent, NotSent, UserIdentified
from journy_track._delivery.outbox import PATIENCE

from .wire import HTML_404, settle, turn, warmed

USERS = ["u1", "u2", UserIdentified("u3", "jane@acme.com"), UserIdentified(email="jane@acme.com")]
ACCOUNTS = ["acme", "globex"]
REJECTED = HttpResponse(
    201,
    {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"},
    b'{"meta": {"requestId": "r", "status": 201}, "rejected": {"other": "no"}}',
)
ANSWERS = [201, REJECTED, 400, 401, 403, 404, 422, 429, 500, 503, HTML_404, MaybeSent("reset"), NotSent("refused")]


def balanced(made: Any, in_flight: int = 0) -> None:
    stats = made.ledger.stats()
    ended = stats.delivered + sum(stats.dropped.values()) + stats.throttled + stats.given_up + stats.coalesced
    assert stats.captured == ended + stats.queued + stats.in_flight, stats
    assert stats.in_flight == in_flight, stats
    assert stats.queued >= 0, stats


class Books:
    """Records, for a desk, which item each request carried and what the server has accepted."""

    def __init__(self, made: Any) -> None:
        self.made = made
        #: Items by number, in the order of capture, and the number of the item each was merged into.
        self.came: dict[int, Any] = {}
        self.part_of: dict[int, int] = {}
        self.unchanged: set[int] = set()
        self.loose: set[int] = set()
        #: Numbers in the order in which the server accepted them, and the properties that it stores.
        self.taken: list[int] = []
        self.properties: dict[str, dict[str, Any]] = {}
        self._current: Any = None
        self._answer, made.script.send = made.script.send, self.send
        self._put, made.dispatcher.put = made.dispatcher.put, self.put
        self._started, made.ledger.started = made.ledger.started, self.started
        self._settle, made.dispatcher._settle = made.dispatcher._settle, self.settle

    def put(self, taken: Any) -> None:
        self.came[taken.number] = taken.item
        self._put(taken)

    def started(self, jobs: Any) -> None:
        (self._current,) = jobs
        self._started(jobs)

    def settle(self, job: Any, outcome: str, reason: str = "", answer: Any = None, into: Any = None) -> None:
        if into is job:
            self.unchanged.add(job.number)
        if into is not None:
            self.part_of[job.number] = into.number
        self._settle(job, outcome, reason, answer, into)

    def send(self, request: HttpRequest) -> HttpResponse:
        probe = request.url.endswith("/validate")
        if not probe:
            balanced(self.made, in_flight=1)
        answer = self._answer(request)
        if not probe and answer.status == 201:
            self.taken.append(self._current.number)
            applied(self.properties, self._current.item)
        if not probe and self._current.deferrals >= PATIENCE:
            self.loose.add(self._current.number)
        return answer

    def root(self, number: int) -> int:
        while self.part_of.get(number, number) != number:
            number = self.part_of[number]
        return number

    def check_order(self) -> None:
        place = {number: at for at, number in enumerate(self.taken)}
        arrived = [n for n in self.came if self.root(n) in place and n not in self.unchanged]
        for earlier, later in combinations(arrived, 2):
            if self.root(earlier) not in self.loose and must_wait(self.came[later], self.came[earlier]):
                assert place[self.root(earlier)] <= place[self.root(later)], (self.came[earlier], self.came[later])

    def check_properties(self) -> None:
        """Assert that the server stores what the delivered items add up to, in the order of capture."""
        if not self.loose:
            expected: dict[str, dict[str, Any]] = {}
            for number, item in self.came.items():
                if number in self.unchanged or self.root(number) in self.taken:
                    applied(expected, item)
            assert self.properties == expected


def applied(properties: dict[str, dict[str, Any]], item: Any) -> None:
    known = item.body().get("identification", {})
    if item.operation.startswith("upsert"):
        properties.setdefault(json.dumps(known), {}).update(item.properties)
    elif item.operation.startswith("delete"):
        properties.pop(json.dumps(known), None)


def must_wait(later: Any, earlier: Any) -> bool:
    """What is promised: items of one user stay in order, and so do barriers and what names their user or account."""
    pairs = [(a, b) for a in users_of(later) for b in users_of(earlier)]
    if any(a.same_as(b) for a, b in pairs):
        return True
    one, other = getattr(later, "account", None), getattr(earlier, "account", None)
    both_events = isinstance(later, Event) and isinstance(earlier, Event)
    alone = not pairs and not users_of(later) and not users_of(earlier)
    return one is not None and other is not None and one.same_as(other) and (alone or not both_events)


def users_of(item: Any) -> tuple[UserIdentified, ...]:
    user = getattr(item, "user", None)
    return getattr(item, "users", () if user is None else (user,))


users, accounts = st.sampled_from(USERS), st.sampled_from(ACCOUNTS)
values = st.sampled_from([{"plan": 1}, {"plan": True}, {"seats": None}, {"plan": None, "seats": 1}])
several = st.lists(users, min_size=1, max_size=3)
captures = st.one_of(
    st.tuples(st.just("track"), users, st.none() | accounts),
    st.tuples(st.just("track"), st.none(), st.none() | accounts),
    st.tuples(st.just("often"), users),
    st.tuples(st.just("upsert_user"), users, values),
    st.tuples(st.just("upsert_user"), st.just("u1"), values),
    st.tuples(st.just("upsert_account"), accounts, values),
    st.tuples(st.sampled_from(["add_users_to_account", "remove_users_from_account"]), accounts, several),
    st.tuples(st.just("link"), users),
    st.tuples(st.just("delete_user"), users),
    st.tuples(st.just("delete_account"), accounts),
)
#: A step, and whether the worker runs after it.
steps = st.tuples(
    st.one_of(captures, captures, captures, st.tuples(st.just("pass"), st.sampled_from([0.1, 3.0, 70.0, 400.0]))),
    st.sampled_from([True, True, False]),
)
#: Faults come in runs, so that items are retried and fail repeatedly.
faults = st.lists(st.tuples(st.sampled_from(ANSWERS), st.integers(1, 4)), max_size=25)


def do(made: Any, step: tuple[Any, ...]) -> None:
    match step:
        case "track", user, account:
            made.track("acted", user=user, account=account)
        case "often", user:
            made.track_event("viewed", user=user, at_most_every=3600)(lambda: None)()
        case "upsert_user", user, properties:
            made.upsert_user(properties, user=user)
        case "upsert_account", account, properties:
            made.upsert_account(properties, account=account)
        case "link", user:
            made.link("device", user=user)
        case "pass", seconds:
            made.clock.now += seconds
        case verb, *arguments:
            getattr(made, verb)(*arguments)


@pytest.mark.slow
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(steps, min_size=25, max_size=70),
    faults,
    st.sampled_from([0, 300]),
    st.sampled_from(["retry", "drop"]),
    st.sampled_from([8, 1000]),
    st.sampled_from([300, 1e6]),
)
def test_every_item_is_in_one_count_after_every_step(
    desk, lot, answers, skip_unchanged, on_ambiguous, queue_size, max_age
):
    made = warmed(
        desk,
        skip_unchanged=skip_unchanged,
        on_ambiguous=on_ambiguous,
        queue_size=queue_size,
        max_age=max_age,
    )
    books = Books(made)
    made.script.answers[:] = [answer for answer, times in answers for _ in range(times)]
    for step, looks in lot:
        do(made, step)
        balanced(made)
        if looks:
            turn(made)
            balanced(made)
    made.script.answers.clear()
    settle(made)
    balanced(made)
    stats = made.ledger.stats()
    assert (stats.queued, stats.in_flight) == (0, 0)
    assert stats.delivered == 1 + len(books.taken), "as the server's own log says"
    assert made.queue._used == made.queue._released
    books.check_order()
    books.check_properties()
    for name in ("coalesced", "throttled", "given_up", "retried"):
        event(f"{name}: {min(getattr(stats, name), 1)}")
    for name in stats.dropped:
        event(f"dropped: {name}")
    event(f"unchanged: {min(len(books.unchanged), 1)}")
    event(f"loose: {min(len(books.loose), 1)}")


@pytest.mark.slow
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(captures, captures, st.tuples(st.just("pass"), st.sampled_from([30.0, 400.0]))),
        min_size=8,
        max_size=25,
    )
)
def test_the_counts_stay_right_through_a_long_outage(desk, lot):
    made = warmed(desk, max_age=1e6)
    books = Books(made)
    made.script.answers[:] = [503, NotSent("refused")] * 200
    for step in [*lot, ("pass", 5000.0)]:
        do(made, step)
        made.turn()
        balanced(made)
    settle(made)
    balanced(made)
    assert made.ledger.stats().delivered == 1 + len(books.taken)
    assert made.queue._used == made.queue._released
    books.check_order()
    event(f"loose: {min(len(books.loose), 1)}")


# ── What is logged when nothing is delivered ──


def stalls(caplog: pytest.LogCaptureFixture) -> list[str]:
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    return [line for line in errors if "nothing was delivered" in line]


def test_a_minute_without_success_is_said_once_a_minute(desk, caplog):
    made = warmed(desk, *[NotSent("refused")] * 100)
    made.track("one", user="u1")
    for expected, seconds in [(0, 0), (0, 60), (1, 1), (1, 59), (2, 1)]:
        made.clock.now += seconds
        made.turn()
        assert len(stalls(caplog)) == expected
    assert stalls(caplog)[0].startswith("items have been waiting for 61 s and nothing was delivered meanwhile")


def test_a_backlog_that_moves_is_no_stall(desk, caplog):
    made = warmed(desk, *[503] * 100)
    made.track("stuck", user="u1")
    for _ in range(20):
        made.turn()
        made.clock.now += 10
        made.script.answers.insert(0, 503)
        made.ledger.last_success = made.clock.now  # another item was delivered
    assert not stalls(caplog)
