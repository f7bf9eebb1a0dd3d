"""The captured arguments of a call are those that the caller passed, whatever decorators are in between."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor

import pytest

import journy_track
from journy_track import InvalidArgument, track_event

captured = track_event("worked", user="u1", capture=("plan",))


@pytest.fixture
def plans(kept):
    """Returns what each event captured as its plan, and `None` for an event without one."""
    return lambda: [event.metadata.get("plan") for event in kept()]


def with_db(function):
    """Adds a positional argument."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function("DB", *args, **kwargs)

    return inner


def without_request(function):
    """Removes an argument, which its wrapper names."""

    @functools.wraps(function)
    def inner(request, *args, **kwargs):
        return function(*args, **kwargs)

    return inner


def retried(function):
    """Retries after a ConnectionError."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        with contextlib.suppress(ConnectionError):
            return function(*args, **kwargs)
        return function(*args, **kwargs)

    return inner


def test_an_argument_that_a_decorator_adds_moves_no_other(plans):
    @captured
    @with_db
    def work(db, plan, password=""):
        return db, plan, password

    assert work("pro", "hunter2") == ("DB", "pro", "hunter2")
    assert work(plan="free") == ("DB", "free", "")
    assert plans() == ["pro", "free"]


def test_the_user_of_an_option_is_who_was_named(kept):
    @track_event("invited", user=lambda call: call.arguments["member"])
    @with_db
    def invite(db, member, by=""): ...

    invite("jane", "admin")
    invite(by="admin", member="joe")
    assert kept.users() == ["jane", "joe"]


def test_an_argument_that_a_decorator_takes_away_moves_no_other(plans):
    @track_event("worked", user="u1", capture=("plan", "request"))
    @without_request
    def work(plan, seats=3): ...

    work("the request", "pro")
    assert plans() == ["pro"]


@pytest.mark.parametrize(
    "order", [[retried, with_db], [with_db, retried], [with_db, journy_track.user("x"), with_db]]
)
def test_any_number_of_decorators_may_be_in_between(order, plans):
    def beneath(db, plan, other=None): ...

    def twice(db, other, plan): ...

    function = twice if order.count(with_db) == 2 else beneath
    for decorator in reversed(order):
        function = decorator(function)
    captured(function)("pro")
    assert plans() == ["pro"]


def test_methods_name_their_arguments_without_self(kept):
    class Service:
        @track_event("worked", user="u1", metadata=lambda call: {"names": " ".join(call.arguments)})
        @retried
        def method(this, plan): ...

        @track_event("worked", user="u1", metadata=lambda call: {"names": " ".join(call.arguments)})
        def other(this, plan): ...

        partly = functools.partialmethod(other, "pro")

    Service().method("pro")
    Service.other(Service(), "pro")
    Service().partly()
    assert [event.metadata for event in kept()] == [{"names": "plan"}] * 3


def test_what_a_decorator_calls_more_than_once_counts_where_it_was_the_same_each_time(kept):
    def numbered(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            for attempt in range(3):
                result = function(attempt, *args, **kwargs)
            return result

        return inner

    @track_event("worked", user="u1", capture=("plan", "attempt"))
    @numbered
    def work(attempt, plan): ...

    work("pro")
    assert kept.one().metadata == {"plan": "pro"}


def test_a_decorator_that_does_not_call_leaves_what_is_sure(plans):
    def never(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function if kwargs.get("really") else None

        return inner

    @captured
    @never
    def work(plan): ...

    work("pro")
    work(plan="free")
    assert plans() == [None, "free"]


def test_a_decorator_that_calls_in_a_thread_without_the_context_leaves_what_is_sure(plans):
    def threaded(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(function, *args, **kwargs).result(10)

        return inner

    @captured
    @threaded
    def work(plan):
        return plan

    assert work("pro") == "pro"
    assert work(plan="free") == "free"
    assert plans() == [None, "free"]


def test_calls_that_run_at_once_keep_their_arguments_apart(kept):
    def later(function):
        @functools.wraps(function)
        async def inner(*args, **kwargs):
            await asyncio.sleep(0)
            return await function("DB", *args, **kwargs)

        return inner

    @track_event("worked", user=lambda call: call.result, capture=("plan",))
    @later
    async def work(db, plan):
        await asyncio.sleep(0)
        return plan

    async def main():
        await asyncio.gather(*(work(f"plan {number}") for number in range(20)))
        in_turn = [work("a"), work("b")]  # both driven by hand, in the same context
        while in_turn:
            for coroutine in list(in_turn):
                try:
                    coroutine.send(None)
                except StopIteration:
                    in_turn.remove(coroutine)

    asyncio.run(main())
    events = kept()
    assert len(events) == 22
    assert [event.metadata["plan"] for event in events] == [event.user.user_id for event in events]


def test_a_recursive_function_keeps_the_arguments_of_each_call(kept):
    @track_event("worked", user="u1", capture=("depth",))
    @with_db
    def work(db, depth):
        if depth:
            work(depth - 1)

    work(2)
    assert [event.metadata["depth"] for event in kept()] == [0, 1, 2]


def test_generators_are_watched_too(plans):
    def through(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            yield from function("DB", *args, **kwargs)

        return inner

    @captured
    @through
    def rows(db, plan):
        yield plan

    assert list(rows("pro")) == ["pro"]
    assert plans() == ["pro"]


def test_a_cache_passes_its_arguments_on(plans):
    calls = []

    @captured
    @functools.lru_cache
    def work(plan):
        calls.append(plan)

    work("pro"), work("pro")
    assert (calls, work.cache_info().hits) == (["pro"], 1)
    assert plans() == ["pro", "pro"]


def test_the_decorator_in_between_is_left_alone(kept):
    """Other code uses that decorator, too: its attributes and variables stay as they were."""
    counted = []

    def counting(function):
        calls = 0

        @functools.wraps(function)
        def inner(*args, **kwargs):
            nonlocal calls
            calls += 1
            counted.append(calls)
            inner.last = args
            return function("DB", *args, **kwargs)

        return inner

    @counting
    def work(db, plan): ...

    tracked = captured(work)
    work("undecorated"), tracked("pro"), work("undecorated")
    assert counted == [1, 2, 3]
    assert work.last == ("undecorated",)
    assert kept.one().metadata == {"plan": "pro"}


def test_a_decorator_that_puts_another_function_in_place_is_followed(kept):
    def replaceable(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        def replace(new):
            nonlocal function
            function = new

        inner.replace = replace
        return inner

    @captured
    @replaceable
    def work(plan):
        return plan

    work.replace(lambda plan: "replaced")
    assert work("pro") == "replaced"
    assert kept.one().metadata == {}


def test_functions_that_are_made_to_wrap_each_other_are_called_all_the_same(kept):
    def work(*args, **kwargs):
        return args

    work.__wrapped__ = work
    with pytest.raises(InvalidArgument, match="cannot be known"):
        captured(work)
    decorate = track_event("worked", user="u1", metadata=lambda call: {"names": " ".join(call.arguments)})
    assert decorate(work)(type("Service", (), {"work": work})(), plan="pro")
    assert kept.one().metadata == {"names": "plan"}


# ── What cannot be known ─────────────────────────────────────────────────────────────────────────────────


class Injecting:
    """A decorator that is a class."""

    def __init__(self, function):
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args, **kwargs):
        return self.function("DB", *args, **kwargs)


def injecting_by_wrapt(function):
    import wrapt

    return wrapt.decorator(lambda wrapped, instance, args, kwargs: wrapped("DB", *args, **kwargs))(function)


def injecting_in_between(function):
    return retried(Injecting(function))


OPAQUE = pytest.mark.parametrize("opaque", [Injecting, injecting_by_wrapt, injecting_in_between])


@OPAQUE
def test_capture_that_cannot_be_known_is_refused_with_the_remedy(opaque):
    def work(db, other, plan): ...

    with pytest.raises(InvalidArgument, match=r"'plan' cannot be known .*: put @track_event below it, next to the"):
        captured(opaque(work))


@OPAQUE
def test_options_that_look_at_a_call_get_what_is_sure(opaque, kept):
    decorate = track_event("worked", user="u1", metadata=lambda call: dict(call.arguments))
    decorate(opaque(lambda db, plan, seats=1, other=None: None))("pro", seats=3)
    assert kept.one().metadata == {"seats": 3}


def test_a_name_that_neither_takes_is_refused(kept):
    def work(db, pln): ...

    with pytest.raises(InvalidArgument, match="no argument 'plan': did you mean 'pln'"):
        captured(with_db(work))


# ── Decorators that people use ───────────────────────────────────────────────────────────────────────────


def test_click_passes_its_objects(plans):
    click = pytest.importorskip("click", reason="needs click")
    testing = pytest.importorskip("click.testing")

    @click.command()
    @click.argument("plan")
    @captured
    @click.pass_obj
    @click.pass_context
    def work(context, obj, plan):
        assert obj == "the object"

    assert testing.CliRunner().invoke(work, ["pro"], obj="the object", catch_exceptions=False).exit_code == 0
    assert plans() == ["pro"]


def test_webargs_passes_what_it_parsed(plans):
    pytest.importorskip("webargs", reason="needs webargs")
    from flask import Flask
    from webargs import fields, flaskparser

    app = Flask(__name__)

    @app.route("/<int:number>")
    @captured
    @flaskparser.use_kwargs({"plan": fields.Str()}, location="query")
    @flaskparser.use_args({"secret": fields.Str()}, location="query")
    def view(args, number, plan):
        return f"{number} {plan} {args['secret']}"

    for plan in ("pro", "free"):
        answer = app.test_client().get(f"/3?plan={plan}&secret=hunter2")
        assert answer.text == f"3 {plan} hunter2"
    assert plans() == ["pro", "free"]


_calls = {}


def counted(function):
    """Looks its count up by the function that it was given."""
    _calls[function] = 0

    @functools.wraps(function)
    def inner(*args, **kwargs):
        _calls[function] += 1
        return function(*args, **kwargs)

    return inner


def test_a_decorator_finds_its_own_by_the_function_that_it_was_given(plans):
    @captured
    @counted
    def work(plan, seats=1, *, trial=False):
        return plan

    assert work(plan="pro") == work("pro") == "pro"
    assert plans() == ["pro", "pro"]
    assert list(_calls.values()) == [2]
