"""Jinja2: the web snippet in the templates of Flask, FastAPI, Starlette and others."""

from __future__ import annotations

from typing import Any, TypeVar

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from journy_track._capture.attributes import UNSET
from journy_track._model.secret import hidden
from journy_track.integrations._snippet import Snippet

__all__ = ["instrument_jinja2"]

E = TypeVar("E", bound=Environment)


def instrument_jinja2(environment: E, *, domain: str, secret: str | None = None) -> E:
    """Give the templates of *environment* the function `journy_snippet()`. Returns *environment*.

        instrument_jinja2(app.jinja_env, domain="shop.example", secret=os.environ["WEBSITE_SECRET"])  # Flask
        instrument_jinja2(templates.env, domain="shop.example")                                 # FastAPI, Starlette

    In a template, ``{{ journy_snippet() }}`` puts out journy.io's tracking snippet of the website *domain* and, where
    somebody is signed in, the calls that say who: the user and account of the context, or those given as
    ``journy_snippet(user=…, account=…)``. *secret* is the website's secret in journy.io; with it the calls have the
    verification of the identity. Scripts get ``nonce=``, or else the template's `csp_nonce`.

    The snippet is fetched by a thread with the API key of `configure()` and kept for an hour, longer while journy.io
    cannot be reached. A page never waits for it: until it is there, nothing is put out, nor where the request is
    skipped or `suppressed()`. A page with it names its reader: keep it out of shared caches. Under Flask the response
    gets ``Vary: Cookie``. Raises `ConfigurationError` for a *domain* or *secret* that cannot be.
    """
    secret = hidden(secret)  # first: no error report shall show it
    snippet = Snippet(domain, secret)

    @pass_context
    def journy_snippet(context: Context, user: Any = UNSET, account: Any = UNSET, nonce: Any = None) -> Markup:
        session = context.get("session")
        if hasattr(session, "accessed"):  # Flask's: the page is of this session's user
            session.accessed = True
        nonce = context.get("csp_nonce") if nonce is None else nonce
        return Markup(snippet.html(user, account, nonce() if callable(nonce) else nonce))  # noqa: S704 - escaped there

    environment.globals["journy_snippet"] = journy_snippet
    return environment
