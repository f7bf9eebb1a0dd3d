"""A small B2B product whose reports are made by RQ: events of a job belong to whoever asked for it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 rq worker --path .
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

from redis import Redis
from rq import Queue

import journy_track
from journy_track import track_event
from journy_track.integrations.rq import instrument_rq

journy_track.configure()
instrument_rq()
queue = Queue(connection=Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0")))


@track_event("exported_report", capture=("month",), duration=True)
def export_report(month: str) -> None:
    with journy_track.metadata(format="pdf"):
        journy_track.track("rendered_page", page=1)
    queue.enqueue(notify, "your report is ready")


@track_event("notified")  # sent by a job: it still belongs to whoever asked for the report
def notify(text: str) -> None: ...


@track_event("cleaned_up", account="our-own-company")  # as a schedule would send it: nobody acts
def clean_up() -> None: ...
