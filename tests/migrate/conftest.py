"""Migrates a module of a few lines."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from journy_track.cli.migrating.found import LeftAsIs
from journy_track.cli.migrating.reading import VENDORS
from journy_track.cli.migrating.reading import migrate as read


@dataclass
class Moved:
    files: dict[str, str]
    left: list[LeftAsIs]

    @property
    def text(self) -> str:
        return self.files["app.py"]

    @property
    def reasons(self) -> str:
        return "\n".join(reason for one in self.left for reason in one.reasons)


@pytest.fixture
def moved(tmp_path: Path) -> Callable[..., Moved]:
    """Return a function that migrates `app.py` and other modules by name, and returns all resulting files."""

    def move(vendor: str, source: str, **others: str) -> Moved:
        folder = tmp_path / "project"
        texts = {"app.py": source, **{f"{name.replace('__', '/')}.py": text for name, text in others.items()}}
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(textwrap.dedent(text).encode())
        migration = read(VENDORS[vendor], [folder])
        assert not migration.unread
        files = {name: (folder / name).read_bytes() for name in texts}
        files |= {file.path.relative_to(folder).as_posix(): file.after for file in migration.files}
        for name, text in files.items():
            compile(text, name, "exec")
        return Moved({name: text.decode() for name, text in files.items()}, migration.left)

    return move
