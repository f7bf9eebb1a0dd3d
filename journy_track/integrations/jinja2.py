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
    """Add the function `journy_snippet()` to the templates of *environment*. Returns *environment*.

        instrument_jinja2(app.jinja_env, domain="shop.example", secret=os.environ["WEBSITE_SECRET"])  # Flask
        instrument_jinja2(templates.env, domain="shop.example")                                 # FastAPI, Starlette

    In a template, ``{{ journy_snippet() }}`` renders journy.io's tracking snippet of the website *domain* and, if a
    user is signed in, the calls that identify them: with the user and account of the context, or those passed as
    ``journy_snippet(user=…, account=…)``. *secret* is the website's secret in journy.io; with it, the calls include
    the verification of the identity. Scripts get ``nonce=``, or else the template's `csp_nonce`.

    The snippet is fetched by a separate thread with the API key of `configure()`, and kept for an hour, or longer
    while journy.io cannot be reached. A page never waits for it: until it is fetched, the function renders nothing,
    as it does if the request is skipped or `suppressed()`. A page with the snippet identifies its reader: keep it out
    of shared caches. Under Flask, the response gets ``Vary: Cookie``. Raises `ConfigurationError` if *domain* or
    *secret* is invalid.
    """
    secret = hidden(secret)  # first, so that no error report shows it
    snippet = Snippet(domain, secret)

    @pass_context
    def journy_snippet(context: Context, user: Any = UNSET, account: Any = UNSET, nonce: Any = None) -> Markup:
        session = context.get("session")
        if hasattr(session, "accessed"):  # Flask's session: the page depends on its user
            session.accessed = True
        nonce = context.get("csp_nonce") if nonce is None else nonce
        return Markup(snippet.html(user, account, nonce() if callable(nonce) else nonce))  # noqa: S704 - escaped there

    environment.globals["journy_snippet"] = journy_snippet
    return environment
