"""Huey: tasks run on behalf of the user who enqueued them.

    huey = instrument_huey(RedisHuey("shop"))

What they track is delivered by the time the consumer ends.
"""

from __future__ import annotations

from typing import Any, TypeVar

from huey.api import Huey

from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations._jobs import HEADER, carrying, scope_of

__all__ = ["instrument_huey"]

H = TypeVar("H", bound=Huey)
#: The attribute of a task that holds what it carries, while the task is not in a message.
_CARRIED = "_journy_track"


def instrument_huey(huey: H, *, email: bool = False) -> H:
    """Carry user, account and metadata from the code that enqueues a task to the task. Returns *huey*.

    Each task, with its hooks and signals, runs in its own `scope()`, with the context it was enqueued in. Retries,
    pipelines, groups and chords keep that context; in immediate mode, a task keeps its caller's. The context includes
    the user's e-mail address only with *email*. Place `@track_event` below `@huey.task()`. Works with thread, process
    and greenlet workers.

    In a message, the context can only be stored among the keyword arguments, from which the consumer removes it
    before the task sees it. Therefore deploy this call to the consumers before the processes that enqueue.

    Raises `InvalidArgument` if *huey* is not a `Huey`.
    """
    if not isinstance(huey, Huey):
        raise InvalidArgument(f"instrument_huey() takes a Huey, got {described(huey)}")
    registry: Any = huey._registry
    if hasattr(registry, _CARRIED):
        setattr(registry, _CARRIED, email)
        return huey
    setattr(registry, _CARRIED, email)
    create_message, create_task, execute = registry.create_message, registry.create_task, huey._execute

    def to_message(task: Any) -> Any:
        message = create_message(task)  # which also calls this function for the tasks chained to it
        carried = getattr(task, _CARRIED, None)
        if carried is None:
            carried = carrying(email=getattr(registry, _CARRIED))
        return message if carried is None else message._replace(kwargs={**(message.kwargs or {}), HEADER: carried})

    def to_task(message: Any) -> Any:
        kwargs = dict(message.kwargs or {})
        carried = kwargs.pop(HEADER, None)
        task = create_task(message._replace(kwargs=kwargs))
        if carried is not None:
            setattr(task, _CARRIED, carried)
        return task

    def executing(task: Any, timestamp: Any) -> Any:
        if not hasattr(task, _CARRIED):
            setattr(task, _CARRIED, "")  # there is no user, and its retry must not get one
        with scope_of(getattr(task, _CARRIED), eager=huey.immediate):
            return execute(task, timestamp)

    registry.create_message, registry.create_task = to_message, to_task
    huey._execute = executing
    return huey
