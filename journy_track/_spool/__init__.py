"""The durable spool: a folder with one SQLite file per process."""
