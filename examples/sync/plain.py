"""All accounts of a database, once a day, without a framework: any cursor of Python's database API works.

journy-track inspect                                            # in another terminal
export JOURNY_BASE_URL=http://127.0.0.1:8470
python examples/sync/plain.py shop.db --dry-run                 # counts what it would send
python examples/sync/plain.py shop.db                           # sends all
python examples/sync/plain.py shop.db                           # sends what has changed since: nothing

If it is stopped or killed, run it again: it resumes where it was. It exits with 1 if not everything was delivered.
"""

import argparse
import sqlite3
import sys
from collections.abc import Iterator

import journy_track


def accounts(database: sqlite3.Connection) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield each company's ID and properties, read one by one."""
    for number, name, plan, seats in database.execute("SELECT id, name, plan, seats FROM companies"):
        yield number, {"name": name, "plan": plan, "seats": seats}


def make_sample(database: sqlite3.Connection) -> None:
    """Fill in sample data. Replace it with your own."""
    database.execute("CREATE TABLE IF NOT EXISTS companies (id INTEGER PRIMARY KEY, name, plan, seats)")
    sample = [(1, "ACME", "pro", 12), (2, "Globex", "free", 3), (3, "Initech", "pro", 40)]
    database.executemany("INSERT OR IGNORE INTO companies VALUES (?, ?, ?, ?)", sample)
    database.commit()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("database", help="the path of a SQLite file")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    journy_track.configure()
    database = sqlite3.connect(options.database)
    make_sample(database)
    report = journy_track.sync_accounts(
        accounts(database),
        state=f"{options.database}.journy",  # digests of what journy.io confirmed, without personal data
        dry_run=options.dry_run,
    )
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
