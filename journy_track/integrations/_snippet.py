"""The web snippet for templates: journy.io's own snippet, cached in memory, and calls that identify the user."""

from __future__ import annotations

import contextvars
import json
import logging
import threading
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

from journy_track._capture.attributes import UNSET
from journy_track._capture.context import current_attributes, live_frame
from journy_track._capture.inputs import account_of, usable_identity, user_of
from journy_track._delivery.pipeline import mark_internal
from journy_track._model.apart import stay_apart
from journy_track._model.clock import monotonic
from journy_track._model.errors import ConfigurationError, described
from journy_track._model.identity import AccountIdentified, UserIdentified, verification_hash
from journy_track._model.notices import Notices
from journy_track._model.once import also_forget, warn_once
from journy_track._model.secret import Secret, hidden
from journy_track._runtime import get_tracker
from journy_track._tracker import Tracker
from journy_track.client import Client, ClientConfig

#: Seconds for which a fetched snippet is used, and seconds after which a failed fetch is retried.
TTL, RETRY = 3600.0, 60.0
#: Characters that could end a script, or start a comment, inside it.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})

_notices = Notices()
also_forget(_notices.forget)


class Snippet:
    """The snippet of the website *domain*, and the calls that identify the signed-in user.

    *secret* is the website's secret in journy.io, used to verify identities; `None`: no verification. Raises
    `ConfigurationError` if an argument is invalid.
    """

    def __init__(self, domain: str, secret: str | None = None) -> None:
        secret = hidden(secret)  # first, so that no error report shows it
        if not isinstance(domain, str) or not domain:
            raise ConfigurationError(f"domain must be that of the website in journy.io, got {described(domain)}")
        if secret is not None and not (isinstance(secret, Secret) and secret.reveal()):
            raise ConfigurationError("secret must be the website's secret, a str that is not empty; or leave it out")
        self._secret: Any = secret
        self._cached = _Cached(domain)

    def html(self, user: Any = UNSET, account: Any = UNSET, nonce: Any = None) -> str:
        """Return the HTML for the page: empty until the snippet is fetched, and where tracking is suppressed.

        *user* and *account* default to those of the context; *nonce* is the page's CSP nonce.
        """
        frame = live_frame()
        if frame.internal is not None and frame.internal.active:
            return ""
        known = current_attributes(passed_on=True)
        pieces = () if known.suppressed else self._cached.pieces()
        if not pieces:
            return ""
        text = "" if nonce is None else str(nonce)
        attribute = f' nonce="{escape(text)}"' if text else ""
        calls = self._calls(
            _given("user", user_of, known.user if user is UNSET else user),
            _given("account", account_of, known.account if account is UNSET else account),
        )
        html = attribute.join(pieces)
        return f"{html}\n<script{attribute}>if(window.journy){{{calls}}}</script>" if calls else html

    def _calls(self, user: Any, account: Any) -> str:
        """Return calls of the snippet's `journy()`, according to its published types (journy-io/web-types)."""
        calls = ""
        if isinstance(user, UserIdentified):
            calls += self._call("identify", "userId", user.user_id, {"email": user.email} if user.email else {})
        if isinstance(account, AccountIdentified) and account.account_id is not None:
            calls += self._call("account", "accountId", account.account_id, {})
        return calls

    def _call(self, command: str, key: str, identifier: str | None, others: dict[str, str]) -> str:
        arguments = dict(others)
        if identifier is not None:
            arguments[key] = identifier
            if self._secret is not None:
                arguments["verification"] = verification_hash(identifier, self._secret)
        return f'journy("{command}",{json.dumps(arguments).translate(_ESCAPES)});'


def _given(name: str, of: Any, value: Any) -> Any:
    """Return *value* as an identity; `None` if there is none, including a template's empty string."""
    if value is UNSET or value == "":
        return None
    return usable_identity(f"journy_snippet({name}=)", of, value, None, "the page identifies nobody")[0]


class _Cached:
    """journy.io's snippet, fetched by a separate thread, so that no page waits for the fetch or fails with it.

    There is no lock, since this runs while a page is rendered: the first page after the expiry claims the fetch by
    setting the time of the next one. Two threads that do so at once fetch twice. A forked child does not have the
    fetching thread, and retries later.
    """

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._pieces: tuple[str, ...] = ()
        self._again_at = 0.0

    def pieces(self) -> tuple[str, ...]:
        """Return the last fetched snippet, split where a nonce may be inserted. Empty if none was fetched."""
        now = monotonic()
        if now >= self._again_at:
            tracker = get_tracker()
            if tracker is not None and not tracker.config.enabled:
                return ()
            key = None if tracker is None else tracker.config.rest_key
            if tracker is None or key is None:
                warn_once(
                    "snippet",
                    "journy_snippet() renders nothing: it needs the API key of configure(), with the permission to "
                    "get the tracking snippet.",
                )
                return ()
            self._again_at = now + RETRY
            self._start(tracker, key)
        return self._pieces

    def _start(self, tracker: Tracker, key: Secret) -> None:
        try:
            threading.Thread(
                target=contextvars.Context().run,
                args=(self._fetch, tracker, key),
                name="journy_track snippet",
                daemon=True,
            ).start()
        except RuntimeError as error:  # the system has no more threads, or the interpreter is shutting down
            self._log(f"no thread: {error}")

    def _fetch(self, tracker: Tracker, key: Secret) -> None:
        mark_internal()
        stay_apart()
        config = tracker.config
        settings = ClientConfig(key, config.base_url, config.timeout, config.allow_http)
        with Client(config.http_client, settings) as client:
            result = client.get_tracking_snippet(domain=self._domain)
        if result.success is True:
            self._pieces = _pieces_of(result.data.snippet)
            self._again_at = monotonic() + TTL
        else:
            self._log(result.message)

    def _log(self, why: str) -> None:
        _notices.log(
            ("snippet", self._domain),
            "the tracking snippet of %s could not be fetched: %s. Pages are served with the last one, or without.",
            self._domain,
            why,
            level=logging.WARNING,
        )


def _pieces_of(html: str) -> tuple[str, ...]:
    """Split *html* where the start tags of its scripts take a nonce. The contents of a script are left unchanged."""
    finder = _Scripts(html)
    cuts = [0, *finder.places, len(html)]
    return tuple(html[start:end] for start, end in pairwise(cuts))


class _Scripts(HTMLParser):
    """Finds the positions in *html* where the attributes of its script tags may begin."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self._lines = [0]
        for line in html.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self.places: list[int] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script" and "nonce" not in dict(attrs):
            line, column = self.getpos()
            self.places.append(self._lines[line - 1] + column + len("<script"))
