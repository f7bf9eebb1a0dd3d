"""A small B2B product with reports made by APScheduler: a job's events belong to the user who asked for it.

journy-track inspect                                       # in one terminal
JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py
"""

import sys
import threading

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler

import journy_track
from journy_track import TypedEvent, track_event
from journy_track.integrations.apscheduler import instrument_apscheduler

journy_track.configure()
scheduler = instrument_apscheduler(BackgroundScheduler())


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
    scheduler.add_job(notify, args=("your report is ready",))
    return ExportedReport(month=month)


def notify(text: str) -> None:
    Notified().track()  # added by a job: it still belongs to the user who asked for the report


@scheduler.scheduled_job("date")
def clean_up() -> None:
    CleanedUp().track(account="our-own-company")  # added at start-up, so it has no user


def main(customers: int) -> None:
    left = threading.Semaphore(0)
    scheduler.add_listener(lambda _: left.release(), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.start()
    for number in range(customers):  # a web framework's middleware would do what this block does
        with (
            journy_track.user(f"u{number}"),
            journy_track.account("acme"),
            journy_track.metadata(channel="web"),
        ):
            scheduler.add_job(export_report, args=("2026-10",))
    for _ in range(2 * customers + 1):
        left.acquire()
    scheduler.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
