"""Reads Parquet files with pyarrow, in batches: each row as JSON values, dates, times and decimals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

#: Rows converted to Python values at once, and bytes read from a column at once.
_ROWS, _BYTES = 1_000, 1 << 20

NEEDS = "Parquet files need pyarrow: pip install 'journy-track[parquet]'"


class NotParquet(Exception):
    """The file cannot be read as Parquet. The message has the reason."""


class Column(NamedTuple):
    """A column. *fault* is why its values cannot be imported; *zoneless* means that they are times without a zone."""

    name: str
    fault: str | None
    zoneless: bool


def has_pyarrow() -> bool:
    """Whether the extra `parquet` is installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return False
    return True


def columns_in(file: Any) -> list[Column]:
    """The columns of an open *file*, in order. Raises `NotParquet`."""
    with _opened(file) as parquet:
        return [Column(field.name, _fault(field.type), _is_zoneless(field.type)) for field in parquet.schema_arrow]


def rows_in(
    file: Any, names: Sequence[str], first: int, zone: tzinfo | None
) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """The rows of an open *file* from number *first* on, counted from 1.

    Yields each row's number, its values in the columns *names*, and what is wrong with it, or `None`. Times without a
    zone are in *zone*. Raises `NotParquet`.
    """
    with _opened(file) as parquet:
        number, groups = 1, list(range(parquet.num_row_groups))
        while groups and number + (rows := parquet.metadata.row_group(groups[0]).num_rows) <= first:
            number += rows
            del groups[0]
        for batch in parquet.iter_batches(_ROWS, row_groups=groups, columns=list(names), use_threads=False):
            skipped = min(max(0, first - number), batch.num_rows)
            number += skipped
            columns = [_values(column, zone) for column in batch.slice(skipped).columns]
            for cells in zip(*columns, strict=True) if columns else [()] * (batch.num_rows - skipped):
                row = dict(zip(batch.schema.names, cells, strict=True))
                wrong = next((name for name, cell in row.items() if cell is _OUT_OF_RANGE), None)
                if wrong is not None:
                    row[wrong] = None
                yield number, row, None if wrong is None else f"{wrong!r} is a date or time out of range"
                number += 1


@contextmanager
def _opened(file: Any) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Do not read ahead: whole row groups, with millions of rows, would be in memory.
        with pq.ParquetFile(file, buffer_size=_BYTES, pre_buffer=False) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise NotParquet(first.rstrip(".")) from None


def _fault(kind: Any) -> str | None:
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return None if _is_uuid(kind) else _fault(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _fault(kind.value_type)
    if _is_list(kind):
        return (
            "holds lists of lists or of objects" if pa.types.is_nested(kind.value_type) else _fault(kind.value_type)
        )
    if pa.types.is_nested(kind):
        return "holds objects (a struct or a map)"
    of = pa.types
    known = (of.is_boolean, of.is_integer, of.is_floating, of.is_decimal, of.is_date, of.is_timestamp, of.is_null)
    if any(check(kind) for check in known) or str(kind) in ("string", "large_string", "string_view"):
        return None
    return f"holds values of the type {kind}"


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_uuid(kind: Any) -> bool:
    return getattr(kind, "extension_name", None) == "arrow.uuid"


def _is_zoneless(kind: Any) -> bool:
    import pyarrow as pa

    if _is_list(kind):
        return _is_zoneless(kind.value_type)
    return bool(pa.types.is_timestamp(kind) and kind.tz is None)


_OUT_OF_RANGE = object()


def _values(column: Any, zone: tzinfo | None) -> list[Any]:
    """The cells of *column* as Python values."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _values(column.dictionary_decode(), zone)
    if _is_list(kind):
        return [None if cell.values is None else _values(cell.values, zone) for cell in column]
    if pa.types.is_float32(kind):
        # Through the shortest text, to get 399.95 and not 399.95001220703125.
        column = column.cast(pa.string()).cast(pa.float64())
    elif pa.types.is_timestamp(kind):  # Python's datetimes have no nanoseconds
        column = column.cast(pa.timestamp("us", None if kind.tz is None else "UTC"), safe=False)
    try:
        cells = column.to_pylist()
    except (ValueError, OverflowError):
        cells = [_in_range(cell) for cell in column]
    if pa.types.is_decimal(kind):
        return [_number(cell) for cell in cells]
    if pa.types.is_floating(kind):  # pandas uses nan for missing values
        return [None if cell is None or math.isnan(cell) else cell for cell in cells]
    if _is_uuid(kind):
        return [None if cell is None else str(cell) for cell in cells]
    if _is_zoneless(kind):
        return [cell if cell in (None, _OUT_OF_RANGE) else cell.replace(tzinfo=zone) for cell in cells]
    return list(cells)


def _in_range(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        return _OUT_OF_RANGE


def _number(cell: Decimal | None) -> Decimal | int | None:
    # Data warehouses often store whole numbers, including IDs, as decimals with scale 0.
    return int(cell) if cell is not None and cell.as_tuple().exponent == 0 else cell
