"""The REST API over HTTP: converts calls to requests and responses to outcomes. Nothing else has the API key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Protocol
from urllib.parse import urlencode

from journy_track._model.call import ApiCall
from journy_track._model.forks import importing
from journy_track._model.frozendict import FrozenDict
from journy_track._model.http import HttpClient, HttpRequest, HttpResponse
from journy_track._model.items import Item
from journy_track._model.outcomes import (
    MAX_RETRY_AFTER,
    Deferred,
    Delivered,
    Outcome,
    Rejected,
    Response,
    Unauthorized,
)
from journy_track._model.reads import GetApiKeyDetails
from journy_track._model.secret import KeyName, Secret
from journy_track._stores.store import Job
from journy_track._transport.http import Http
from journy_track._version import __version__

USER_AGENT = f"journy_track/{__version__}"
_NONE = FrozenDict()
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_INFORMATIVE = ("x-ratelimit-remaining", "x-ratelimit-limit", "retry-after")
#: Larger numbers of requests are cut to this one, which no app reaches.
PLENTY = 10_000_000
#: Statuses after which the same request may succeed.
_TEMPORARY = frozenset({408, 425, 429})


def requests_client(connections: int = 8) -> HttpClient:
    """Return the default client. Imported when first needed, as `import requests` costs more than this library."""
    with importing:
        from journy_track._transport.requests_client import RequestsHttpClient

    return RequestsHttpClient(connections=connections)


class HttpTransport:
    """Sends calls to journy.io. Thread-safe."""

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
        self._http = Http(base_url, timeout, http_client, make_client)

    def send(self, call: ApiCall, /, timeout: float | None = None, *, interruptible: bool = False) -> Outcome:
        """Send *call* and return the outcome. *timeout*: seconds, if less than the configured timeout.

        *interruptible*: raise an exception that is unrelated to the request, such as the caller's time limit. Ctrl-C
        and the like are always raised.
        """
        url = self._url(call)

        def request(seconds: float) -> HttpRequest:
            return HttpRequest(call.method, url, self._headers(call), _bytes(call), seconds)

        return self._http.exchange(url, request, _meaning, timeout, interruptible=interruptible)

    def close(self) -> None:
        """Close the HTTP client, unless it is a custom one."""
        self._http.close()

    def _url(self, call: ApiCall) -> str:
        query = call.query() if call.method == "GET" else None
        return self._base_url + call.path + ("?" + urlencode(query) if query else "")

    def _headers(self, call: ApiCall) -> dict[str, str]:
        # Not stored in a variable: error reports show those, including the ones of interrupted functions.
        return {
            "X-Api-Key": self._api_key.reveal(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # the size of a compressed response is not bounded
            "User-Agent": USER_AGENT,
            **({} if call.method == "GET" else {"Content-Type": "application/json"}),
        }


class CallTransport(Protocol):
    """Sends one call and returns its outcome. Does not raise."""

    def send(self, call: ApiCall, /, timeout: float | None = None) -> Outcome: ...
    def close(self) -> None: ...


class RestTransport:
    """Sends jobs, one per request. Every kind of item has a call."""

    key = KeyName("API key", "JOURNY_API_KEY")
    max_jobs = 1
    in_turn = False
    merges = True
    is_idempotent = False

    def __init__(self, calls: CallTransport) -> None:
        self._calls = calls

    def lacks(self, item: Item, /) -> bool:
        return False

    def log_lack(self, item: Item, /) -> None: ...

    def fits(self, jobs: Sequence[Job], /) -> int:
        return 1

    def send(self, jobs: Sequence[Job], /, timeout: float | None = None) -> Sequence[Outcome]:
        (job,) = jobs
        return [self._calls.send(job.item, timeout)]

    def try_key(self, timeout: float | None = None) -> Outcome:
        return self._calls.send(GetApiKeyDetails(), timeout)

    def close(self) -> None:
        self._calls.close()


def _bytes(call: ApiCall) -> bytes | None:
    body = call.body()
    if body is None:
        return None
    return _write(body).encode()


def _meaning(received: HttpResponse) -> Outcome:
    return outcome_of(response_of(received), empty=not received.body.strip())


def outcome_of(response: Response, *, empty: bool) -> Outcome:
    """Return the outcome of a call, from its response. *empty*: the response has no body."""
    status = response.status
    if 200 <= status < 300:
        # journy.io's responses either have no body or contain a request ID. Anything else is the page of a captive
        # portal or a maintenance page, perhaps after journy.io has accepted the call.
        if response.request_id is None and not empty:
            return Deferred(f"a proxy or another server responded with {status}", ambiguous=True, response=response)
        return Delivered(response)
    if status == 429:
        return Deferred("too many requests", ambiguous=False, response=response, retry_after=response.retry_after)
    if status < 200:  # not a final response: the result of the request is unknown
        return Deferred(f"a proxy or another server responded with {status}", ambiguous=True, response=response)
    if status >= 500 or status in _TEMPORARY:
        reason = f"the server responded with {status}"
        return Deferred(reason, ambiguous=status >= 500, response=response, retry_after=response.retry_after)
    if 300 <= status < 400:
        return Rejected(response, f"a redirect ({status}), which is never followed: check base_url")
    if response.request_id is None:
        # Not from journy.io: a proxy's 404, or one during a deploy. It does not mean that the item is invalid.
        return Deferred(f"a proxy or another server responded with {status}", ambiguous=False, response=response)
    if status in (401, 403):
        return Unauthorized(response)
    return Rejected(response, f"{status} {response.message}" if response.message else f"status {status}")


def response_of(received: HttpResponse) -> Response:
    """Parse *received*, without relying on anything in it being valid."""
    remaining, limit, retry_after = _informative(received.headers)
    document = document_of(received.body)
    rejected = document.get("rejected")
    message, request_id = document.get("message"), _mapping(document.get("meta")).get("requestId")
    return Response(
        status=received.status,
        request_id=_shown(request_id) if isinstance(request_id, str) else None,
        calls_remaining=_whole(remaining),
        calls_limit=_whole(limit),
        retry_after=_retry_after(retry_after),
        message=_shown(message) if isinstance(message, str) else None,
        data=document.get("data"),
        fields=_fields(document["errors"]) if "errors" in document else _NONE,
        rejected=FrozenDict(_texts(rejected)) if rejected else _NONE,
    )


def _informative(headers: Mapping[str, str]) -> Sequence[str | None]:
    """Return the remaining calls, the limit and `Retry-After`, from a case-insensitive mapping or a dict."""
    if isinstance(headers, dict) or _INFORMATIVE[0] not in headers:
        headers = {str(name).lower(): str(value) for name, value in headers.items()}
    return [headers.get(name) for name in _INFORMATIVE]


def _fields(errors: Any) -> FrozenDict:
    fields = _texts(_mapping(errors).get("fields"))
    for place, named in _mapping(_mapping(errors).get("parameters")).items():
        fields.update({f"{place}.{name}": text for name, text in _texts(named).items()})
    return FrozenDict(fields)


def document_of(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in *body*; an empty mapping for anything else."""
    try:
        return _mapping(json.loads(body.decode()))  # decoded here: for bytes, json detects the encoding first
    except (ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NONE


def _texts(value: Any) -> dict[str, str]:
    return {_shown(str(name)): _shown(str(text)) for name, text in _mapping(value).items()}


def _shown(text: str) -> str:
    """Return a server's text in a form that is safe to log: a single line, printable, and limited in length."""
    text = text[:200]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _whole(text: str | None) -> int | None:
    """Parse a number of requests. `None` if it is missing, unreadable or negative."""
    try:
        number = int(text or "")
    except ValueError:
        return None
    return min(number, PLENTY) if number >= 0 else None


def _retry_after(text: str | None) -> float | None:
    """Seconds from `Retry-After` (a number or a date), up to `MAX_RETRY_AFTER`; `None` if missing or unreadable."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return None
    is_number = seconds == seconds  # noqa: PLR0124 - NaN is not equal to itself
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if is_number else None
