"""Taskiq: tasks run on behalf of the user who sent them.

    broker = instrument_taskiq(InMemoryBroker())

What they track is delivered by the time a worker process ends.
"""

from __future__ import annotations

from typing import Any, TypeVar

from taskiq import AsyncBroker, TaskiqMessage, TaskiqMiddleware, TaskiqResult

from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations._jobs import carried_by, carry, enter, leave, scope_of

__all__ = ["JournyMiddleware", "instrument_taskiq"]

B = TypeVar("B", bound=AsyncBroker)


def instrument_taskiq(broker: B, *, email: bool = False) -> B:
    """Carry user, account and metadata from the sender of a task to the task, in its labels. Returns *broker*.

    Each task runs in its own `scope()`, with the context it was sent in; a retry keeps that context. It includes the
    user's e-mail address only with *email*. Place `@track_event` below `@broker.task`. Call this function where the
    broker is created, so that it runs in senders and workers alike. Sync tasks in a process pool are not supported:
    Taskiq does not pass a context to them.

    Raises `InvalidArgument` if *broker* is not a broker.
    """
    if not isinstance(broker, AsyncBroker):
        raise InvalidArgument(f"instrument_taskiq() takes a Taskiq broker, got {described(broker)}")
    present = [one for one in broker.middlewares if isinstance(one, JournyMiddleware)]
    if present:
        present[0].email = email
    else:
        middleware = JournyMiddleware(email=email)
        middleware.set_broker(broker)
        broker.middlewares.insert(0, middleware)  # outermost, so that what the others do has the same user
    return broker


class JournyMiddleware(TaskiqMiddleware):
    """The middleware that `instrument_taskiq()` adds to a broker."""

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
