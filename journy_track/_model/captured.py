"""What the app's thread passes to the worker: a plain tuple of captured values, not formatted or validated."""

from __future__ import annotations

from typing import Any, NamedTuple

from journy_track._model.identity import AccountIdentified, UserIdentified


class Captured(NamedTuple):
    """Names the positions in the tuple. The app's thread makes plain tuples in this order, at a tenth of the cost."""

    #: The class of the item that it will become.
    kind: type[Any]
    #: The time of capture, in seconds since the epoch.
    at: float
    #: An event's name, a device ID, the users of a membership, or the e-mail or domain of an upsert whose user or
    #: account comes from the context.
    subject: Any
    user: UserIdentified | None
    account: AccountIdentified | None
    #: The item's own metadata or properties, `frozen`.
    values: dict[Any, Any] | None
    #: Automatic metadata, which never overrides the caller's values.
    automatic: dict[str, Any] | None
    #: The metadata of the blocks, and of the request, in which it was captured. *request* is `None` if it is skipped.
    context: Any
    request: Any
    #: The IDs of the active span, two numbers; `None` without one.
    trace_id: int | None
    span_id: int | None
    #: When it happened, as passed by the caller; `None`: at capture.
    happened_at: Any
    #: The seconds in which at most one such event is delivered; 0: all are.
    at_most_every: float
    #: About how much memory it keeps alive, in units of the queue beyond the first. Small ints are shared objects.
    extra: int
