"""Sends jobs, each for a different user. A web framework's middleware would do what the `with` block does here."""

import asyncio
import sys

import tasks
from arq.connections import create_pool

import journy_track


async def main(customers: int) -> None:
    redis = await create_pool(tasks.WorkerSettings.redis_settings)
    for number in range(customers):
        with (
            journy_track.user(f"u{number}"),
            journy_track.account("acme"),
            journy_track.metadata(channel="web"),
        ):
            await redis.enqueue_job("export_report", "2026-10")
    await redis.enqueue_job("clean_up")
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
