"""The interface that captured items are passed to, and the containment of errors while capturing."""

from __future__ import annotations

from typing import Any, Protocol

from journy_track._model.errors import InvalidArgument, shortened, where_raised
from journy_track._model.once import warn_once


class Records(Protocol):
    """Records captured items."""

    #: Whether errors while capturing are raised.
    debug: bool

    @property
    def after_commit(self) -> Records:
        """A recorder whose items wait until the surrounding database transaction commits."""

    def record(
        self,
        kind: type[Any],
        subject: Any,
        values: Any,
        user: Any = ...,
        account: Any = ...,
        automatic: dict[str, Any] | None = None,
        happened_at: Any = None,
        at_most_every: float = 0.0,
    ) -> bool: ...

    def refuse(self, reason: str) -> None: ...


def contain(recorder: Records, error: Exception, name: str, doing: str, *, lost: bool = True) -> None:
    """Count an error while capturing and log it once, so that it does not reach the caller; in debug, raise it."""
    if recorder.debug:
        raise error
    wrong = isinstance(error, InvalidArgument)
    if lost and wrong:
        recorder.refuse("invalid")
    elif lost:
        recorder.refuse("capture_failed")
    if lost:
        _warn(error, name, doing, f"it is lost, and counted as {'invalid' if wrong else 'capture_failed'}")
    else:
        leave_out(error, name, doing)


def leave_out(error: Exception, name: str, doing: str) -> None:
    """Log once that the item is sent without a part that failed."""
    _warn(error, name, doing, "it is sent without that part")


def _warn(error: Exception, name: str, doing: str, so: str) -> None:
    warn_once(
        ("contained", shortened(name), doing),
        "%s %r raised %s; %s.",
        doing,
        shortened(name),
        where_raised(error),
        so,
    )
