"""Finds the account of a request. Its user is Django's own, and needs no code."""

from django.http import HttpRequest


def account_of(request: HttpRequest) -> str | None:
    """Return the account. Runs only when an event needs it."""
    if not request.user.is_authenticated:
        return None
    return request.user.email.partition("@")[2]
