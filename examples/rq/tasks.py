"""A small B2B product that makes its reports with RQ: a job's events belong to the user who asked for it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 rq worker --path .
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

from redis import Redis
from rq import Queue

import journy_track
from journy_track import TypedEvent, track_event
from journy_track.integrations.rq import instrument_rq

journy_track.configure()
instrument_rq()
queue = Queue(connection=Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0")))


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
def export_report(month: str) -> ExportedReport:
    with journy_track.metadata(format="pdf"):
        RenderedPage(page=1).track()
    queue.enqueue(notify, "your report is ready")
    return ExportedReport(month=month)


def notify(text: str) -> None:
    Notified().track()  # sent by a job: it still belongs to the user who asked for the report


def clean_up() -> None:
    CleanedUp().track(account="our-own-company")  # as a schedule would send it, without a user
