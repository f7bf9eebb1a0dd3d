"""``{% load journy_track %}``, for a site whose `INSTALLED_APPS` have ``journy_track.integrations.django``."""

from journy_track.integrations.django_snippet import register

__all__ = ["register"]
