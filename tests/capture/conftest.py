"""Captured events as they would be sent, without sending them; and fixtures for every kind of callable."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from typing import Any

import pytest

import journy_track
from journy_track import Event


class Kept:
    """When called, returns the events captured since the last call."""

    def __init__(self) -> None:
        self._items: list[Event] = []
        self.tracker = journy_track.configure("test-key-0123456789", before_send=self._items.append)

    def __call__(self) -> list[Event]:
        assert self.tracker.flush(timeout=10)
        items, self._items[:] = list(self._items), []
        return items

    def names(self) -> list[str]:
        return [event.name for event in self()]

    def users(self) -> list[str | None]:
        return [None if event.user is None else event.user.user_id for event in self()]

    def lost(self) -> dict[str, int]:
        """Return how many were dropped, by reason, without `before_send`, which drops the events kept here."""
        self()
        return {reason: count for reason, count in self.tracker.stats().dropped.items() if reason != "before_send"}

    def one(self) -> Event:
        [event] = self()
        return event


@pytest.fixture
def kept() -> Kept:
    """A global tracker that keeps what it captures: `kept()`, `kept.names()`, `kept.users()`, `kept.one()`."""
    return Kept()


@pytest.fixture
def elsewhere() -> Callable[..., Any]:
    """Runs a function in a copy of the context, for state that would outlive the test."""
    return lambda function, *arguments: contextvars.copy_context().run(function, *arguments)


def user_id() -> str | None:
    """Return the ID of the current user, `None` when there is none."""
    user = journy_track.current_context().user
    return None if user is None else user.user_id


@pytest.fixture
def whoami() -> Callable[[], str | None]:
    """Returns the ID of the current user, `None` when there is none."""
    return user_id


# ── Kinds: each returns a function of (plan, fail), decorated, that runs to its end and returns the result ──


def body(plan: str, fail: bool) -> str:
    if fail:
        raise ValueError(plan)
    return plan.upper()


def function(track: Any) -> Callable[..., Any]:
    @track
    def changed(plan: str, seats: int = 3, *, fail: bool = False) -> str:
        return body(plan, fail)

    return changed


def method(track: Any) -> Callable[..., Any]:
    class Service:
        @track
        def changed(self, plan: str, seats: int = 3, *, fail: bool = False) -> str:
            return body(plan, fail)

    return Service().changed


def method_of_the_class(track: Any) -> Callable[..., Any]:
    class Service:
        @track
        def changed(self, plan: str, seats: int = 3, *, fail: bool = False) -> str:
            return body(plan, fail)

    return functools.partial(Service.changed, Service())


def classmethod_below(track: Any) -> Callable[..., Any]:
    class Service:
        @track
        @classmethod
        def changed(cls, plan: str, seats: int = 3, *, fail: bool = False) -> str:
            return body(plan, fail)

    return Service.changed


def classmethod_above(track: Any) -> Callable[..., Any]:
    class Service:
        @classmethod
        @track
        def changed(cls, plan: str, seats: int = 3, *, fail: bool = False) -> str:
            return body(plan, fail)

    return Service().changed


def staticmethod_below(track: Any) -> Callable[..., Any]:
    class Service:
        @track
        @staticmethod
        def changed(plan: str, seats: int = 3, *, fail: bool = False) -> str:
            return body(plan, fail)

    return Service.changed


def staticmethod_above(track: Any) -> Callable[..., Any]:
    class Service:
        @staticmethod
        @track
        def changed(plan: str, seats: int = 3, *, fail: bool = False) -> str:
            return body(plan, fail)

    return Service().changed


def coroutine_function(track: Any) -> Callable[..., Any]:
    @track
    async def changed(plan: str, seats: int = 3, *, fail: bool = False) -> str:
        await asyncio.sleep(0)
        return body(plan, fail)

    return lambda *args, **kwargs: asyncio.run(changed(*args, **kwargs))


def async_method(track: Any) -> Callable[..., Any]:
    class Service:
        @track
        async def changed(self, plan: str, seats: int = 3, *, fail: bool = False) -> str:
            await asyncio.sleep(0)
            return body(plan, fail)

    return lambda *args, **kwargs: asyncio.run(Service().changed(*args, **kwargs))


def sync_wrapper_around_a_coroutine_function(track: Any) -> Callable[..., Any]:
    async def inner(plan: str, fail: bool) -> str:
        await asyncio.sleep(0)
        return body(plan, fail)

    @track
    def changed(plan: str, seats: int = 3, *, fail: bool = False) -> Any:
        return inner(plan, fail)

    return lambda *args, **kwargs: asyncio.run(changed(*args, **kwargs))


def generator(track: Any) -> Callable[..., Any]:
    @track
    def changed(plan: str, seats: int = 3, *, fail: bool = False) -> Any:
        yield 1
        return body(plan, fail)

    def run(*args: Any, **kwargs: Any) -> str:
        stream = changed(*args, **kwargs)
        assert next(stream) == 1
        with pytest.raises(StopIteration) as stop:
            next(stream)
        return stop.value.value

    return run


def async_generator(track: Any) -> Callable[..., Any]:
    @track
    async def changed(plan: str, seats: int = 3, *, fail: bool = False) -> Any:
        yield plan.upper()
        await asyncio.sleep(0)
        body(plan, fail)

    async def run(*args: Any, **kwargs: Any) -> str:
        [result] = [row async for row in changed(*args, **kwargs)]
        return result

    return lambda *args, **kwargs: asyncio.run(run(*args, **kwargs))


def partial(track: Any) -> Callable[..., Any]:
    def changed(prefix: str, plan: str, seats: int = 3, *, fail: bool = False) -> str:
        return body(plan, fail)

    return track(functools.partial(changed, "prefix"))


def callable_object(track: Any) -> Callable[..., Any]:
    class Changed:
        def __call__(self, plan: str, seats: int = 3, *, fail: bool = False) -> str:
            return body(plan, fail)

    return track(Changed())


KINDS = [
    function,
    method,
    method_of_the_class,
    classmethod_below,
    classmethod_above,
    staticmethod_below,
    staticmethod_above,
    coroutine_function,
    async_method,
    sync_wrapper_around_a_coroutine_function,
    generator,
    async_generator,
    partial,
    callable_object,
]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    """Decorates one kind of callable: returns a function of (plan, fail) that runs it to its end."""
    return request.param


@pytest.fixture
def every_kind() -> list[Any]:
    """All the values that `kind` takes in turn."""
    return KINDS
