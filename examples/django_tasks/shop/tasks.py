"""A small B2B product that makes its reports with Django Tasks: a task's events belong to the user who enqueued it.

export DJANGO_SETTINGS_MODULE=settings JOURNY_BASE_URL=http://127.0.0.1:8470
journy-track inspect                                       # in one terminal
python -m django migrate && python -m django db_worker     # in another
python -m django ask_for_reports 3
"""

from django_tasks import task

import journy_track
from journy_track import TypedEvent


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


@task
def export_report(month: str) -> None:
    with journy_track.metadata(format="pdf"):
        RenderedPage(page=1).track()
    notify.enqueue("your report is ready")
    ExportedReport(month=month).track()


@task
def notify(text: str) -> None:
    Notified().track()  # sent by a task: it still belongs to the user who asked for the report


@task
def clean_up() -> None:
    CleanedUp().track(account="our-own-company")  # as a schedule would send it, without a user
