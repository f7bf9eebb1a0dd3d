"""A small B2B product whose reports are made by Taskiq: events of a task belong to whoever sent it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 taskiq worker tasks:broker
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs taskiq-redis, and a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

from taskiq_redis import ListQueueBroker

import journy_track
from journy_track import track_event
from journy_track.integrations.taskiq import instrument_taskiq

journy_track.configure()
broker = instrument_taskiq(ListQueueBroker(os.environ.get("REDIS_URL", "redis://localhost:6379/0")))


@broker.task
@track_event("exported_report", capture=("month",), duration=True)  # below @broker.task
async def export_report(month: str) -> None:
    with journy_track.metadata(format="pdf"):
        journy_track.track("rendered_page", page=1)
    await notify.kiq("your report is ready")


@broker.task
@track_event("notified")  # sent by a task: it still belongs to whoever asked for the report
async def notify(text: str) -> None: ...


@broker.task
@track_event("cleaned_up", account="our-own-company")  # as a schedule would send it: nobody acts
async def clean_up() -> None: ...
