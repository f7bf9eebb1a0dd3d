"""The result of reading a project: the changes in each file, and the places that are left to its owner."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Changed:
    """A rewritten statement: its line in the original file, and its first line of code there."""

    line: int
    written: str


@dataclass(frozen=True, slots=True)
class LeftAsIs:
    """A place that is not changed, with the reasons and what to write there by hand."""

    file: str
    line: int
    written: str
    reasons: tuple[str, ...]
    instead: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """A file before and after the migration."""

    path: Path
    file: str
    before: bytes
    after: bytes
    changed: list[Changed]
    left: list[LeftAsIs]


@dataclass(frozen=True, slots=True)
class Migration:
    """All files with changes or places left to the owner. *unread* maps files that cannot be read to the reason."""

    files: list[Migrated]
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> list[LeftAsIs]:
        return [one for file in self.files for one in file.left]

    @property
    def count(self) -> int:
        """The number of rewritten statements."""
        return sum(len(file.changed) for file in self.files)
