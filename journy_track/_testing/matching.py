"""Matching captured events against expected ones, and describing the differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from journy_track._capture.attributes import UNSET
from journy_track._capture.inputs import account_of, declaration_of, event_of, user_of
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.items import Event, Item
from journy_track._model.values import frozen_mapping, plain_metadata

#: The names of events that tests asserted and found. The pytest plugin compares them with those in the code.
asserted: set[str] = set()


def name_and_metadata(wanted: Any) -> tuple[str, dict[str, Any] | None]:
    """The event name that *wanted* stands for and, if *wanted* is a typed event, the metadata to expect."""
    if isinstance(wanted, str):
        return wanted, None
    declaration = declaration_of(wanted)
    if declaration is None:
        raise InvalidArgument(
            f"expected the name of an event, a class below @journy_track.event, or a typed event; "
            f"got {described(wanted)}"
        )
    if isinstance(wanted, type):
        return declaration.name, None
    name, values = event_of(wanted, None)
    return name, {key: value for key, value in values.items() if value is not None}


class Expected:
    """What `assert_tracked` expects. Arguments that were left out are not compared."""

    def __init__(self, name: str, user: Any, account: Any, metadata: Mapping[str, Any] | None) -> None:
        self.name = name
        self.user = user if user is UNSET else user_of(user)
        self.account = account if account is UNSET else account_of(account)
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidArgument("metadata must be a mapping of what the event has to hold")
        self.metadata = dict(metadata or {})
        # In the form in which it is sent: Decimal("399") matches 399.
        self._plain, _ = plain_metadata(frozen_mapping(self.metadata))

    def differences(self, event: Event) -> list[str]:
        """How *event* differs, in pairs of lines: the expected value with a minus, the found one with a plus."""
        lines: list[str] = []
        for what, expected, found in (("user", self.user, event.user), ("account", self.account, event.account)):
            if expected is not UNSET and not is_same(expected, found):
                lines += _changed(what, shown(expected), shown(found))
        for key, expected in self.metadata.items():
            if key not in event.metadata:
                lines += _changed(f"metadata[{key!r}]", repr(expected), "nothing")
            elif event.metadata[key] not in (expected, self._plain.get(key, expected)):
                lines += _changed(f"metadata[{key!r}]", repr(expected), repr(event.metadata[key]))
        return lines

    def __str__(self) -> str:
        said = [repr(self.name)]
        said += [f"{k}={shown(v)}" for k, v in (("user", self.user), ("account", self.account)) if v is not UNSET]
        if self.metadata:
            said.append(f"metadata={self.metadata!r}")
        return ", ".join(said)


def is_same(expected: Any, found: Any) -> bool:
    """Whether *found* is the expected user or account: equal in every part that *expected* has."""
    if expected is None or found is None:
        return expected is found
    said = {field.name: getattr(expected, field.name) for field in fields(expected)}
    return all(value is None or getattr(found, name) == value for name, value in said.items())


def failure(
    expected: Expected,
    times: int | None,
    matching: int,
    events: Sequence[Event],
    items: list[Item],
    passed_by: Sequence[object],
    hints: Sequence[str] = (),
) -> str:
    """The error message: what was expected, the nearest event, and everything that was captured."""
    wanted = "at least one event" if times is None else f"{times} event{'' if times == 1 else 's'}"
    lines = [f"expected {wanted} {expected}; {matching} of {len(items)} captured items match"]
    near = sorted((expected.differences(event) for event in events), key=len)
    if near and near[0] and (times is None or times > matching):
        lines += ["the nearest differs in (- expected, + captured):", *near[0]]
    lines += ["captured:", *table(items)]
    if passed_by:
        lines += [
            "not counted here, but captured by threads that an earlier test started (in_context() attributes them):",
            *(f"  {stray}" for stray in passed_by),
        ]
    if hints and (times is None or times > matching):
        lines += [
            "these functions are called without their tracking decorator:",
            *(f"  {hint}" for hint in hints[:5]),
        ]
    return "\n".join(lines)


def table(items: Sequence[Item]) -> Iterator[str]:
    """The items, one line each."""
    if not items:
        yield "  nothing"
    for number, item in enumerate(items):
        yield f"  {number}. {line(item)}"


def line(item: Item) -> str:
    """One item: its name or kind, and its fields."""
    said = [repr(item.name) if isinstance(item, Event) else type(item).__name__]
    for field in fields(item):
        value = getattr(item, field.name)
        if field.name not in ("name", "triggered_at") and value is not None and value != {}:
            said.append(f"{field.name}={shown(value)}")
    return ", ".join(said)


def shown(value: Any) -> str:
    """A short form of a user or account; the repr of anything else."""
    if isinstance(value, (UserIdentified, AccountIdentified)):
        said = [getattr(value, field.name) for field in fields(value)]
        return " ".join(repr(part) for part in said if part is not None)
    if isinstance(value, Mapping):
        return repr(dict(value))
    return "nobody" if value is None else repr(value)


def _changed(what: str, expected: str, found: str) -> list[str]:
    return [f"  - {what}: {expected}", f"  + {what}: {found}"]
