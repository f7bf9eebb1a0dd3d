"""What the app's thread hands over: a plain tuple of what was seen, nothing formatted or validated."""

from __future__ import annotations

from typing import Any, NamedTuple

from journy_track._model.identity import AccountIdentified, UserIdentified


class Captured(NamedTuple):
    """Names the places of the tuple. The app's thread writes bare tuples in this order: they cost a tenth."""

    #: The class of the item that it will become.
    kind: type[Any]
    #: Seconds since the epoch, at capture.
    at: float
    #: An event's name, a device ID, the users of a membership, or the e-mail or domain of an upsert whose user or
    #: account is the context's.
    subject: Any
    user: UserIdentified | None
    account: AccountIdentified | None
    #: The item's own metadata or properties, `frozen`.
    values: dict[Any, Any] | None
    #: Automatic metadata, which never overwrites what the user gave.
    automatic: dict[str, Any] | None
    #: The metadata of the blocks, and of the request, that it was captured in. Of a request that is skipped: `None`.
    context: Any
    request: Any
    #: The IDs of the active span, two numbers; `None` without one.
    trace_id: int | None
    span_id: int | None
    #: When it happened, as passed by the caller; `None`: at capture.
    happened_at: Any
    #: Seconds: at most one such event in each; 0: all.
    at_most_every: float
    #: About how much it keeps alive: units of the queue beyond the first. Small numbers are shared by all.
    extra: int
