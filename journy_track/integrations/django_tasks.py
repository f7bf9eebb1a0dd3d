"""Django Tasks, of Django 6 or the django-tasks package: tasks run on behalf of the user who enqueued them.

    instrument_django_tasks()

Call it in the `ready()` of one of your apps.
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
#: The task that is being enqueued here. A list that is emptied afterwards: a thread's copy of the context may last.
_enqueuing: ContextVar[list[Any]] = ContextVar("journy_track_enqueuing")


def instrument_django_tasks(*, email: bool = False) -> None:
    """Carry user, account and metadata from the code that enqueues a task to the task, with any backend.

    Each task runs in its own `scope()`, with the context it was enqueued in; a task that runs where it is enqueued,
    as with the immediate backend, keeps its caller's. The context includes the user's e-mail address only with
    *email*. Place `@track_event` below `@task`. Call this function in the `ready()` of one of your apps, so that it
    runs in the site and in the workers.

    A task can only store the context among its keyword arguments, from which it is removed before the function is
    called. Therefore deploy this call to the workers before the site.

    Raises `InvalidArgument` if neither Django 6 nor django-tasks is installed.
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
    """Return the scope for a call of *task*. If called while being enqueued, the task keeps its caller's context."""
    eager = any(one.func is task.func for one in _enqueuing.get([]))
    return scope_of(kwargs.pop(HEADER, None), eager=eager)
