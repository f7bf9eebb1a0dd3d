"""What is captured is handed to this; what goes wrong meanwhile stays here."""

from __future__ import annotations

from typing import Any, Protocol

from journy_track._model.once import warn_once


class Records(Protocol):
    """What an event is handed to."""

    debug: bool

    @property
    def after_commit(self) -> Records:
        """Records what waits until the surrounding database transaction commits."""

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
    """Keep what went wrong while capturing from the caller: counted, said once. In debug mode, raised."""
    if recorder.debug:
        raise error
    if lost:
        recorder.refuse("capture_failed")
    warn_once(
        ("contained", name, doing),
        "%s the event %r raised %s; %s.",
        doing,
        name,
        type(error).__name__,
        "the event is lost, counted as capture_failed" if lost else "it goes out without that part",
        exc_info=error,
    )
