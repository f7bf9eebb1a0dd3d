"""A small B2B product whose reports are made by Django Tasks: events of a task belong to whoever enqueued it.

export DJANGO_SETTINGS_MODULE=settings JOURNY_BASE_URL=http://127.0.0.1:8470
journy-track inspect                                       # in one terminal
python -m django migrate && python -m django db_worker     # in another
python -m django ask_for_reports 3
"""

from django_tasks import task

import journy_track
from journy_track import track_event


@task
@track_event("exported_report", capture=("month",), duration=True)  # below @task
def export_report(month: str) -> None:
    with journy_track.metadata(format="pdf"):
        journy_track.track("rendered_page", page=1)
    notify.enqueue("your report is ready")


@task
@track_event("notified")  # sent by a task: it still belongs to whoever asked for the report
def notify(text: str) -> None: ...


@task
@track_event("cleaned_up", account="our-own-company")  # as a schedule would send it: nobody acts
def clean_up() -> None: ...
