"""Converts the options of `import` from command-line strings, and checks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from journy_track._state.digests import trouble_with
from journy_track.cli.importing import parquet
from journy_track.cli.importing.columns import FIELDS, Columns
from journy_track.cli.importing.source import InputFile
from journy_track.cli.typed import TYPES

#: The suffix of the file of rejected rows, after the name of the imported file.
REJECTED = ".rejected.jsonl"
FORMATS = ("csv", "jsonl", "parquet", "rejected")
_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
MAX_LISTED = 50  # columns in a message
EMPTY = ("omit", "delete", "text")


class Misused(Exception):
    """An option is invalid. The message names it and what it accepts."""


def source_of(path: Path, format_: str | None, encoding: str, delimiter: str) -> InputFile:
    """The input file, with its format. Raises `Misused`."""
    by_name = "rejected" if path.name.endswith(REJECTED) else _FORMATS.get(path.suffix.lower())
    known = format_ or by_name
    if known not in FORMATS:
        raise Misused(
            f"{path} does not end in .csv, .jsonl or .parquet: pass --format with one of {', '.join(FORMATS)}."
        )
    if known == "parquet" and not parquet.has_pyarrow():
        raise Misused(f"{parquet.NEEDS}.")
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise Misused("--delimiter takes one character, as in --delimiter ';'.")
    try:
        fits = ('\n",' + delimiter).encode(encoding) == ('\n",' + delimiter).encode()
    except LookupError:
        raise Misused(f"--encoding {encoding} is not known: try utf-8, latin-1 or cp1252.") from None
    if not fits:
        raise Misused(f"--encoding {encoding} cannot be read line by line: convert the file to UTF-8.")
    return InputFile(path, known, encoding, delimiter)


def columns_of(
    path: Path,
    kind: str | None,
    mapping: Iterable[str],
    types: Iterable[str],
    empty: str,
    timezone: str | None,
    *,
    undated: bool,
) -> Columns:
    """How the cells of the file are read. Raises `Misused`."""
    known = kind or next((name for name in FIELDS if path.name.lower().startswith(name)), None)
    if known not in FIELDS:
        raise Misused(
            f"The name of {path} does not say what it holds: pass --kind users, --kind accounts or --kind events."
        )
    if empty not in EMPTY:
        raise Misused(f"--empty takes one of {', '.join(EMPTY)}.")
    if empty != "omit" and known == "events":
        raise Misused("--empty is for users and accounts: an event has no property that could be deleted.")
    zone = None
    if timezone is not None:
        try:
            zone = ZoneInfo(timezone)
        except (OSError, ValueError, ZoneInfoNotFoundError):
            raise Misused(
                f"--timezone {timezone} is not known: it takes names such as Europe/Brussels or UTC."
            ) from None
    targets = _pairs(mapping, "=", "--map", "column=field")
    kinds = _pairs(types, ":", "--type", "column:type")
    for column, type_ in kinds.items():
        if type_ not in TYPES:
            raise Misused(f"--type {column}:{type_}: {type_!r} is not a type. The types are {', '.join(TYPES)}.")
    for target, times in Counter(targets.values()).items():
        if target and times > 1:
            raise Misused(f"--map: two columns go to {target!r}.")
    return Columns(known, targets, kinds, empty, zone, undated)


def check_patience(seconds: float) -> None:
    """Check that *seconds* is above 0. Raises `Misused`."""
    if not seconds > 0:  # this form also refuses nan
        raise Misused(f"--patience {seconds:g} is not a time to wait: pass seconds above 0, as in --patience 600.")


def check_state(kind: str, state: Path | None, *, skip_unchanged: bool) -> None:
    """Check that *skip_unchanged* can be used with these options. Raises `Misused`."""
    if skip_unchanged and kind == "events":
        raise Misused("--skip-unchanged is for users and accounts: each event is sent.")
    if skip_unchanged and state is None:
        raise Misused(
            "--skip-unchanged needs to know what journy.io confirmed: pass --state FILE, or set "
            "JOURNY_SKIP_UNCHANGED_STATE. Name the file that sync_accounts() uses, or a new one."
        )


def problem_of_state(state: Path | None) -> str | None:
    """Why *state* cannot be used; `None` if it can, or if there is none."""
    if state is None:
        return None
    from journy_track._state.sqlite import SqliteDigests  # imported here, because Python may be built without SQLite

    digests = SqliteDigests(state)
    try:
        trouble = trouble_with(digests)
    finally:
        digests.close()
    return None if trouble is None else f"The state cannot be used: {trouble}."


def check_names(columns: Columns, header: list[str]) -> None:
    """Check that the options name columns in *header*, which is empty if the file has none. Raises `Misused`."""
    known = frozenset(header)
    for option, names in (("--map", columns.mapping), ("--type", columns.types)):
        for name in names:
            if header and name not in known:
                listed = ", ".join(header[:MAX_LISTED]) + (" and others" if len(header) > MAX_LISTED else "")
                raise Misused(f"{option} {name}: there is no such column. The header has {listed}.")


def fitting(source: InputFile, columns: Columns) -> InputFile:
    """*source*, limited to the columns that are used. Raises `Misused` for a column that cannot be imported."""
    if source.format != "parquet":
        return source
    left_out = frozenset(name for name, target in columns.mapping.items() if not target)
    for column in source.parquet_columns():
        name = column.name
        if name in left_out:
            continue
        if column.fault is not None:
            raise Misused(
                f"The column {name!r} {column.fault}, which cannot be imported: leave it out with --map {name}="
            )
        if column.zoneless and columns.zone is None:
            raise Misused(
                f"The column {name!r} holds times without a zone: pass --timezone, or leave it out with --map {name}="
            )
    return replace(source, left_out=left_out, zone=columns.zone)


def about(source: InputFile, columns: Columns, base_url: str) -> dict[str, Any]:
    """The options and content that must be the same for a second run to continue."""
    read = {**asdict(columns), "zone": str(columns.zone)}
    del read["ids_only"]  # depends on the keys, which may differ in a second run
    read |= {"format": source.format, "encoding": source.encoding, "delimiter": source.delimiter}
    return {"input": source.fingerprint, "columns": read, "base_url": base_url}


def _pairs(texts: Iterable[str], sign: str, option: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        # Split from the right: a column's name may contain the sign, but a field or a type cannot.
        name, found, value = text.rpartition(sign)
        if not found or not name:
            raise Misused(f"{option} {text}: write {option} {form}.")
        if name in pairs:
            raise Misused(f"{option}: {name!r} is given twice.")
        pairs[name] = value
    return pairs
