"""The result of each line, on disk, so that a second run continues where the first one ended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from journy_track._model.values import plain
from journy_track.cli.files import append_to_file, read_own_file, replace_file, truncate_file

VERSION = 1


class Unusable(Exception):
    """The state file cannot be used for this import. The message has the reason and the remedy."""


@dataclass(slots=True)
class Position:
    """The progress of an import: all lines before *next_line* were read, and of these only *open* are not settled.

    *offset* and *line* are the position from which to continue: at or before the first line that is not settled.
    """

    #: The prefix of its message IDs, by which journy.io recognises a row that is sent again after a kill.
    run: str = field(default_factory=lambda: os.urandom(10).hex())

    offset: int = 0
    line: int = 1
    next_line: int = 1
    open: list[int] = field(default_factory=list)
    delivered: int = 0
    rejected: int = 0
    #: Rows that were not sent, because journy.io has the same values already.
    unchanged: int = 0
    #: Delivered rows with some properties that journy.io rejected.
    in_part: int = 0
    #: The size in bytes of the file of rejected rows, as of this position.
    rejected_bytes: int = 0
    #: The number of rows in the file, known once it has been checked.
    total: int = 0
    done: bool = False

    @property
    def settled(self) -> int:
        """The number of rows that are done."""
        return self.delivered + self.unchanged + self.rejected


def is_unfinished(state: Path) -> bool:
    """Whether *state* is the state file of an import that has not finished."""
    try:
        document = json.loads(read_own_file(state))
        return not document["position"]["done"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Journal:
    """The state file and the file of rejected rows, both next to the input. *about* describes their import."""

    def __init__(self, state: Path, rejected: Path, about: Mapping[str, Any]) -> None:
        self.state = state
        self.rejected = rejected
        self._about = {"version": VERSION, **about}

    def load(self) -> Position | None:
        """The saved position; `None` if the import has not begun. Raises `Unusable`."""
        try:
            document = json.loads(read_own_file(self.state))
            about, position = document["about"], Position(**document["position"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unusable(f"Cannot read the state file {self.state}: {error.strerror or error}.") from None
        except (ValueError, KeyError, TypeError):
            raise Unusable(f"{self.state} is not the state of an import: remove it, or pass --restart.") from None
        for what, value in self._about.items():
            if about.get(what) != value:
                raise Unusable(f"{self.state} belongs to an import with {_OTHER[what]}. {_AGAIN}")
        return position

    def begin(self, position: Position) -> None:
        """Continue at *position*, and drop later rejections, which will occur again. Raises OSError."""
        try:
            # Only ever shortens the file: a person may have removed lines.
            position.rejected_bytes = truncate_file(self.rejected, position.rejected_bytes)
            if not position.rejected_bytes:
                self.rejected.unlink()
        except FileNotFoundError:
            position.rejected_bytes = 0
        self.save(position, ())

    def save(self, position: Position, rejections: Iterable[Mapping[str, Any]]) -> None:
        """Write the rejected rows, then the position, so that a crash in between loses no row.

        Raises OSError.
        """
        lines = "".join(json.dumps(row, ensure_ascii=False, default=plain) + "\n" for row in rejections)
        if lines:
            position.rejected_bytes = append_to_file(self.rejected, lines.encode("utf-8", "backslashreplace"))
        document = {"about": self._about, "position": _plain(position)}
        replace_file(self.state, json.dumps(document).encode())
        _force_folder(self.state.parent)


_OTHER = {
    "version": "another version of journy-track",
    "input": "different file contents",
    "columns": "different options",
    "base_url": "a different base URL",
}
_AGAIN = "Use the same as before to resume, or --restart to start over and send every row again."


def _plain(position: Position) -> dict[str, Any]:
    return {name: getattr(position, name) for name in Position.__dataclass_fields__}


def _force_folder(folder: Path) -> None:
    """Make a file's new name survive a power failure, if the system supports it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
