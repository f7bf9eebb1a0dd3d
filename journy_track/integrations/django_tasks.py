"""Django Tasks, of Django 6 and of the django-tasks package: tasks act for whoever enqueued them.

    instrument_django_tasks()

It goes into the `ready()` of an app of yours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib import import_module
from typing import Any

from journy_track._capture.blocks import Block
from journy_track._model.errors import InvalidArgument
from journy_track.integrations._jobs import HEADER, carry, scope_of

__all__ = ["instrument_django_tasks"]

_MODULES = ("django.tasks.base", "django_tasks.base")
_MARK = "_journy_track"
_email = False
#: The task that is being enqueued here, while that lasts: what a thread has copied of it may outlive it.
_enqueuing: ContextVar[list[Any]] = ContextVar("journy_track_enqueuing")


def instrument_django_tasks(*, email: bool = False) -> None:
    """Carry user, account and metadata from whoever enqueues a task to the task, whatever the backend.

    Each task runs in a `scope()` of its own, with what it was enqueued with; one that runs where it is enqueued, as
    with the immediate backend, keeps its caller's. The user's e-mail address is in it only with *email*.
    `@track_event` goes below `@task`. Call it in the `ready()` of an app of yours, so that the site and the workers
    both do.

    Tasks have no place for it but the keyword arguments, from which it is taken before the function is called. So the
    workers have to have this call before the site does.

    Raises `InvalidArgument` where there is neither Django 6 nor django-tasks.
    """
    global _email  # noqa: PLW0603 - the classes are the process's, too
    _email = email
    found = 0
    for name in _MODULES:
        try:
            task = import_module(name).Task
        except ImportError:
            continue
        found += 1
        if not hasattr(task, _MARK):
            setattr(task, _MARK, True)
            task.enqueue, task.aenqueue = _enqueued(task.enqueue), _aenqueued(task.aenqueue)
            task.call, task.acall = _calling(task.call), _acalling(task.acall)
    if not found:
        raise InvalidArgument("instrument_django_tasks() needs Django 6, or the package django-tasks")


def _enqueued(enqueue: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(enqueue)
    def call(task: Any, *args: Any, **kwargs: Any) -> Any:
        carry(kwargs, email=_email)
        with _marked(task):
            return enqueue(task, *args, **kwargs)

    return call


def _aenqueued(enqueue: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(enqueue)
    async def call(task: Any, *args: Any, **kwargs: Any) -> Any:
        carry(kwargs, email=_email)
        with _marked(task):
            return await enqueue(task, *args, **kwargs)

    return call


@contextmanager
def _marked(task: Any) -> Iterator[None]:
    enqueued = [task]
    token = _enqueuing.set(enqueued)
    try:
        yield
    finally:
        enqueued.clear()
        _enqueuing.reset(token)


def _calling(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(task: Any, *args: Any, **kwargs: Any) -> Any:
        with _scope(task, kwargs):
            return function(task, *args, **kwargs)

    return call


def _acalling(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def call(task: Any, *args: Any, **kwargs: Any) -> Any:
        with _scope(task, kwargs):
            return await function(task, *args, **kwargs)

    return call


def _scope(task: Any, kwargs: dict[str, Any]) -> Block:
    """That of a call of *task*: a backend that calls it while it enqueues it does so where it was enqueued."""
    eager = any(one.func is task.func for one in _enqueuing.get([]))
    return scope_of(kwargs.pop(HEADER, None), eager=eager)
