"""Reads the event names from a committed catalogue, in any form that `catalog` writes to a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from journy_track.inspector.catalogue import Catalogue

#: The files to which the README's commands write it. They are found without being named.
USUAL = ("events.md", "events.json")
#: The maximum size in bytes of a file that is read.
MAX_FILE = 8 * 1024 * 1024
#: A row of the table of events. Its first cell is the name, as code, in which a bar is escaped.
_ROW = re.compile(r"\| (`{1,2})((?:[^|\\]|\\\||\\)+)\1 \|.* \|.* \|.* \|")
_HEAD = "| event | metadata | where | what |"


def read_committed(file: Path) -> Catalogue:
    """The catalogue in *file*. Raises `ValueError` with the reason if it is not a catalogue."""
    try:
        with file.open("rb") as opened:
            read = opened.read(MAX_FILE + 1)  # bounded, because a file that is not a regular file has no size
        if len(read) > MAX_FILE:
            raise ValueError(f"{file} is not a catalogue: it is larger than {MAX_FILE:,} bytes.")
        text = read.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not text.") from error
    except OSError as error:
        raise ValueError(f"Cannot read {file}: {error.strerror or error}.") from error
    found = _of_json(text) if file.suffix.lower() == ".json" else _of_markdown(text)
    if found is None:
        raise ValueError(f"{file} is not a catalogue. Write one with: journy-track catalog --output events.md")
    names, is_whole = found
    return Catalogue(str(file), tuple(dict.fromkeys(names)), is_whole)


def usual_catalogue(folder: Path) -> Path | None:
    """The catalogue under one of the usual names in *folder*; `None` if there is none."""
    for name in USUAL:
        try:
            read_committed(folder / name)
        except ValueError:
            continue
        return folder / name
    return None


def _of_json(text: str) -> tuple[list[str], bool] | None:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"events": list(events), "dynamic": list(dynamic)}:
            names = [event.get("name") for event in events if isinstance(event, dict)]
            return [name for name in names if isinstance(name, str)], not dynamic
        case {"$schema": str(), "$defs": dict(events)}:
            return list(events), True
    return None


def _of_markdown(text: str) -> tuple[list[str], bool] | None:
    if _HEAD not in text:
        return None
    table = text.partition(_HEAD)[2].partition("\n\n")[0]
    names = [row[2].replace("\\|", "|") for row in _ROW.finditer(table)]
    return names, "\n## To look at\n" not in text
