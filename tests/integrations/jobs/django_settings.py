"""The settings of a site with Django Tasks: Django's own tasks if it has them, otherwise the package's."""

import os
from importlib.util import find_spec

from django import VERSION

INSTALLED_APPS = ["django_tasks_db", *([] if find_spec("django.tasks") else ["django_tasks"])]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DATABASE"],
        "OPTIONS": {"timeout": 60, **({"transaction_mode": "IMMEDIATE"} if VERSION >= (5, 1) else {})},
    }
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
USE_TZ = True
