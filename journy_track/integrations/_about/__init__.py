"""What the core has to know about each framework: a page for each, which imports nothing of it.

A page has a `FRAMEWORK`, as `journy_track._model.frameworks` describes it, and is loaded when its framework is
imported.
"""

from __future__ import annotations

from typing import Final

#: The top-level modules of frameworks, each with the page about it.
PAGES: Final = {
    "aiohttp": "web",
    "apscheduler": "jobs",
    "arq": "jobs",
    "blinker": "web",
    "celery": "celery",
    "click": "commands",
    "django": "django",
    "django_tasks": "jobs",
    "dramatiq": "jobs",
    "flask": "web",
    "huey": "jobs",
    "litestar": "web",
    "rq": "rq",
    "starlette": "web",
    "taskiq": "jobs",
    "tornado": "web",
    "typer": "commands",
    "uwsgi": "uwsgi",
}
