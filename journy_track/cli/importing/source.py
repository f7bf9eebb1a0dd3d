"""The file: records with the line and the byte at which they begin, read one by one."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

#: Bytes of the longest line: an item holds 64 KiB.
MOST_LINE = 1024 * 1024


class Unreadable(Exception):
    """The file as a whole is of no use; says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. *fault* says why it has no *cells*; *offset* is the byte at which it begins."""

    line: int
    offset: int
    cells: dict[str, Any]
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A CSV or JSON Lines file. *format* is `csv` or `jsonl`."""

    path: Path
    format: str
    encoding: str = "utf-8"
    delimiter: str = ","

    def fingerprint(self) -> str:
        """SHA-256 of what it holds."""
        with self._open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def header(self) -> list[str]:
        """The names of the columns of a CSV file; none for JSON Lines. Raises `Unreadable`."""
        with self._open() as file:
            return self._header(_Lines(file, self.encoding)) if self.format == "csv" else []

    def records(self, offset: int = 0, line: int = 1) -> Iterator[Record]:
        """The records from the one that begins at *offset*, which is in *line*. Raises `Unreadable`."""
        with self._open() as file:
            lines = _Lines(file, self.encoding)
            header = self._header(lines) if self.format == "csv" else []
            if offset > lines.offset:
                lines.go_on(offset, line)
            yield from self._csv(lines, header) if self.format == "csv" else _json_lines(lines)

    def _open(self) -> BufferedReader:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise Unreadable(f"Cannot read {self.path}: {error.strerror or error}.") from None

    def _header(self, lines: _Lines) -> list[str]:
        try:
            header = next(csv.reader(lines, delimiter=self.delimiter, strict=True), [])
        except csv.Error as error:
            raise Unreadable(f"The first line of {self.path.name} is no header: {error}.") from None
        if not any(header):
            raise Unreadable(f"{self.path.name} has no header: its first line must name the columns.")
        if fault := _not_text("".join(header)):  # else it would be part of the names of properties
            raise Unreadable(f"The header of {self.path.name} {fault}.")
        for number, name in enumerate(header, start=1):
            if not name:
                raise Unreadable(f"Column {number} of {self.path.name} has no name in the header.")
            if name in header[: number - 1]:
                raise Unreadable(f"The column {name!r} is twice in the header of {self.path.name}.")
        return header

    def _csv(self, lines: _Lines, header: list[str]) -> Iterator[Record]:
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            line, offset = lines.line + 1, lines.offset
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Record(line, offset, {}, f"is no CSV: {error}")
                continue
            if cells is None:
                return
            if not cells:  # an empty line
                continue
            if len(cells) != len(header):
                fault = f"has {len(cells)} cells, and the header has {len(header)}"
                yield Record(line, offset, dict(zip(header, cells, strict=False)), fault)
            else:
                yield Record(line, offset, dict(zip(header, cells, strict=True)), _not_text("".join(cells)))


class _Lines:
    """The lines of a file as text, and how far they were read."""

    def __init__(self, file: BufferedReader, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self.line = 0
        self.offset = 0

    def go_on(self, offset: int, line: int) -> None:
        """Read on at *offset*, where *line* begins."""
        self._file.seek(offset)
        self.offset, self.line = offset, line - 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MOST_LINE + 1)
        if not raw:
            raise StopIteration
        if len(raw) > MOST_LINE:
            raise Unreadable(f"Line {self.line + 1} is longer than {MOST_LINE // 1024} KiB: is it the right format?")
        first = self.offset == 0
        self.offset += len(raw)
        self.line += 1
        # Bytes that are no text stay visible as surrogates: that row is at fault, and not the file.
        text = raw.decode(self._encoding, "surrogateescape")
        return text.removeprefix("\ufeff") if first else text


def _json_lines(lines: _Lines) -> Iterator[Record]:
    while True:
        line, offset = lines.line + 1, lines.offset
        text = next(lines, None)
        if text is None:
            return
        if not text.strip():
            continue
        fault = _not_text(text)
        cells: Any = {}
        try:
            cells = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            fault = fault or f"is no JSON: {error}"
        if not isinstance(cells, dict):
            cells, fault = {}, "is no JSON object"
        yield Record(line, offset, cells, fault)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _not_text(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has bytes that are no text in this encoding (see --encoding)"
    return None
