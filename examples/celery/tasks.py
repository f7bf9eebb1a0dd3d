"""A small B2B product whose reports are made by Celery: events of a task belong to whoever asked for it.

    journy-track inspect                                       # in one terminal
    JOURNY_BASE_URL=http://127.0.0.1:8470 celery -A tasks worker
    JOURNY_BASE_URL=http://127.0.0.1:8470 python shop.py

Needs a redis-server at REDIS_URL (redis://localhost:6379/0).
"""

import os

from celery import Celery, Task

import journy_track
from journy_track import track_event
from journy_track.integrations.celery import instrument_celery

journy_track.configure()
app = instrument_celery(Celery("tasks", broker=os.environ.get("REDIS_URL", "redis://localhost:6379/0")))


class NotYet(Exception):
    """The numbers of that month are not there."""


@app.task
@track_event("exported_report", capture=("month",), duration=True)  # below @app.task, which calls what it is given
def export_report(month: str) -> None:
    with journy_track.metadata(format="pdf"):
        journy_track.track("rendered_page", page=1)
    notify.delay("your report is ready")


@app.task(bind=True, max_retries=3)
@track_event("imported_numbers")  # once: a retry is no success, and no failure either
def import_numbers(self: Task, month: str) -> None:
    if self.request.retries == 0:
        raise self.retry(exc=NotYet(month), countdown=0)


@app.task
@track_event("notified")  # sent by a task: it still belongs to whoever asked for the report
def notify(text: str) -> None: ...


@app.task
@track_event("cleaned_up", account="our-own-company")  # as a schedule would send it: nobody acts
def clean_up() -> None: ...
