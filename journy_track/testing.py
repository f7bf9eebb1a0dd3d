"""Test code that tracks: inspect what was captured, and send nothing.

    with journy_track.testing.capture() as events:
        sign_in("u1")
        events.assert_tracked("signed_in", user="u1")

With pytest, use the fixture `journy_events`, which does the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, overload

from journy_track._capture.attributes import UNSET, Unset
from journy_track._capture.context import Frame, live_frame
from journy_track._capture.inputs import user_of
from journy_track._capture.routes import hints
from journy_track._capture.typed import EventObject
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified
from journy_track._model.items import Event, Item
from journy_track._testing import capturing, leaks, matching
from journy_track._testing.capturing import Stray

__all__ = ["CapturedItems", "Stray", "capture"]


class CapturedItems(Sequence[Item]):
    """The captured items in order: `Event`s and the other items (`UpsertUser`, …), as they would be sent."""

    def __init__(self, capture: capturing.Capture) -> None:
        self._capture = capture

    def named(self, name: str | type[Any]) -> list[Event]:
        """The events with that name, or of that typed event class."""
        wanted, _ = matching.name_and_metadata(name)
        found = self._named(wanted)
        if found:
            matching.asserted.add(wanted)
        return found

    def for_user(self, user: Identifier | UserIdentified) -> list[Item]:
        """Everything about that user: events, upserts, links and deletes."""
        wanted = user_of(user)
        return [item for item in self if matching.is_same(wanted, getattr(item, "user", None))]

    def clear(self) -> None:
        """Forget what was captured so far, including any problems."""
        self._capture.clear()

    def assert_tracked(
        self,
        name: str | type[Any] | EventObject,
        *,
        user: Identifier | UserIdentified | None | Unset = UNSET,
        account: Identifier | AccountIdentified | None | Unset = UNSET,
        metadata: Mapping[str, Any] | None = None,
        times: int | None = None,
    ) -> Event | None:
        """Raise `AssertionError` unless such an event was captured. Returns the first one, `None` with ``times=0``.

        *name*: an event's name, the class of a typed event, or a typed event, all of whose fields must match.
        *user*, *account*: an ID, or `None` for none. *metadata*: what the event must contain; it may contain more.
        `unittest.mock.ANY` matches any value. *times*: the exact number of events; `None`: at least one.
        """
        __tracebackhide__ = True
        name, fields = matching.name_and_metadata(name)
        if fields is not None:
            metadata = {**fields, **(metadata or {})}
        expected = matching.Expected(name, user, account, metadata)
        items = list(self)
        named = self._named(name)
        found = [event for event in named if not expected.differences(event)]
        if len(found) != times if times is not None else not found:
            passed_by = self._capture.passed_by()
            raise AssertionError(matching.failure(expected, times, len(found), named, items, passed_by, hints))
        if found:
            matching.asserted.add(name)
        return found[0] if found else None

    def _named(self, name: str) -> list[Event]:
        return [item for item in self if isinstance(item, Event) and item.name == name]

    @property
    def problems(self) -> list[str]:
        """What would have been lost (no identity, a value that cannot be sent, …). Any problem fails the test."""
        return list(self._capture.problems())

    @property
    def strays(self) -> list[Stray]:
        """Items captured after the end, by threads and tasks that outlived it."""
        return list(self._capture.strays)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        return self._capture.items()[index]

    def __iter__(self) -> Iterator[Item]:
        return iter(self._capture.items())  # a snapshot: other threads may go on tracking

    def __len__(self) -> int:
        return len(self._capture.items())

    def __eq__(self, other: object) -> bool:
        return list(self) == other if isinstance(other, list) else self is other

    __hash__: ClassVar[None]  # type: ignore[assignment]  # what defines __eq__ alone has none

    def __repr__(self) -> str:
        return "\n".join(["<captured:", *matching.table(list(self)), ">"])


@contextmanager
def capture(name: str = "capture()") -> Iterator[CapturedItems]:
    """Capture everything tracked inside the block, in all threads, and send nothing.

    The tracker is replaced: `configure()` checks its arguments and returns the capturing one. The end of the block
    raises `AssertionError` if something would have been lost or an identity was left set, unless the block itself
    raised. *name* labels the strays, which come from threads that outlive the block.
    """
    before = live_frame()
    with capturing.capturing(name) as captured:
        events = CapturedItems(captured)
        yield events
        _judge(events, before)


def _judge(events: CapturedItems, before: Frame) -> None:
    """Raise `AssertionError` for anything that would have been lost, or was left set since *before*."""
    wrong = [*events.problems, *leaks.leaks_since(before)]
    if wrong:
        events.clear()  # report each problem only once
        raise AssertionError("\n".join(wrong))
