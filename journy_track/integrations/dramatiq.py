"""Dramatiq: actors act for whoever sent them their message.

    broker = instrument_dramatiq(RedisBroker())

What they track is delivered when a worker process ends.
"""

from __future__ import annotations

from typing import TypeVar

from dramatiq import Broker, Message, MessageProxy, Middleware

from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations._jobs import carried_by, carry, enter, leave, scope_of

__all__ = ["JournyMiddleware", "instrument_dramatiq"]

B = TypeVar("B", bound=Broker)


def instrument_dramatiq(broker: B, *, email: bool = False) -> B:
    """Carry user, account and metadata from whoever sends a message to its actor, in its options. Returns *broker*.

    Each actor runs in a `scope()` of its own, with what its message was sent with; retries, pipelines and callbacks
    keep it. The user's e-mail address is in it only with *email*. `@track_event` goes below `@dramatiq.actor`. Call
    it where the broker is made, so that senders and workers both do.

    Raises `InvalidArgument` for what is not a broker.
    """
    if not isinstance(broker, Broker):
        raise InvalidArgument(f"instrument_dramatiq() takes a Dramatiq broker, got {described(broker)}")
    present = [one for one in broker.middleware if isinstance(one, JournyMiddleware)]
    if present:
        present[0].email = email
    else:
        # Outermost: what the others do, such as to send the next message of a pipeline, belongs to the same user.
        before = type(broker.middleware[0]) if broker.middleware else None
        broker.add_middleware(JournyMiddleware(email=email), before=before)
    return broker


class JournyMiddleware(Middleware):
    """What `instrument_dramatiq()` adds to a broker; for a broker's *middleware* argument it goes first."""

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
