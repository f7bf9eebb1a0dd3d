"""What came of reading a project: what is to be changed in each file, and what is left to its owner."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Changed:
    """A statement that is written anew: its line in the file as it was, and how it began."""

    line: int
    written: str


@dataclass(frozen=True, slots=True)
class LeftAsIs:
    """A place that stays as it is: why, and what to write there by hand."""

    file: str
    line: int
    written: str
    reasons: tuple[str, ...]
    instead: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """A file, before and after."""

    path: Path
    file: str
    before: bytes
    after: bytes
    changed: list[Changed]
    left: list[LeftAsIs]


@dataclass(frozen=True, slots=True)
class Migration:
    """All files in which something is to be done, and those that could not be read, with the reason."""

    files: list[Migrated]
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> list[LeftAsIs]:
        return [one for file in self.files for one in file.left]

    @property
    def count(self) -> int:
        """Statements that are written anew."""
        return sum(len(file.changed) for file in self.files)
