"""The API over HTTP: a call becomes a request, an answer becomes an outcome. The only place that has the key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from os import getpid
from time import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from journy_track._model.call import Call
from journy_track._model.errors import MaybeSent, NotSent
from journy_track._model.forks import importing
from journy_track._model.frozendict import FrozenDict
from journy_track._model.http import HttpClient, HttpRequest, HttpResponse
from journy_track._model.outcomes import Answer, Deferred, Delivered, Outcome, Rejected, Unauthorized
from journy_track._model.secret import Secret
from journy_track._transport.refusing import refused_in_tests
from journy_track._version import __version__

USER_AGENT = f"journy_track/{__version__}"
_NONE = FrozenDict()
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_TELLING = ("x-ratelimit-remaining", "x-ratelimit-limit", "retry-after")
#: Answers after which the same request may succeed.
_TEMPORARY = frozenset({408, 425, 429})


def requests_client(connections: int = 8) -> HttpClient:
    """The default client, imported when something is sent: `import requests` costs more than this library."""
    with importing:
        from journy_track._transport.requests_client import RequestsHttpClient

    return RequestsHttpClient(connections=connections)


class _Refused(Exception):
    """It may not be sent there, ever."""


class HttpTransport:
    """Sends calls to journy.io. Thread-safe; the HTTP client is made at the first call of each process."""

    def __init__(
        self,
        api_key: Secret,
        base_url: str,
        timeout: float,
        http_client: HttpClient | None = None,
        make_client: Callable[[], HttpClient] = requests_client,
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._host = urlsplit(base_url).hostname or ""
        self._timeout = timeout
        self._custom = http_client
        self._own: dict[int, HttpClient] = {}
        self._make_client = make_client

    def send(self, call: Call, /, timeout: float | None = None) -> Outcome:
        """Send *call* and say what became of it. *timeout*: seconds, beneath the configured ones."""
        from journy_track._model.tracing import untraced

        seconds = self._timeout if timeout is None else min(timeout, self._timeout)
        try:
            with untraced():
                response = self._send(call, seconds)
            return outcome_of(answer_of(response), empty=not response.body.strip())
        except _Refused as refused:
            return Rejected(None, str(refused))
        except NotSent as error:
            reason = str(error) or "the connection failed"
            return Deferred(reason, ambiguous=False, timed_out=error.timed_out)
        except MaybeSent as error:
            return Deferred(str(error) or "no answer", ambiguous=True, timed_out=error.timed_out)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001
            # A custom HttpClient may raise anything: it may have been sent. What comes from outside while we wait
            # (Ctrl-C, a gevent.Timeout of the caller's) is not its own and goes on.
            return Deferred(f"the HTTP client raised {type(error).__name__}", ambiguous=True)

    def close(self) -> None:
        """Close the HTTP client, if it is ours."""
        if own := self._own.get(getpid()):
            own.close()

    def _client(self) -> HttpClient:
        if self._custom is not None:
            return self._custom
        # By process: a forked child shares its parent's sockets, and must not speak on them. setdefault is
        # atomic: threads that come first together use one client, and those left over have not connected.
        own = self._own.get(getpid())
        return self._own.setdefault(getpid(), self._make_client()) if own is None else own

    def _send(self, call: Call, timeout: float) -> HttpResponse:
        client = self._client()
        # A stand-in of the test's own goes nowhere.
        if getattr(client, "reaches_the_world", None) is True and (why := refused_in_tests(self._host)):
            raise _Refused(why)
        return client.send(HttpRequest(call.method, self._url(call), self._headers(call), _bytes(call), timeout))

    def _url(self, call: Call) -> str:
        query = call.query()
        return self._base_url + call.path + ("?" + urlencode(query) if query else "")

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {
            "X-Api-Key": self._api_key.reveal(),
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        }
        if call.method != "GET":
            headers["Content-Type"] = "application/json"
        return headers


def _bytes(call: Call) -> bytes | None:
    body = call.body()
    if body is None:
        return None
    return _write(body).encode()


def outcome_of(answer: Answer, *, empty: bool) -> Outcome:
    """What an answer, with or without a body, means for the call."""
    status = answer.status
    if 200 <= status < 300:
        # Some of journy.io's have no body; those that have one say their request ID. Any other is a portal's or a
        # maintenance page, perhaps after journy.io has taken the call.
        if answer.request_id is None and not empty:
            return Deferred(f"something in between answered {status}", ambiguous=True, answer=answer)
        return Delivered(answer)
    if status == 429:
        return Deferred("too many requests", ambiguous=False, answer=answer, retry_after=answer.retry_after)
    if status >= 500 or status in _TEMPORARY:
        reason = f"the server answered {status}"
        return Deferred(reason, ambiguous=status >= 500, answer=answer, retry_after=answer.retry_after)
    if 300 <= status < 400:
        return Rejected(answer, f"a redirect ({status}), which is never followed: check base_url")
    if answer.request_id is None:
        # Not journy.io's: a proxy's 404, or one in the middle of a deploy. What it says is nobody's verdict.
        return Deferred(f"something in between answered {status}", ambiguous=False, answer=answer)
    if status in (401, 403):
        return Unauthorized(answer)
    return Rejected(answer, f"{status} {answer.message}" if answer.message else f"status {status}")


def answer_of(response: HttpResponse) -> Answer:
    """What *response* says, whatever it is: nothing in it is taken for granted."""
    remaining, limit, retry_after = _telling(response.headers)
    document = _json(response.body)
    rejected = document.get("rejected")
    message, request_id = document.get("message"), _mapping(document.get("meta")).get("requestId")
    return Answer(
        status=response.status,
        request_id=_shown(request_id) if isinstance(request_id, str) else None,
        calls_remaining=_whole(remaining),
        calls_limit=_whole(limit),
        retry_after=_retry_after(retry_after),
        message=_shown(message) if isinstance(message, str) else None,
        data=document.get("data"),
        fields=_fields(document["errors"]) if "errors" in document else _NONE,
        rejected=FrozenDict(_texts(rejected)) if rejected else _NONE,
    )


def _telling(headers: Mapping[str, str]) -> Sequence[str | None]:
    """What is left, the limit, and `Retry-After`: from a mapping that knows names in any case, or a dict."""
    if isinstance(headers, dict) or _TELLING[0] not in headers:
        headers = {str(name).lower(): str(value) for name, value in headers.items()}
    return [headers.get(name) for name in _TELLING]


def _fields(errors: Any) -> FrozenDict:
    fields = _texts(_mapping(errors).get("fields"))
    for place, named in _mapping(_mapping(errors).get("parameters")).items():
        fields.update({f"{place}.{name}": text for name, text in _texts(named).items()})
    return FrozenDict(fields)


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(body.decode()))  # as text: of bytes, json tries to find the encoding first
    except (ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NONE


def _texts(value: Any) -> dict[str, str]:
    return {_shown(str(name)): _shown(str(text)) for name, text in _mapping(value).items()}


def _shown(text: str) -> str:
    """A server's text, safe to log: one line, printable, not endless."""
    text = text[:200]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _whole(text: str | None) -> int | None:
    """A count of requests. Unreadable or absurd: not said."""
    try:
        number = int(text or "")
    except ValueError:
        return None
    return number if 0 <= number <= 10_000_000 else None


def _retry_after(text: str | None) -> float | None:
    """Seconds from `Retry-After` (seconds or a date), between 0 and 300; unreadable: not said."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), 300.0) if seconds == seconds else None  # noqa: PLR0124 - NaN is no number
