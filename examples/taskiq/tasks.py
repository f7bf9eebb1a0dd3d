"""A small B2B product that makes its reports with Taskiq: a task's events belong to the user who sent it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 taskiq worker tasks:broker
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs taskiq-redis, and a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

from taskiq_redis import ListQueueBroker

import journy_track
from journy_track import TypedEvent, track_event
from journy_track.integrations.taskiq import instrument_taskiq

journy_track.configure()
broker = instrument_taskiq(ListQueueBroker(os.environ.get("REDIS_URL", "redis://localhost:6379/0")))


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


@broker.task
@track_event(ExportedReport, duration=True)  # below @broker.task
async def export_report(month: str) -> ExportedReport:
    with journy_track.metadata(format="pdf"):
        RenderedPage(page=1).track()
    await notify.kiq("your report is ready")
    return ExportedReport(month=month)


@broker.task
async def notify(text: str) -> None:
    Notified().track()  # sent by a task: it still belongs to the user who asked for the report


@broker.task
async def clean_up() -> None:
    CleanedUp().track(account="our-own-company")  # as a schedule would send it, without a user
