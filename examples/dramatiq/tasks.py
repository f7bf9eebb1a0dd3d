"""A small B2B product with reports made by Dramatiq: an actor's events belong to the user who sent its message.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 dramatiq tasks
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import journy_track
from journy_track import TypedEvent
from journy_track.integrations.dramatiq import instrument_dramatiq

journy_track.configure()
dramatiq.set_broker(instrument_dramatiq(RedisBroker(url=os.environ.get("REDIS_URL", "redis://localhost:6379/0"))))


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


@dramatiq.actor
def export_report(month: str) -> None:
    with journy_track.metadata(format="pdf"):
        RenderedPage(page=1).track()
    notify.send("your report is ready")
    ExportedReport(month=month).track()


@dramatiq.actor
def notify(text: str) -> None:
    Notified().track()  # sent by an actor: it still belongs to the user who asked for the report


@dramatiq.actor
def clean_up() -> None:
    CleanedUp().track(account="our-own-company")  # as a schedule would send it, without a user
