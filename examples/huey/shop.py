"""Sends jobs, each for a different user. A web framework's middleware would do what the `with` block does here."""

import sys

import tasks

import journy_track


def main(customers: int) -> None:
    for number in range(customers):
        with (
            journy_track.user(f"u{number}"),
            journy_track.account("acme"),
            journy_track.metadata(channel="web"),
        ):
            tasks.export_report("2026-10")
    tasks.clean_up()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
