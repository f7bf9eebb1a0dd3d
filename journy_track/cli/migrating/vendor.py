"""What is known of another library: its names, and what to write in place of its calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import libcst as cst

from journy_track.cli.migrating.calls import Given
from journy_track.cli.migrating.source import Place, Source


@dataclass(eq=False, slots=True)
class Proposal:
    """What to write in place of a statement; see `Item`."""

    lines: list[str] | None = None
    doubts: list[str] = field(default_factory=list)
    hint: str = ""
    made: list[Place] = field(default_factory=list)

    @classmethod
    def of(cls, given: Given, *lines: str) -> Proposal:
        """These statements, unless there is a doubt about the arguments."""
        return cls(list(lines), given.doubts)

    @classmethod
    def none(cls, doubt: str, hint: str) -> Proposal:
        """There is nothing to write in its place that could be known here."""
        return cls(None, [doubt], hint)


class Vendor(Protocol):
    """A library that is moved from."""

    #: The modules that are imported of it.
    modules: ClassVar[tuple[str, ...]]
    #: The classes whose instances have its verbs, by the last part of their names.
    clients: ClassVar[frozenset[str]]
    #: Verbs that hardly anything else has: a call of one is listed although nobody knows of what.
    distinctive: ClassVar[frozenset[str]]
    #: The settings of the module that are its key, in whose place `configure()` is called.
    key: ClassVar[frozenset[str]]
    #: Its other settings: what to write for each.
    settings: ClassVar[Mapping[str, str]]

    def call(self, source: Source, call: cst.Call, verb: str) -> Proposal | None:
        """What to write for a call of *verb*, of the module or of a client. `None`: it is not a verb."""
        ...

    def creation(self, source: Source, call: cst.Call) -> Proposal:
        """What to write where a client is made."""
        ...

    def others(self, source: Source) -> None:
        """Add the items of statements that are not calls of a verb, such as where an argument of one is made."""
        ...


#: What to write where the key of another library is set.
CONFIGURE = "journy_track.configure()"
