"""A small B2B product whose reports are made by Dramatiq: events of an actor belong to whoever sent its message.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 dramatiq tasks
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import journy_track
from journy_track import track_event
from journy_track.integrations.dramatiq import instrument_dramatiq

journy_track.configure()
dramatiq.set_broker(instrument_dramatiq(RedisBroker(url=os.environ.get("REDIS_URL", "redis://localhost:6379/0"))))


@dramatiq.actor
@track_event("exported_report", capture=("month",), duration=True)  # below @dramatiq.actor
def export_report(month: str) -> None:
    with journy_track.metadata(format="pdf"):
        journy_track.track("rendered_page", page=1)
    notify.send("your report is ready")


@dramatiq.actor
@track_event("notified")  # sent by an actor: it still belongs to whoever asked for the report
def notify(text: str) -> None: ...


@dramatiq.actor
@track_event("cleaned_up", account="our-own-company")  # as a schedule would send it: nobody acts
def clean_up() -> None: ...
