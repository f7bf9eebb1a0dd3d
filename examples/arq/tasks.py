"""A small B2B product whose reports are made by arq: events of a job belong to whoever enqueued it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 arq tasks.WorkerSettings
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os
from typing import Any

from arq.connections import RedisSettings

import journy_track
from journy_track import track_event
from journy_track.integrations.arq import instrument_arq

journy_track.configure()
instrument_arq()


@track_event("exported_report", capture=("month",), duration=True)
async def export_report(ctx: dict[str, Any], month: str) -> None:
    with journy_track.metadata(format="pdf"):
        journy_track.track("rendered_page", page=1)
    await ctx["redis"].enqueue_job("notify", "your report is ready")


@track_event("notified")  # sent by a job: it still belongs to whoever asked for the report
async def notify(ctx: dict[str, Any], text: str) -> None: ...


@track_event("cleaned_up", account="our-own-company")  # as a schedule would send it: nobody acts
async def clean_up(ctx: dict[str, Any]) -> None: ...


class WorkerSettings:
    """What `arq` reads."""

    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
    functions = (export_report, notify, clean_up)
