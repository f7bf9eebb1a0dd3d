"""The durable spool: a folder with one SQLite file per process."""

#: The error message if Python's SQLite module cannot be imported.
NEED_SQLITE = (
    "spool needs SQLite, and this Python was built without it (there is no module _sqlite3): install the package of "
    "your system that has it, or build Python where SQLite's headers (libsqlite3-dev, sqlite-devel) are installed"
)


def is_sqlite(missing: ModuleNotFoundError) -> bool:
    """Whether the module that could not be imported is SQLite's."""
    return missing.name in ("_sqlite3", "sqlite3")
