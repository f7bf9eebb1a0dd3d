"""A small B2B product that makes its reports with arq: a job's events belong to the user who enqueued it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 arq tasks.WorkerSettings
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os
from typing import Any

from arq.connections import RedisSettings

import journy_track
from journy_track import TypedEvent, track_event
from journy_track.integrations.arq import instrument_arq

journy_track.configure()
instrument_arq()


@journy_track.event
class ExportedReport(TypedEvent):
    """A report is ready."""

    month: str


@journy_track.event
class RenderedPage(TypedEvent):
    """One page of a report is ready."""

    page: int


@journy_track.event
class Notified(TypedEvent):
    """A user received a message."""


@journy_track.event
class CleanedUp(TypedEvent):
    """Old reports are deleted."""


@track_event(ExportedReport, duration=True)
async def export_report(ctx: dict[str, Any], month: str) -> ExportedReport:
    with journy_track.metadata(format="pdf"):
        RenderedPage(page=1).track()
    await ctx["redis"].enqueue_job("notify", "your report is ready")
    return ExportedReport(month=month)


async def notify(ctx: dict[str, Any], text: str) -> None:
    Notified().track()  # sent by a job: it still belongs to the user who asked for the report


async def clean_up(ctx: dict[str, Any]) -> None:
    CleanedUp().track(account="our-own-company")  # as a schedule would send it, without a user


class WorkerSettings:
    """The settings that `arq` reads."""

    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
    functions = (export_report, notify, clean_up)
