"""A small B2B product whose reports are made by Huey: events of a task belong to whoever enqueued it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 huey_consumer tasks.huey
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

from huey import RedisHuey

import journy_track
from journy_track import track_event
from journy_track.integrations.huey import instrument_huey

journy_track.configure()
huey = instrument_huey(RedisHuey("shop", url=os.environ.get("REDIS_URL", "redis://localhost:6379/0")))


@huey.task()
@track_event("exported_report", capture=("month",), duration=True)  # below @huey.task()
def export_report(month: str) -> None:
    with journy_track.metadata(format="pdf"):
        journy_track.track("rendered_page", page=1)
    notify("your report is ready")


@huey.task()
@track_event("notified")  # sent by a task: it still belongs to whoever asked for the report
def notify(text: str) -> None: ...


@huey.task()
@track_event("cleaned_up", account="our-own-company")  # as a schedule would send it: nobody acts
def clean_up() -> None: ...
