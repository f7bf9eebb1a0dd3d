"""Decorated methods still behave as methods, and decorated functions as functions."""

from __future__ import annotations

import abc
import functools
import inspect
import pickle
import pydoc
import subprocess
import sys
import types
import weakref

import pytest

import journy_track
from journy_track import track_event

DECORATORS = {
    "track_event": track_event("worked", user="jane"),
    "track_event with options": track_event("worked", user="jane", on="always", duration=True),
    "user": journy_track.user("jane"),
    "account": journy_track.account("acme"),
    "metadata": journy_track.metadata(plan="pro"),
    "scope": journy_track.scope(),
    "flushed": journy_track.flushed(),
}


@pytest.fixture(params=list(DECORATORS))
def decorate(request):
    """One of the library's decorators."""
    return DECORATORS[request.param]


@pytest.fixture
def base(decorate):
    """A class with decorated methods of every kind."""

    class Base:
        subclasses: list[type] = []  # noqa: RUF012

        @decorate
        def method(self, plan, seats=3):
            return plan, seats

        @decorate
        @classmethod
        def of_class(cls, plan):
            return cls, plan

        @decorate
        @staticmethod
        def static(plan):
            return plan

        @decorate
        def __init_subclass__(cls, **options):
            Base.subclasses.append(cls)

        @decorate
        def __class_getitem__(cls, key):
            return cls, key

        @decorate
        def __new__(cls, *args):
            return object.__new__(cls)

        for_free = decorate(functools.partialmethod(method, "free", seats=1))

        @property
        @decorate
        def seats(self):
            return 3

    return Base


def test_whoever_rebuilds_a_bound_method_calls_the_decorated_one(base):
    bound = base().method
    for rebuilt in (weakref.WeakMethod(bound)(), types.MethodType(bound.__func__, bound.__self__)):
        assert rebuilt == bound
        assert hash(rebuilt) == hash(bound)
        assert rebuilt("pro") == ("pro", 3)


def test_a_method_that_was_not_overridden_is_the_same(base):
    class Same(base): ...

    class Other(base):
        def method(self, plan, seats=3):
            return super().method(plan, seats + 1)

    assert Same.method is base.method is base.__dict__["method"]
    assert Other.method is not base.method
    assert Other().method("pro") == ("pro", 4)


def test_what_python_makes_class_methods_of_by_itself_works_decorated(base):
    class Sub(base): ...

    assert base.subclasses == [Sub]
    assert Sub["pro"] == (Sub, "pro")
    assert isinstance(Sub(), Sub)


def test_classmethods_and_their_like_stay_what_they_are(base):
    assert isinstance(vars(base)["of_class"], classmethod)
    assert isinstance(vars(base)["static"], staticmethod)
    assert isinstance(vars(base)["for_free"], functools.partialmethod)
    assert base.of_class("pro") == base().of_class("pro") == (base, "pro")
    assert base.static("pro") == base().static("pro") == "pro"
    assert base().for_free() == ("free", 1)
    assert base().seats == 3


def test_an_abstract_method_stays_abstract_with_the_decorator_above_or_below(decorate):
    class Service(abc.ABC):
        @decorate
        @abc.abstractmethod
        def below(self): ...

        @abc.abstractmethod
        @decorate
        def above(self): ...

    assert Service.__abstractmethods__ == {"below", "above"}


def test_singledispatchmethod_finds_decorated_implementations(decorate):
    class Service:
        @functools.singledispatchmethod
        @decorate
        def kind(self, value):
            return "any"

        @kind.register
        @decorate
        def _(self, value: int):
            return "number"

    assert (Service().kind("text"), Service().kind(3)) == ("any", "number")


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda f: f, functools.partial], ids=["function", "partial"])
def test_attributes_set_on_what_is_decorated_are_its_own(decorate, make):
    plain = make(lambda: None)
    plain.shared = "from before"
    decorated = decorate(plain)
    decorated.short_description = "Mark as paid"
    assert (decorated.shared, decorated.short_description) == ("from before", "Mark as paid")
    assert not hasattr(plain, "short_description")
    del decorated.short_description
    assert not hasattr(decorated, "short_description")


def test_a_decorated_function_looks_like_the_function(decorate):
    def work(plan, /, seats: int = 3, *more, trial=False, **rest) -> str:
        """What it does."""

    decorated = decorate(work)
    assert type(decorated) is types.FunctionType
    assert repr(decorated).startswith("<function test_a_decorated_function_looks_like_the_function.<locals>.work at ")
    assert inspect.getfullargspec(decorated) == inspect.getfullargspec(work)
    assert inspect.signature(decorated, follow_wrapped=False) == inspect.signature(work)
    assert decorated.__globals__ is work.__globals__
    assert pydoc.render_doc(decorated) == pydoc.render_doc(work)
    assert repr(decorate(functools.partial(work, 1))) == repr(functools.partial(work, 1))


def test_parameters_may_have_any_names_and_defaults(decorate):
    default = object()

    @decorate
    def work(function, run, /, args=default, *kwargs, _run=default, _function, **around):
        return function, run, args, kwargs, _run, _function, around

    assert work(1, 2, _function=3) == (1, 2, default, (), default, 3, {})
    assert work(1, 2, 3, 4, 5, _function=6, _run=7, self=8) == (1, 2, 3, (4, 5), 7, 6, {"self": 8})
    with pytest.raises(TypeError, match=r"work\(\) missing 1 required keyword-only argument: '_function'"):
        work(1, 2)


def test_parameters_that_no_source_can_name_are_passed_on(decorate):
    work = types.FunctionType((lambda a: a).__code__.replace(co_varnames=(".0",)), {})
    assert decorate(work)(7) == 7


def test_a_traceback_shows_no_line_of_another_file(decorate):
    @decorate
    def fail():
        raise LookupError

    with pytest.raises(LookupError) as raised:
        fail()
    assert "<journy_track>" in [str(entry.path) for entry in raised.traceback]


# ── Signals ──────────────────────────────────────────────────────────────────────────────────────────────


class Receiver:
    """Connects its methods to signals; each event that arrives names the method that was called."""

    @track_event("paid", user="u1")
    def on_paid(self, *_args, **_more):
        return "paid"

    @journy_track.user("u2")
    def on_opened(self, *_args, **_more):
        journy_track.track("opened")
        return "opened"


BOTH = [("paid", "u1"), ("opened", "u2")]


def who(kept):
    return [(event.name, event.user.user_id) for event in kept()]


def test_blinker_signals_reach_decorated_methods_as_long_as_their_object_lives(kept):
    blinker = pytest.importorskip("blinker", reason="needs blinker")
    signal, receiver = blinker.Signal(), Receiver()
    signal.connect(receiver.on_paid)
    signal.connect(receiver.on_opened)
    signal.send("sender")
    assert sorted(who(kept)) == sorted(BOTH)
    del receiver
    assert signal.send("sender") == []


def test_django_signals_reach_decorated_methods(kept):
    dispatch = pytest.importorskip("django.dispatch", reason="needs Django")
    signal, receiver = dispatch.Signal(), Receiver()
    signal.connect(receiver.on_paid)
    signal.connect(receiver.on_opened)
    assert [result for _, result in signal.send("sender")] == ["paid", "opened"]
    assert who(kept) == BOTH
    assert signal.disconnect(receiver.on_paid)
    assert [result for _, result in signal.send("sender")] == ["opened"]


def test_celery_signals_reach_decorated_methods(kept):
    dispatch = pytest.importorskip("celery.utils.dispatch", reason="needs Celery")
    signal, receiver = dispatch.Signal(), Receiver()
    signal.connect(receiver.on_paid)
    signal.connect(receiver.on_opened)
    signal.send("sender")
    assert who(kept) == BOTH


# ── Pickling by value ────────────────────────────────────────────────────────────────────────────────────

MAIN = """
import asyncio, functools, sys
import cloudpickle
import journy_track
from journy_track import track_event

@track_event("worked", user="u1", capture=("number",))
def work(number):
    return number

@journy_track.user("jane")
def rows():
    yield journy_track.current_context().user.user_id

@journy_track.metadata(plan="pro")
async def later():
    journy_track.track("later", user="u2")

class Service:
    @track_event("served", user="u3")
    def serve(self): ...

sys.stdout.buffer.write(cloudpickle.dumps((
    work, rows, later, Service().serve, track_event("partly", user="u4")(functools.partial(work, 4))
)))
"""


@pytest.mark.slow
def test_functions_pickled_by_value_keep_their_decoration(tmp_path, kept):
    pytest.importorskip("cloudpickle", reason="needs cloudpickle")
    (tmp_path / "script.py").write_text(MAIN)
    made = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, timeout=60, check=False)
    work, rows, later, serve, partly = pickle.loads(made.stdout)
    assert work(3) == 3
    assert list(rows()) == ["jane"]
    with pytest.raises(StopIteration):
        later().send(None)
    serve(), partly()
    assert [(event.name, event.user.user_id, dict(event.metadata)) for event in kept()] == [
        ("worked", "u1", {"number": 3}),
        ("later", "u2", {"plan": "pro"}),
        ("served", "u3", {}),
        ("worked", "u1", {"number": 4}),
        ("partly", "u4", {}),
    ]
    assert inspect.isgeneratorfunction(rows)
    assert inspect.iscoroutinefunction(later)


def test_what_a_tracker_of_ones_own_decorates_cannot_be_pickled_by_value(tracker):
    cloudpickle = pytest.importorskip("cloudpickle", reason="needs cloudpickle")

    @tracker.track_event("worked")
    def work(): ...

    with pytest.raises(pickle.PicklingError, match=r"decorate with journy_track\.track_event"):
        cloudpickle.dumps(work)


# ── Other decorators of whole classes ────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("name", ["beartype", "typeguard"])
def test_a_type_checker_of_whole_classes_keeps_decorated_methods(name, kept):
    checker = getattr(pytest.importorskip(name, reason=f"needs {name}"), {"typeguard": "typechecked"}.get(name, name))

    @checker
    class Service:
        @track_event("classed", user="u1", capture=("plan",))
        @classmethod
        def of_class(cls, plan: str) -> str:
            return plan

        @track_event("worked", user="u1")
        def method(self, plan: str) -> str:
            return plan

    assert Service.of_class("pro") == Service().method("pro") == "pro"
    assert kept.names() == ["classed", "worked"]
