"""The definition of another library: its names, and what to write in place of its calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import libcst as cst

from journy_track.cli.migrating.calls import Given
from journy_track.cli.migrating.source import Place, Source


@dataclass(eq=False, slots=True)
class Proposal:
    """The proposed replacement for a statement; see `Item`."""

    lines: list[str] | None = None
    doubts: list[str] = field(default_factory=list)
    hint: str = ""
    made: list[Place] = field(default_factory=list)

    @classmethod
    def of(cls, given: Given, *lines: str) -> Proposal:
        """Propose these statements, with the doubts about the arguments."""
        return cls(list(lines), given.doubts)

    @classmethod
    def none(cls, doubt: str, hint: str) -> Proposal:
        """Propose nothing, because the replacement cannot be determined. *hint* is shown instead."""
        return cls(None, [doubt], hint)


class Vendor(Protocol):
    """A library whose calls are replaced."""

    #: Its importable modules.
    modules: ClassVar[tuple[str, ...]]
    #: The classes whose instances have its verbs, by their name within the module.
    clients: ClassVar[frozenset[str]]
    #: Verbs that are rare in other code: a call of one is listed even if its receiver is not known.
    distinctive: ClassVar[frozenset[str]]
    #: The module's settings that hold its key. They are replaced by a call of `configure()`.
    key: ClassVar[frozenset[str]]
    #: Its other settings, with what to write for each.
    settings: ClassVar[Mapping[str, str]]

    def call(self, source: Source, call: cst.Call, verb: str) -> Proposal | None:
        """The replacement for a call of *verb*, of the module or of a client; `None` if it is not a verb."""
        ...

    def creation(self, source: Source, call: cst.Call) -> Proposal:
        """The replacement for a call that creates a client."""
        ...

    def others(self, source: Source) -> None:
        """Add the items of statements that are not calls of a verb, such as those that create an argument of one."""
        ...


#: The replacement for a statement that sets the key of another library.
CONFIGURE = "journy_track.configure()"
