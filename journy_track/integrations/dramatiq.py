"""Dramatiq: actors run on behalf of the user who sent their message.

    broker = instrument_dramatiq(RedisBroker())

What they track is delivered by the time a worker process ends.
"""

from __future__ import annotations

from typing import TypeVar

from dramatiq import Broker, Message, MessageProxy, Middleware

from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations._jobs import carried_by, carry, enter, leave, scope_of

__all__ = ["JournyMiddleware", "instrument_dramatiq"]

B = TypeVar("B", bound=Broker)


def instrument_dramatiq(broker: B, *, email: bool = False) -> B:
    """Carry user, account and metadata from the sender of a message to its actor, in its options. Returns *broker*.

    Each actor runs in its own `scope()`, with the context its message was sent in; retries, pipelines and callbacks
    keep that context. It includes the user's e-mail address only with *email*. Place `@track_event` below
    `@dramatiq.actor`. Call this function where the broker is created, so that it runs in senders and workers alike.

    Raises `InvalidArgument` if *broker* is not a broker.
    """
    if not isinstance(broker, Broker):
        raise InvalidArgument(f"instrument_dramatiq() takes a Dramatiq broker, got {described(broker)}")
    present = [one for one in broker.middleware if isinstance(one, JournyMiddleware)]
    if present:
        present[0].email = email
    else:
        # Outermost, so that what the others do, such as sending a pipeline's next message, has the same user.
        before = type(broker.middleware[0]) if broker.middleware else None
        broker.add_middleware(JournyMiddleware(email=email), before=before)
    return broker


class JournyMiddleware(Middleware):
    """The middleware that `instrument_dramatiq()` adds. In a broker's *middleware* argument, list it first."""

    def __init__(self, *, email: bool = False) -> None:
        self.email: bool = email

    def before_enqueue(self, broker: Broker, message: Message[object], delay: int) -> None:
        carry(message.options, email=self.email)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        enter(message, scope_of(carried_by(message.options)))

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        leave(message)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        leave(message)
