"""Reads the input file record by record, each with the line and the byte offset at which it begins."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any

from journy_track.cli.importing import parquet

#: The maximum line length in bytes, well above the 64 KiB of an item.
MAX_LINE = 1024 * 1024
#: The size in bytes of a block, whose digest is verified before any of its rows are used.
_BLOCK = 1024 * 1024
_DELIMITERS = ";\t|"


class Unreadable(Exception):
    """The file as a whole cannot be used. The message has the reason."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. In a file of lines, *offset* is the byte at which it begins.

    *fault* is why it cannot be used; *raw* is then its content, if that could not be converted to *cells*.
    """

    line: int
    offset: int
    cells: dict[str, Any]
    fault: str | None = None
    raw: str | list[str] | None = None


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of rows. *format* is `csv`, `jsonl`, `parquet`, or `rejected` (rejected rows that an import wrote).

    *left_out* and *zone* are for Parquet: the columns that are not read, and the time zone of times without one.
    Once the file is `pinned`, *blocks* are the digests of its blocks and *fingerprint* is the SHA-256 of its content.
    """

    path: Path
    format: str
    encoding: str = "utf-8"
    delimiter: str = ","
    fingerprint: str | None = None
    blocks: tuple[bytes, ...] | None = field(default=None, repr=False)
    left_out: frozenset[str] = frozenset()
    zone: tzinfo | None = None

    def pinned(self) -> InputFile:
        """The same file, pinned to its current content: reading a block that has changed raises `Unreadable`."""
        whole, blocks = hashlib.sha256(), []
        with self._open() as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it must be finite, and is read three times
                raise Unreadable(f"Cannot read {self.path}: it is not a file.")
            while block := file.read(_BLOCK):
                whole.update(block)
                blocks.append(hashlib.sha256(block).digest())
        return replace(self, fingerprint=whole.hexdigest(), blocks=tuple(blocks))

    def header(self) -> list[str]:
        """The names of the columns; empty for JSON Lines. Raises `Unreadable`."""
        if self.format == "parquet":
            return [column.name for column in self.parquet_columns()]
        with self._open() as file:
            return self._header(_TextLines(file, self.encoding)) if self.format == "csv" else []

    def parquet_columns(self) -> list[parquet.Column]:
        """The columns of a Parquet file. Raises `Unreadable`."""
        try:
            with self._open() as file:
                columns = parquet.columns_in(file)
        except parquet.NotParquet as error:
            raise Unreadable(f"{self.path.name} cannot be read as Parquet: {error}.") from None
        self._check_names([column.name for column in columns])
        return columns

    def records(self, offset: int = 0, line: int = 1) -> Iterator[Record]:
        """The records, starting with the one at *offset*, where *line* begins. Raises `Unreadable`."""
        if self.format == "parquet":
            yield from self._rows(line)
            return
        with self._open() as file:
            lines = _TextLines(file, self.encoding)
            header = self._header(lines) if self.format == "csv" else []
            if offset > lines.offset:
                lines.go_on(offset, line)
            if self.format == "csv":
                yield from self._csv(lines, header)
            else:
                yield from _json_lines(lines) if self.format == "jsonl" else map(_rejected, _json_lines(lines))

    def _rows(self, first: int) -> Iterator[Record]:
        names = [name for name in self.header() if name not in self.left_out]
        try:
            with self._open() as file:
                for number, cells, fault in parquet.rows_in(file, names, first, self.zone):
                    yield Record(number, 0, cells, fault)
        except parquet.NotParquet as error:
            raise Unreadable(f"{self.path.name} cannot be read as Parquet: {error}.") from None

    def _open(self) -> BufferedReader:
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise Unreadable(f"Cannot read {self.path}: {error.strerror or error}.") from None
        return file if self.blocks is None else BufferedReader(_Pinned(file, self.blocks, self.path.name))

    def _header(self, lines: _TextLines) -> list[str]:
        try:
            header = next(csv.reader(lines, delimiter=self.delimiter, strict=True), [])
        except csv.Error as error:
            raise Unreadable(f"The first line of {self.path.name} is not a header: {error}.") from None
        if not any(header):
            raise Unreadable(f"{self.path.name} has no header: its first line must name the columns.")
        if fault := _not_text("".join(header)):  # otherwise it would become part of property names
            raise Unreadable(f"The header of {self.path.name} {fault}.")
        if len(header) == 1 and (found := next((one for one in _DELIMITERS if one in header[0]), None)):
            raise Unreadable(
                f"{self.path.name} has one column, {_short(header[0])}: its cells seem to be separated by {found!r}. "
                f"Pass --delimiter {_shell_word(found)}."
            )
        self._check_names(header)
        return header

    def _check_names(self, header: list[str]) -> None:
        for number, (name, times) in enumerate(Counter(header).items(), start=1):
            if not name:
                raise Unreadable(f"Column {number} of {self.path.name} has no name in the header.")
            if times > 1:
                raise Unreadable(f"The column {_short(name)} appears twice in the header of {self.path.name}.")

    def _csv(self, lines: _TextLines, header: list[str]) -> Iterator[Record]:
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            line, offset = lines.line + 1, lines.offset
            try:
                cells = next(reader, None)
            except csv.Error as error:
                if lines.line > line and str(error).startswith("field larger"):
                    raise Unreadable(
                        f"A cell of the row in line {line} does not end within {csv.field_size_limit() // 1024} KiB: "
                        "is a closing quote missing?"
                    ) from None
                yield Record(line, offset, {}, f"is not CSV: {error}")
                continue
            if cells is None:
                return
            if not cells:  # an empty line
                continue
            if len(cells) != len(header):
                fault = f"has {len(cells)} cells, and the header has {len(header)}"
                # The cells cannot be matched to columns, and none may be sent under the wrong name.
                yield Record(line, offset, {}, fault, raw=cells)
            else:
                # An empty cell is None, like null in JSON.
                row = {name: cell or None for name, cell in zip(header, cells, strict=True)}
                yield Record(line, offset, row, _not_text("".join(cells)))


class _Pinned(RawIOBase):
    """A file pinned to its content: reading a block that has changed since raises `Unreadable`."""

    def __init__(self, file: BufferedReader, blocks: tuple[bytes, ...], name: str) -> None:
        self._file = file
        self._blocks = (*blocks, hashlib.sha256().digest())  # after the end there was no data
        self._name = name
        self._at = 0
        self._number = -1
        self._block = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == os.SEEK_END:
            self._at = self._file.seek(offset, whence)
        else:
            self._at = self._at + offset if whence == os.SEEK_CUR else offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        number, begin = divmod(self._at, _BLOCK)
        if number != self._number:
            self._file.seek(number * _BLOCK)
            self._block, self._number = self._file.read(_BLOCK), number
            if hashlib.sha256(self._block).digest() != self._blocks[min(number, len(self._blocks) - 1)]:
                raise Unreadable(f"{self._name} was changed while it was imported: what has changed was not sent.")
        part = self._block[begin : begin + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()


class _TextLines:
    """The lines of a file as text, with the current line number and offset."""

    def __init__(self, file: BufferedReader, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self.line = 0
        self.offset = 0

    def go_on(self, offset: int, line: int) -> None:
        """Continue reading at *offset*, where *line* begins."""
        self._file.seek(offset)
        self.offset, self.line = offset, line - 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE + 1)
        if not raw:
            raise StopIteration
        if len(raw) > MAX_LINE:
            raise Unreadable(f"Line {self.line + 1} is longer than {MAX_LINE // 1024} KiB: is it the right format?")
        first = self.offset == 0
        self.offset += len(raw)
        self.line += 1
        # Invalid bytes are kept as surrogates, so that only their row is refused, not the whole file.
        text = raw.decode(self._encoding, "surrogateescape")
        return text.removeprefix("\ufeff") if first else text


def _json_lines(lines: _TextLines) -> Iterator[Record]:
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
            cells = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_without_repeats)
        except (ValueError, RecursionError) as error:
            yield Record(line, offset, {}, fault or f"is not JSON: {error}", raw=text)
            continue
        except _Repeated as error:
            yield Record(line, offset, {}, fault or str(error), raw=text)
            continue
        if not isinstance(cells, dict):
            yield Record(line, offset, {}, "is not a JSON object", raw=text)
            continue
        yield Record(line, offset, cells, fault)


def _rejected(record: Record) -> Record:
    """The original row, from a line that an import wrote about a rejected row."""
    row = record.cells.get("row")
    if record.fault is not None:
        return record
    if not isinstance(row, dict):
        return replace(record, fault="has no 'row': is this a file of rejected rows?")
    if not row and "raw" in record.cells:
        fault = "was not corrected: copy 'raw' into 'row' and correct it there"
        return replace(record, cells={}, fault=fault, raw=record.cells["raw"])
    return replace(record, cells=row)


class _Repeated(Exception):
    """An object has the same key twice, so it is not clear which value is meant."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        repeated = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise _Repeated(f"has the key {_short(repeated)} twice")
    return value


def _short(text: str) -> str:
    return repr(text) if len(text) <= 80 else repr(text[:79] + "…")


def _shell_word(delimiter: str) -> str:
    return "$'\\t'" if delimiter == "\t" else f"'{delimiter}'"


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _not_text(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has bytes that are not valid in this encoding (see --encoding)"
    return None
