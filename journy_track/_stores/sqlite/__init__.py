"""The durable spool: a folder with one SQLite file per process."""

#: What is wrong where Python's own module for SQLite cannot be imported.
NEED_SQLITE = (
    "spool needs SQLite, and this Python was built without it (there is no module _sqlite3): install the package of "
    "your system that has it, or build Python where SQLite's headers (libsqlite3-dev, sqlite-devel) are installed"
)


def is_sqlite(missing: ModuleNotFoundError) -> bool:
    """Whether it was SQLite that could not be imported."""
    return missing.name in ("_sqlite3", "sqlite3")
