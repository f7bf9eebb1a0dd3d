"""Statements that are closed right after use.

A statement with unread rows blocks commits and changes of the journal mode for as long as its cursor exists. CPython
frees a cursor immediately, PyPy at some later time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any


class Connection(sqlite3.Connection):
    """A connection whose `first` and `rows` leave no statement open."""

    def first(self, query: str, values: Sequence[Any] = (), /) -> Any:
        """Return the first row, or `None`. Also for a PRAGMA that sets a value, as it may return a row."""
        with self.rows(query, values) as rows:
            return rows.fetchone()

    def rows(self, query: str, values: Sequence[Any] = (), /) -> closing[sqlite3.Cursor]:
        """Return the rows, for use in a `with` statement. They need not all be read."""
        return closing(self.execute(query, values))
