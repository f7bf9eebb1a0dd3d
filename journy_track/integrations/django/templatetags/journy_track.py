"""``{% load journy_track %}``, for sites with ``journy_track.integrations.django`` in `INSTALLED_APPS`."""

from journy_track.integrations.django_snippet import register

__all__ = ["register"]
