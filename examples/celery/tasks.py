"""A small B2B product that makes its reports with Celery: a task's events belong to the user who asked for it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 celery -A tasks worker
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

from celery import Celery, Task

import journy_track
from journy_track import TypedEvent, track_event
from journy_track.integrations.celery import instrument_celery

journy_track.configure()
app = instrument_celery(Celery("tasks", broker=os.environ.get("REDIS_URL", "redis://localhost:6379/0")))


class NotYet(Exception):
    """The numbers of that month are not available yet."""


@journy_track.event
class ExportedReport(TypedEvent):
    """A report is ready."""

    month: str


@journy_track.event
class RenderedPage(TypedEvent):
    """One page of a report is ready."""

    page: int


@journy_track.event
class ImportedNumbers(TypedEvent):
    """The numbers of a month are available."""

    month: str


@journy_track.event
class Notified(TypedEvent):
    """A user received a message."""


@journy_track.event
class CleanedUp(TypedEvent):
    """Old reports are deleted."""


@app.task
@track_event(ExportedReport, duration=True)  # below @app.task, which calls the function it decorates
def export_report(month: str) -> ExportedReport:
    with journy_track.metadata(format="pdf"):
        RenderedPage(page=1).track()
    notify.delay("your report is ready")
    return ExportedReport(month=month)


@app.task(bind=True, max_retries=3)
@track_event(ImportedNumbers)  # once: a retry is neither a success nor a failure
def import_numbers(self: Task, month: str) -> ImportedNumbers:
    if self.request.retries == 0:
        raise self.retry(exc=NotYet(month), countdown=0)
    return ImportedNumbers(month=month)


@app.task
def notify(text: str) -> None:
    Notified().track()  # sent by a task: it still belongs to the user who asked for the report


@app.task
def clean_up() -> None:
    CleanedUp().track(account="our-own-company")  # as a schedule would send it, without a user
