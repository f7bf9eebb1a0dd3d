"""A decorated function can still be inspected, pickled and copied as before."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import multiprocessing
import pickle
import textwrap
import types
import warnings
from concurrent.futures import ProcessPoolExecutor

import pytest

import journy_track
from journy_track import in_context, track_event

DECORATORS = {
    "track_event": track_event("worked"),
    "track_event with options": track_event("worked", on="always", duration=True),
    "user": journy_track.user("jane"),
    "scope": journy_track.scope(),
    "in_context": in_context,
}


def plain(plan: str, /, seats: int = 3, *, trial: bool = False) -> str:
    """What it does."""
    return plan


async def coroutine(plan: str, /, seats: int = 3, *, trial: bool = False) -> str:
    """What it does."""
    return plan


def generator(plan: str, /, seats: int = 3, *, trial: bool = False):
    """What it does."""
    yield plan


async def async_generator(plan: str, /, seats: int = 3, *, trial: bool = False):
    """What it does."""
    yield plan


@types.coroutine
def awaitable_generator(plan: str):
    """A generator-based coroutine, which is how event loops and their libraries define what suspends a task."""
    yield
    journy_track.track("resumed", user="u1")
    return plan


@pytest.fixture(params=list(DECORATORS))
def decorate(request):
    """One of the library's decorators."""
    return DECORATORS[request.param]


@pytest.mark.parametrize("function", [plain, coroutine, generator, async_generator])
def test_the_kind_the_name_and_the_signature_stay_visible(decorate, function):
    decorated = decorate(function)
    for kind_of in (
        inspect.isfunction,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isroutine,
        inspect.isclass,
        inspect.signature,
        inspect.getdoc,
        inspect.getsource,
        inspect.getmodule,
        inspect.unwrap,
    ):
        assert kind_of(decorated) == kind_of(function), kind_of.__name__
    for attribute in ("__name__", "__qualname__", "__module__", "__annotations__", "__defaults__"):
        assert getattr(decorated, attribute) == getattr(function, attribute)


@pytest.mark.parametrize("function", [coroutine, generator, async_generator])
def test_what_a_call_makes_is_of_the_same_kind_and_name(decorate, function, kept):
    expected, made = function("pro"), decorate(function)("pro")
    assert type(made) is type(expected)
    assert (made.__name__, made.__qualname__) == (expected.__name__, expected.__qualname__)
    if inspect.iscoroutine(expected):
        expected.close(), made.close()


def test_methods_stay_methods_and_attributes_stay_settable(decorate):
    class Service:
        @decorate
        def method(self): ...

    Service.method.route = "/work"
    service = Service()
    assert inspect.ismethod(service.method)
    assert service.method.__self__ is service
    assert service.method == service.method
    assert {service.method: 1}[service.method] == 1
    assert service.method != Service().method
    assert service.method.route == "/work"


def test_decorators_can_be_stacked_in_any_order(kept):
    @journy_track.user("outer")
    @track_event("first")
    @journy_track.metadata(plan="pro")
    @track_event("second")
    def work(): ...

    work()
    assert [(event.name, event.user.user_id, dict(event.metadata)) for event in kept()] == [
        ("second", "outer", {"plan": "pro"}),
        ("first", "outer", {}),
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_coroutine_closed_before_it_was_awaited_is_closed_quietly(decorate, kept):
    decorate(coroutine)("pro").close()
    gc.collect()


@pytest.mark.slow
def test_a_coroutine_that_nobody_awaits_warns_once_as_before(decorate, kept):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        decorate(coroutine)("pro")
        gc.collect()
    assert [str(warning.message) for warning in warned] == ["coroutine 'coroutine' was never awaited"]


def test_a_coroutine_is_awaited_once_as_before(decorate):
    async def main() -> None:
        made = decorate(coroutine)("pro")
        assert await made == "pro"
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await made

    asyncio.run(main())


# ── Pickling and copying ─────────────────────────────────────────────────────────────────────────────────

MODULE = """
    import functools
    import journy_track
    from journy_track import track_event

    @track_event("doubled")
    def double(number):
        return 2 * number

    @journy_track.user("jane")
    def triple(number):
        return 3 * number, journy_track.current_context().user.user_id

    class Service:
        def __init__(self, factor):
            self.factor = factor
            self.callback = self.method

        @track_event("m")
        def method(self, number):
            return self.factor * number

        @track_event("cb")
        @classmethod
        def class_below(cls, number):
            return cls.__name__, number

        @classmethod
        @track_event("ca")
        def class_above(cls, number):
            return cls.__name__, number

        @track_event("sb")
        @staticmethod
        def static_below(number):
            return number

        @staticmethod
        @track_event("sa")
        def static_above(number):
            return number

    nameless = track_event("n")(functools.partial(double, 1))
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A module of an app that can be imported here and in new processes."""
    (tmp_path / "app_under_test.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "app_under_test", raising=False)
    return __import__("app_under_test")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_module_level_function_is_pickled_by_its_name(app, protocol):
    for function in (app.double, app.triple, app.Service.static_above):
        assert pickle.loads(pickle.dumps(function, protocol)) is function


def test_bound_methods_are_pickled_with_their_instance(app):
    service = app.Service(5)
    method = pickle.loads(pickle.dumps(service.method))
    assert method(2) == 10
    assert method.__self__ is not service


@pytest.mark.parametrize("name", ["class_below", "class_above", "static_below", "static_above"])
def test_class_and_static_methods_are_pickled_from_class_and_instance(app, name):
    for method in (getattr(app.Service, name), getattr(app.Service(5), name)):
        assert pickle.loads(pickle.dumps(method))(2) == method(2)


def test_a_method_is_pickled_from_its_class(app):
    assert pickle.loads(pickle.dumps(app.Service.method))(app.Service(5), 2) == 10


def test_what_has_no_name_is_pickled_by_value_and_stays_decorated(app, kept):
    with journy_track.user("jane"):
        assert pickle.loads(pickle.dumps(app.nameless))() == 2
    assert kept.names() == ["doubled", "n"]


@pytest.mark.slow
def test_a_decorated_function_runs_in_a_process_pool(app):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(app.double, 4).result(60) == 8
        assert pool.submit(app.triple, 4).result(60) == (12, "jane")
        assert pool.submit(app.Service(5).method, 4).result(60) == 20


def test_functions_are_copied_as_themselves(app):
    for function in (app.double, app.triple):
        assert copy.copy(function) is function
        assert copy.deepcopy([function])[0] is function


def test_a_bound_method_follows_its_instance_into_a_deep_copy(app):
    service = app.Service(5)
    twin = copy.deepcopy(service)
    twin.factor = 7
    assert (service.callback(2), twin.callback(2)) == (10, 14)
    assert copy.copy(service.method) == service.method


def test_a_generator_beneath_types_coroutine_is_awaited(decorate, kept):
    decorated = decorate(awaitable_generator)

    async def main():
        return await decorated("pro")

    assert asyncio.run(main()) == "pro"
    assert kept()[0].name == "resumed"


def test_a_generator_beneath_types_coroutine_is_tracked_when_it_was_awaited(kept):
    decorated = track_event("worked", capture=("plan",), user="u1")(awaitable_generator)

    async def main():
        return await asyncio.gather(decorated("pro"), decorated("free"))

    assert asyncio.run(main()) == ["pro", "free"]
    assert [event.metadata for event in kept() if event.name == "worked"] == [{"plan": "pro"}, {"plan": "free"}]


def test_a_generator_beneath_types_coroutine_that_is_never_awaited_tracks_nothing(decorate, kept):
    decorate(awaitable_generator)("pro").close()
    assert kept() == []
