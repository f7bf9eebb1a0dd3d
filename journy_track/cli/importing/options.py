"""The options of `import`, as texts from the command line, become what the rest works with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from journy_track.cli.importing.columns import FIELDS, Columns
from journy_track.cli.importing.source import Source
from journy_track.cli.typed import TYPES

_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
EMPTY = ("omit", "delete", "text")


class Misused(Exception):
    """An option is wrong; says which and what it takes."""


def source_of(path: Path, format_: str | None, encoding: str, delimiter: str) -> Source:
    """The file. Raises `Misused`."""
    known = format_ or _FORMATS.get(path.suffix.lower())
    if known not in ("csv", "jsonl"):
        raise Misused(f"{path} ends neither in .csv nor in .jsonl: say --format csv or --format jsonl.")
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise Misused("--delimiter takes one character, as in --delimiter ';'.")
    try:
        fits = ('\n",' + delimiter).encode(encoding) == ('\n",' + delimiter).encode()
    except LookupError:
        raise Misused(f"--encoding {encoding} is not known: utf-8, latin-1, cp1252 are.") from None
    if not fits:
        raise Misused(f"--encoding {encoding} cannot be read line by line: convert the file to UTF-8.")
    return Source(path, known, encoding, delimiter)


def columns_of(
    path: Path,
    kind: str | None,
    mapping: Iterable[str],
    types: Iterable[str],
    empty: str,
    timezone: str | None,
    *,
    undated: bool,
    empty_text: bool,
) -> Columns:
    """How its cells are read. Raises `Misused`."""
    known = kind or next((name for name in FIELDS if path.name.lower().startswith(name)), None)
    if known not in FIELDS:
        raise Misused(f"{path} does not say what it holds: say --kind users, --kind accounts or --kind events.")
    if empty not in EMPTY:
        raise Misused(f"--empty takes one of {', '.join(EMPTY)}.")
    if empty != "omit" and known == "events":
        raise Misused("--empty is for users and accounts: an event has no property that could be deleted.")
    zone = None
    if timezone is not None:
        try:
            zone = ZoneInfo(timezone)
        except (OSError, ValueError, ZoneInfoNotFoundError):
            raise Misused(f"--timezone {timezone} is not known: it takes names as Europe/Brussels or UTC.") from None
    targets = _pairs(mapping, "=", "--map", "column=field")
    kinds = _pairs(types, ":", "--type", "column:type")
    for column, type_ in kinds.items():
        if type_ not in TYPES:
            raise Misused(f"--type {column}:{type_}: {type_!r} is no type. Known are {', '.join(TYPES)}.")
    for target in targets.values():
        if target and list(targets.values()).count(target) > 1:
            raise Misused(f"--map: two columns go to {target!r}.")
    return Columns(known, targets, kinds, empty, zone, undated, empty_text)


def check_patience(seconds: float) -> None:
    """Whether anything can be settled within that. Raises `Misused`."""
    if not seconds > 0:  # as nan is not either
        raise Misused(f"--patience {seconds:g} is no time to wait: it takes seconds above 0, as in --patience 600.")


def check_names(columns: Columns, header: list[str]) -> None:
    """Whether the options name columns of the *header*, which is empty where there is none. Raises `Misused`."""
    for option, names in (("--map", columns.mapping), ("--type", columns.types)):
        for name in names:
            if header and name not in header:
                raise Misused(f"{option} {name}: there is no such column. The header has {', '.join(header)}.")


def about(source: Source, columns: Columns, base_url: str) -> dict[str, Any]:
    """What must be the same for a second start to go on."""
    read = {**asdict(columns), "zone": str(columns.zone)}
    read |= {"format": source.format, "encoding": source.encoding, "delimiter": source.delimiter}
    return {"input": source.fingerprint(), "columns": read, "base_url": base_url}


def _pairs(texts: Iterable[str], sign: str, option: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        # From the right: a column may have the sign in its name, a field and a type do not.
        name, found, value = text.rpartition(sign)
        if not found or not name:
            raise Misused(f"{option} {text}: write {option} {form}.")
        if name in pairs:
            raise Misused(f"{option}: {name!r} is given twice.")
        pairs[name] = value
    return pairs
