"""Django: the web snippet as a template tag."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django import template
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.safestring import mark_safe

from journy_track._capture.attributes import UNSET
from journy_track._model.errors import ConfigurationError
from journy_track._model.secret import hidden
from journy_track.integrations._snippet import Snippet

__all__ = ["journy_snippet", "register"]

register: Any = template.Library()


def journy_snippet(context: Any, *, user: Any = UNSET, account: Any = UNSET, nonce: Any = None) -> Any:
    """``{% journy_snippet %}``: journy.io's tracking snippet and, if a user is signed in, calls that identify them.

        JOURNY = {"snippet": {"domain": "shop.example", "secret": os.environ["WEBSITE_SECRET"]}}
        TEMPLATES[0]["OPTIONS"]["builtins"] = ["journy_track.integrations.django_snippet"]

    Instead of the second line, with ``journy_track.integrations.django`` in `INSTALLED_APPS`, a template can start
    with ``{% load journy_track %}``.

    *user* and *account* default to those of the context, as the middleware determines them. In an async view, pass
    them: ``{% journy_snippet user=request.user.pk %}``. *secret* in the settings is the website's secret in
    journy.io; with it, the calls include the verification of the identity. Scripts get *nonce*, or else the
    template's or the request's `csp_nonce`.

    The snippet is fetched by a separate thread with the API key of `configure()`, and kept for an hour, or longer
    while journy.io cannot be reached. A page never waits for it: until it is fetched, the tag renders nothing, as it
    does if the request is skipped or `suppressed()`. A page with the snippet identifies its reader, so the response
    gets ``Vary: Cookie``. Invalid settings raise `ImproperlyConfigured`.
    """
    request = context.get("request")
    session: Any = getattr(request, "session", None)
    if hasattr(session, "accessed"):  # the page depends on this session's user
        session.accessed = True
    if nonce is None:
        nonce = context.get("csp_nonce")
    if nonce is None:
        nonce = getattr(request, "csp_nonce", None)
    return mark_safe(_snippet().html(user, account, nonce))  # noqa: S308 - escaped there


register.simple_tag(journy_snippet, takes_context=True)


def _snippet() -> Snippet:
    ours = getattr(settings, "JOURNY", {})
    given = ours.get("snippet") if isinstance(ours, Mapping) else None
    if not isinstance(given, Mapping) or not set(given) <= {"domain", "secret"}:
        raise ImproperlyConfigured(
            '{% journy_snippet %} needs JOURNY["snippet"], a dict with domain and perhaps secret'
        )
    return _made(given.get("domain"), hidden(given.get("secret")))


@cache
def _made(domain: Any, secret: Any) -> Snippet:
    try:
        return Snippet(domain, secret)
    except ConfigurationError as error:
        raise ImproperlyConfigured(f'JOURNY["snippet"]: {error}') from error
