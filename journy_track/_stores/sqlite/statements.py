"""Statements that end where they are used.

One with rows left to read holds up commits and changes of the journal for as long as its cursor lives. CPython
collects a cursor at once, PyPy at some later time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any


class Connection(sqlite3.Connection):
    """A connection whose `first` and `rows` leave no statement behind."""

    def first(self, query: str, values: Sequence[Any] = (), /) -> Any:
        """The first row, `None` without one. Also for a PRAGMA that sets something: it may give back a row."""
        with self.rows(query, values) as rows:
            return rows.fetchone()

    def rows(self, query: str, values: Sequence[Any] = (), /) -> closing[sqlite3.Cursor]:
        """The rows, for a `with` statement: within it not all of them need to be read."""
        return closing(self.execute(query, values))
