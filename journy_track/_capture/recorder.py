"""Capture: the part of the work that happens on the app's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from os import getpid
from time import time
from typing import Any

from journy_track._capture import context
from journy_track._capture.attributes import NO_ATTRIBUTES, UNSET, Attributes, byte_size, identity_size
from journy_track._capture.commit import UntilCommit
from journy_track._capture.context import current_frame
from journy_track._capture.held import Queue
from journy_track._capture.own_code import uncaptured
from journy_track._capture.queue import UNIT
from journy_track._model.config import Config
from journy_track._model.forks import importing
from journy_track._model.identity import UserIdentified
from journy_track._model.items import Event
from journy_track._model.values import FROZEN_KINDS, frozen_mapping

#: Bytes charged for an item in addition to its text: for the item here, and in the outbox.
_BASE_SIZE = 1024
#: Bytes charged for each user of a membership in addition to its ID: here, and in the outbox.
_MEMBER_SIZE = 384
#: Bytes charged for each key with its value, and for each element of a list, in addition to its text.
_ENTRY_SIZE = 128
#: Number of characters in keys and values from which their size in bytes is determined.
_SHORT = 256


class Recorder:
    """Reads the context and the clock and puts each captured item into the queue as a tuple.

    *queue_of_process* returns the queue of this process, a new one after a fork. In debug mode, *check* raises for
    items that would be dropped or sent incompletely. Otherwise it is called for items without a user or account, and
    must not raise.
    """

    __slots__ = (
        "_after_commit",
        "_check",
        "_config",
        "_current_span",
        "_no_span",
        "_queue_of_process",
        "_span_events",
        "debug",
        "queue",
    )

    def __init__(
        self,
        config: Config,
        queue_of_process: Callable[[], Queue],
        check: Callable[[tuple[Any, ...]], None] | None,
    ) -> None:
        self.debug: bool = config.debug and config.strict is not False
        self._config = config
        self._after_commit: Recorder | None = None
        self._span_events = config.span_events
        self._queue_of_process = queue_of_process
        self._check = check
        self.queue: Queue = queue_of_process()
        self._current_span: Callable[[], Any] | None = None
        self._no_span: Any = None
        with importing:  # now: in a signal handler, the import could find a half-imported module
            from journy_track._capture import blocks  # noqa: F401

        if config.trace_ids:
            with importing:
                from journy_track._model import tracing

            self._current_span, self._no_span = tracing.current_span, tracing.NO_SPAN

    def record(  # noqa: PLR0912, PLR0915 - the hot path: one function, no calls
        self,
        kind: type[Any],
        subject: Any,
        values: Mapping[Any, Any] | None,
        user: Any = UNSET,
        account: Any = UNSET,
        automatic: dict[str, Any] | None = None,
        happened_at: Any = None,
        at_most_every: float = 0.0,
    ) -> bool:
        """Capture one item, and return whether it was accepted.

        *values* is a mapping that no other code will change; *user* and *account* are identities, `None` for none,
        or `UNSET` for those of the context.
        """
        at = time()
        frame = current_frame()
        if context.any_dead:  # in this order: a finaliser may run in between
            frame = context.without_dead(frame)
        if frame.internal is not None and frame.internal.active:
            reason = frame.internal.reason
            if reason != "suppressed" or not kind.erases:
                if reason is not None:
                    self.refuse(reason)
                return False
        here = frame.attributes
        size = here.measured
        if size < 0:
            size = here.measure()
        size += _BASE_SIZE
        size += _size(subject) if kind is not Event or len(subject) >= _SHORT else len(subject)
        request = NO_ATTRIBUTES.metadata
        waits = None
        cell = frame.cell
        if user is UNSET:
            user = here.user
        elif user is not None:
            size += identity_size(user)
        if account is UNSET:
            account = here.account
        elif account is not None:
            size += identity_size(account)
        if cell is not None:
            pending = cell.pending  # read before `current()`: an actor is set before `pending` is cleared
            beneath = cell.current()
            if pending is not None:
                asked = pending.attributes(cell)
                if asked is None:
                    waits = pending
                    beneath = cell.current()  # read again, without an actor that no longer applies
                else:
                    beneath = asked
            if beneath.suppressed and not kind.erases:
                self.refuse("suppressed")
                return False
            request = beneath.metadata
            size += beneath.measured if beneath.measured >= 0 else beneath.measure()
            if user is UNSET:
                user = beneath.user
            if account is UNSET:
                account = beneath.account
        if values:
            try:
                text = len("".join(values))
            except TypeError:  # a key that is not text
                text = _SHORT
            for value in values.values():
                known = type(value)
                if known is str:
                    text += len(value)
                elif known not in FROZEN_KINDS:
                    values = uncaptured(frozen_mapping, values)
                    text = _SHORT
                    break
            if text >= _SHORT:
                text = sum(map(_size, values)) + sum(map(_size, values.values()))
            size += text + len(values) * _ENTRY_SIZE
        trace_id = span_id = None
        current_span = self._current_span
        if current_span is not None:
            active = current_span()
            if active is not self._no_span:
                ids = active.get_span_context()
                if ids is not None:
                    # Two numbers, since the SpanContext would stay alive as long as the item. It is a tuple, so
                    # indexing avoids the calls of its properties.
                    trace_id, span_id = ids[0], ids[1]
        extra = size // UNIT
        captured = (
            kind,
            at,
            subject,
            None if user is UNSET else user,
            None if account is UNSET else account,
            values,
            automatic,
            here.metadata,
            request,
            trace_id,
            span_id,
            happened_at,
            at_most_every,
            extra,
        )
        queue = self.queue
        if queue.pid != getpid():
            queue = self.queue = self._queue_of_process()
        if self._span_events and kind is Event:
            self._record_on_span(subject, captured)
        check = self._check
        if check is not None and (waits is None if self.debug else captured[3] is None and captured[4] is None):
            check(captured)
        if waits is not None:
            return waits.hold(queue, captured, Attributes(user, account, request))
        return queue.offer(captured, extra)

    @property
    def after_commit(self) -> Recorder:
        """A recorder whose items wait until the surrounding database transaction commits."""
        if self._after_commit is None:
            recorder = Recorder(self._config, self._queue_until_commit, self._check)
            recorder._span_events = False
            self._after_commit = recorder
        return self._after_commit

    def refuse(self, reason: str) -> None:
        """Count an item that was lost while being captured."""
        if self.queue.pid != getpid():
            self.queue = self._queue_of_process()
        self.queue.refuse(reason)

    def _queue_until_commit(self) -> UntilCommit:
        config = self._config
        return UntilCommit(self._queue_of_process, config.queue_size, config.queue_bytes, self._later_on_span)

    def _later_on_span(self, captured: tuple[Any, ...]) -> Callable[[], object]:
        if not self._span_events or captured[0] is not Event:
            return lambda: None
        from journy_track._model import tracing

        return partial(self._record_on_span, captured[2], captured, tracing.current_span())

    def _record_on_span(self, name: str, captured: tuple[Any, ...], span: Any = None) -> None:
        from journy_track._model import tracing

        values, automatic, context, request = captured[5], captured[6], captured[7], captured[8]
        tracing.record_on_span(name, {**(automatic or {}), **request, **context, **(values or {})}, span)


def _size(value: Any) -> int:
    kind = type(value)
    if kind is str:
        return byte_size(value)
    if kind is tuple:
        return sum(_ENTRY_SIZE + _size(element) for element in value)
    if kind is int:
        return int(value.bit_length() / 3)  # digits
    return _MEMBER_SIZE + identity_size(value) if kind is UserIdentified else 0
