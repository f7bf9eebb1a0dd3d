"""Taskiq: tasks act for whoever sent them.

    broker = instrument_taskiq(InMemoryBroker())

What they track is delivered when a worker process ends.
"""

from __future__ import annotations

from typing import Any, TypeVar

from taskiq import AsyncBroker, TaskiqMessage, TaskiqMiddleware, TaskiqResult

from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations._jobs import carried_by, carry, enter, leave, scope_of

__all__ = ["JournyMiddleware", "instrument_taskiq"]

B = TypeVar("B", bound=AsyncBroker)


def instrument_taskiq(broker: B, *, email: bool = False) -> B:
    """Carry user, account and metadata from whoever sends a task to the task, in its labels. Returns *broker*.

    Each task runs in a `scope()` of its own, with what it was sent with; a retry keeps it. The user's e-mail address
    is in it only with *email*. `@track_event` goes below `@broker.task`. Call it where the broker is made, so that
    senders and workers both do. Not for sync tasks in a pool of processes, which Taskiq gives no context.

    Raises `InvalidArgument` for what is not a broker.
    """
    if not isinstance(broker, AsyncBroker):
        raise InvalidArgument(f"instrument_taskiq() takes a Taskiq broker, got {described(broker)}")
    present = [one for one in broker.middlewares if isinstance(one, JournyMiddleware)]
    if present:
        present[0].email = email
    else:
        middleware = JournyMiddleware(email=email)
        middleware.set_broker(broker)
        broker.middlewares.insert(0, middleware)  # outermost: what the others do belongs to the same user
    return broker


class JournyMiddleware(TaskiqMiddleware):
    """What `instrument_taskiq()` adds to a broker."""

    def __init__(self, *, email: bool = False) -> None:
        super().__init__()
        self.email: bool = email

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        carry(message.labels, email=self.email)
        return message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        enter(message, scope_of(carried_by(message.labels)))
        return message

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        leave(message)
