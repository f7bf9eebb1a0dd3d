"""Whatever goes wrong in capturing, a decorated function behaves exactly as it does undecorated."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

import journy_track
from journy_track import HttpRequest, HttpResponse, InvalidArgument, track_event

KEY = "test-key-0123456789"


def fails(*_: object) -> None:
    raise RuntimeError("from an option")


class Blocked:
    """An HTTP client that does not respond until it is released."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def send(self, request: HttpRequest) -> HttpResponse:
        self.reached.set()
        self.go_on.wait(30)
        return HttpResponse(201, {}, b"")

    def close(self) -> None: ...


def not_configured() -> Iterator[None]:
    yield


def disabled() -> Iterator[None]:
    journy_track.configure(enabled=False)
    yield


def without_a_key() -> Iterator[None]:
    journy_track.configure()
    yield


def queue_is_full() -> Iterator[None]:
    blocked = Blocked()
    tracker = journy_track.configure(KEY, queue_size=1, http_client=blocked)
    journy_track.track("first", user="u1")
    assert blocked.reached.wait(5)
    journy_track.track("second", user="u1")
    assert tracker.stats().dropped == {"queue_full": 1}
    yield
    blocked.go_on.set()


def server_is_down() -> Iterator[None]:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        journy_track.configure(KEY, base_url=f"http://127.0.0.1:{reserved.getsockname()[1]}")
        yield


def shut_down() -> Iterator[None]:
    journy_track.configure(KEY, before_send=lambda item: None).shutdown(0)
    yield


def before_send_fails() -> Iterator[None]:
    tracker = journy_track.configure(KEY, before_send=fails)
    yield
    assert tracker.flush(5)


def works() -> Iterator[None]:
    journy_track.configure(KEY, before_send=lambda item: None)
    yield


CONDITIONS: list[Callable[[], Iterator[None]]] = [
    not_configured,
    disabled,
    without_a_key,
    queue_is_full,
    server_is_down,
    shut_down,
    before_send_fails,
    works,
]

OPTIONS = {
    "none": {},
    "always": {"on": "always"},
    "metadata raises": {"metadata": fails, "on": "always"},
    "metadata returns nonsense": {"metadata": lambda call: 3, "on": "always"},
    "user raises": {"user": fails, "on": "always"},
    "user returns nonsense": {"user": lambda call: 1.5, "on": "always"},
    "account raises": {"account": fails, "on": "always"},
    "when raises": {"when": fails, "on": "always"},
    "everything": {"metadata": fails, "user": "u1", "duration": True, "capture": ("argument",), "on": "always"},
}


@pytest.fixture(params=CONDITIONS, ids=lambda condition: condition.__name__)
def _condition(request):
    yield from request.param()


@pytest.fixture(params=list(OPTIONS))
def decorate(request, _condition):
    """A `track_event` decorator whose capturing fails in one way or another."""
    return track_event("worked", **OPTIONS[request.param])


class Unusual:
    """A result that raises when anything inspects it."""

    def __bool__(self) -> bool:
        raise AssertionError("looked at")

    __eq__ = __len__ = __iter__ = __str__ = __repr__ = __bool__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


def test_results_and_exceptions_of_a_function_pass_through(decorate):
    result, error = Unusual(), ValueError("mine")

    @decorate
    def work(argument: object) -> object:
        if argument is error:
            raise error
        return argument

    assert work(result) is result
    with pytest.raises(ValueError, match="mine") as raised:
        work(error)
    assert raised.value is error
    assert (error.__cause__, error.__context__) == (None, None)


def test_results_and_exceptions_of_a_coroutine_function_pass_through(decorate):
    result, error = Unusual(), ValueError("mine")

    @decorate
    async def work(argument: object) -> object:
        await asyncio.sleep(0)
        if argument is error:
            raise error
        return argument

    assert asyncio.run(work(result)) is result
    with pytest.raises(ValueError, match="mine") as raised:
        asyncio.run(work(error))
    assert raised.value is error
    assert (error.__cause__, error.__context__) == (None, None)


def test_values_and_exceptions_of_a_generator_pass_through(decorate):
    result, error = Unusual(), ValueError("mine")

    @decorate
    def rows(argument: object):
        yield argument
        if argument is error:
            raise error
        return argument

    stream = rows(result)
    assert next(stream) is result
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert stop.value.value is result
    stream = rows(error)
    assert next(stream) is error
    with pytest.raises(ValueError, match="mine") as raised:
        next(stream)
    assert raised.value is error
    assert (error.__cause__, error.__context__) == (None, None)


def test_values_and_exceptions_of_an_async_generator_pass_through(decorate):
    result, error = Unusual(), ValueError("mine")

    @decorate
    async def rows(argument: object):
        yield argument
        if argument is error:
            raise error

    async def main() -> None:
        stream = rows(result)
        assert await anext(stream) is result
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        stream = rows(error)
        assert await anext(stream) is error
        with pytest.raises(ValueError, match="mine") as raised:
            await anext(stream)
        assert raised.value is error

    asyncio.run(main())
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.usefixtures("_condition")
def test_track_itself_never_fails_the_app():
    journy_track.track("worked", user="u1", plan="pro")
    journy_track.track("about_nobody")
    journy_track.upsert_user(user="u1", plan="pro")


# ── What is logged about it ───────────────────────────────────────────────────────────────────────────────


def test_not_configured_is_logged_once(caplog):
    work = track_event("worked")(lambda: None)
    work(), work()
    journy_track.track("worked", user="u1")
    assert [record.message.count("before journy_track.configure()") for record in caplog.records] == [1]


def test_disabled_logs_nothing(caplog):
    journy_track.configure(enabled=False)
    track_event("worked")(lambda: None)()
    journy_track.track("worked", user="u1")
    assert caplog.records == []


def test_metadata_that_raises_costs_that_part_only_and_is_logged_once(kept, caplog):
    work = track_event("worked", metadata=fails, capture=("plan",), user="u1")(lambda plan: plan)
    work("pro"), work("pro")
    assert [event.metadata for event in kept()] == [{"plan": "pro"}] * 2
    [record] = [record for record in caplog.records if "RuntimeError" in record.message]
    assert "'worked'" in record.message


@pytest.mark.parametrize("option", ["user", "account", "when"])
def test_an_option_that_raises_costs_the_event_which_is_counted(option, kept, caplog):
    work = track_event("worked", **{option: fails})(lambda: "result")
    with journy_track.user("u1"):
        assert work() == "result"
    assert kept() == []
    assert kept.tracker.stats().dropped == {"capture_failed": 1}
    assert "it is lost, and counted as capture_failed" in caplog.text


class OutOfReach(Mapping):
    """A mapping that reads its values from a database that is down."""

    def __getitem__(self, key):
        raise ConnectionError("the database is down")

    def __iter__(self):
        return iter(["plan"])

    def __len__(self):
        return 1


@pytest.mark.parametrize("verb", ["track", "upsert_user", "upsert_account"])
def test_a_mapping_that_raises_costs_the_item_which_is_counted(verb, kept, caplog):
    arguments = ("worked", OutOfReach()) if verb == "track" else (OutOfReach(),)
    with journy_track.user("u1"), journy_track.account("a1"):
        getattr(journy_track, verb)(*arguments, seats=3)
    assert kept() == []
    assert kept.tracker.stats().dropped == {"capture_failed": 1}
    assert "raised ConnectionError" in caplog.text


@pytest.mark.parametrize("enabled", [True, False])
def test_what_is_not_a_mapping_is_refused_with_a_tracker_or_without(enabled):
    journy_track.configure(KEY, base_url="http://127.0.0.1:9", enabled=enabled)
    with pytest.raises(InvalidArgument, match="must be a mapping"):
        journy_track.track("worked", ["plan"], user="u1")
    with pytest.raises(InvalidArgument, match="must be a mapping"):
        journy_track.upsert_user(["plan"], user="u1")


def test_an_event_about_nobody_is_counted_and_logged(kept, caplog):
    assert track_event("worked")(lambda: "result")() == "result"
    assert kept() == []
    assert kept.tracker.stats().dropped == {"no_identity": 1}
    assert "the event 'worked' has neither user nor account" in caplog.text


def test_a_decorator_finds_the_tracker_when_the_function_is_called():
    work = track_event("worked", user="u1")(lambda: None)
    work()
    items: list[object] = []
    tracker = journy_track.configure(KEY, before_send=items.append)
    work()
    assert tracker.flush(5)
    assert len(items) == 1


def test_debug_raises_what_would_be_lost():
    journy_track.configure(KEY, debug=True, before_send=lambda item: None)
    with pytest.raises(RuntimeError, match="from an option"):
        track_event("worked", user=fails)(lambda: "result")()
    with pytest.raises(InvalidArgument, match="neither user nor account"):
        track_event("worked")(lambda: "result")()
