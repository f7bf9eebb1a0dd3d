"""A site whose tasks are in its database. With Django 6, the backend's own package is all it needs in addition."""

import os

INSTALLED_APPS = ["shop.apps.Shop", "django_tasks", "django_tasks_db"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "shop.sqlite3")}}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
USE_TZ = True
