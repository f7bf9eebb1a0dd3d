"""What the core needs to know about each framework: one module per framework, which does not import it.

Each module defines a `FRAMEWORK` (see `journy_track._model.frameworks`) and is loaded once its framework is imported.
"""

from __future__ import annotations

from typing import Final

#: Top-level modules of frameworks, each with the name of the module here that describes it.
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
