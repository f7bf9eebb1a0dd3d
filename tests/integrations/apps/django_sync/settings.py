"""A shop that syncs its accounts and users, on the database that the environment names."""

import json
import logging
import os

import journy_track

SECRET_KEY = "for tests"
USE_TZ = True
DATABASES = {"default": json.loads(os.environ["DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "journy_track.integrations.django",
    "shop",
]
JOURNY = {
    "sync": {
        "accounts": "shop.tracking.accounts",
        "users": "shop.tracking.users",
        "state": os.environ["STATE"],
        "share": 1.0,
    },
    **json.loads(os.environ.get("JOURNY", "{}")),
}
if os.environ.get("LOG") == "1":
    logging.basicConfig(level=logging.INFO)
if os.environ.get("CONFIGURED", "1") == "1":
    journy_track.configure(queue_size=200)
