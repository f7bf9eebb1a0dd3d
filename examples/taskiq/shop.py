"""Sends tasks, each for a different user. A web framework's middleware would do what the `with` block does here."""

import asyncio
import sys

import tasks

import journy_track


async def main(customers: int) -> None:
    await tasks.broker.startup()
    for number in range(customers):
        with (
            journy_track.user(f"u{number}"),
            journy_track.account("acme"),
            journy_track.metadata(channel="web"),
        ):
            await tasks.export_report.kiq("2026-10")
    await tasks.clean_up.kiq()
    await tasks.broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
