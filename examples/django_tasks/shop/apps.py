"""The app of the site."""

from django.apps import AppConfig

import journy_track
from journy_track.integrations.django_tasks import instrument_django_tasks


class Shop(AppConfig):
    """Configures tracking once, for the site, its commands and its workers."""

    name = "shop"

    def ready(self) -> None:
        """Configure before anything is enqueued."""
        journy_track.configure()
        instrument_django_tasks()
