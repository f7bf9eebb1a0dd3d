"""The API over HTTP: a call becomes a request, a response becomes an outcome. Nothing else has the key."""

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
#: A number of requests above this is as good as any: nobody sends as many.
PLENTY = 10_000_000
#: Statuses after which the same request may succeed.
_TEMPORARY = frozenset({408, 425, 429})


def requests_client(connections: int = 8) -> HttpClient:
    """The default client, imported when something is sent: `import requests` costs more than this library."""
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
        """Send *call* and return what became of it. *timeout*: seconds, below the configured ones.

        *interruptible*: an exception that has nothing to do with the request, as a time limit of the caller's, is
        raised. Ctrl-C and the like always are.
        """
        url = self._url(call)

        def request(seconds: float) -> HttpRequest:
            return HttpRequest(call.method, url, self._headers(call), _bytes(call), seconds)

        return self._http.exchange(url, request, _meaning, timeout, interruptible=interruptible)

    def close(self) -> None:
        """Close the HTTP client, if it is ours."""
        self._http.close()

    def _url(self, call: ApiCall) -> str:
        query = call.query() if call.method == "GET" else None
        return self._base_url + call.path + ("?" + urlencode(query) if query else "")

    def _headers(self, call: ApiCall) -> dict[str, str]:
        # In no variable: error reports show those, also of functions that something interrupts.
        return {
            "X-Api-Key": self._api_key.reveal(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # compressed, a response has no bound
            "User-Agent": USER_AGENT,
            **({} if call.method == "GET" else {"Content-Type": "application/json"}),
        }


class CallTransport(Protocol):
    """Sends one call, and returns what became of it. Does not raise."""

    def send(self, call: ApiCall, /, timeout: float | None = None) -> Outcome: ...
    def close(self) -> None: ...


class RestTransport:
    """Sends jobs, one a request. It has a call for each item there is."""

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
    """What a response, with or without a body, means for the call."""
    status = response.status
    if 200 <= status < 300:
        # Some of journy.io's have no body; those that have one hold their request ID. Any other is a portal's or a
        # maintenance page, perhaps after journy.io has taken the call.
        if response.request_id is None and not empty:
            return Deferred(f"something in between responded with {status}", ambiguous=True, response=response)
        return Delivered(response)
    if status == 429:
        return Deferred("too many requests", ambiguous=False, response=response, retry_after=response.retry_after)
    if status < 200:  # not a final response: it leaves open what became of the request
        return Deferred(f"something in between responded with {status}", ambiguous=True, response=response)
    if status >= 500 or status in _TEMPORARY:
        reason = f"the server responded with {status}"
        return Deferred(reason, ambiguous=status >= 500, response=response, retry_after=response.retry_after)
    if 300 <= status < 400:
        return Rejected(response, f"a redirect ({status}), which is never followed: check base_url")
    if response.request_id is None:
        # Not journy.io's: a proxy's 404, or one in the middle of a deploy. What it holds is nobody's verdict.
        return Deferred(f"something in between responded with {status}", ambiguous=False, response=response)
    if status in (401, 403):
        return Unauthorized(response)
    return Rejected(response, f"{status} {response.message}" if response.message else f"status {status}")


def response_of(received: HttpResponse) -> Response:
    """What *received* holds, whatever it is: nothing in it is taken for granted."""
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
    """What is left, the limit, and `Retry-After`: from a mapping that knows names in any case, or a dict."""
    if isinstance(headers, dict) or _INFORMATIVE[0] not in headers:
        headers = {str(name).lower(): str(value) for name, value in headers.items()}
    return [headers.get(name) for name in _INFORMATIVE]


def _fields(errors: Any) -> FrozenDict:
    fields = _texts(_mapping(errors).get("fields"))
    for place, named in _mapping(_mapping(errors).get("parameters")).items():
        fields.update({f"{place}.{name}": text for name, text in _texts(named).items()})
    return FrozenDict(fields)


def document_of(body: bytes) -> Mapping[str, Any]:
    """The JSON object in *body*; empty for anything else."""
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
    """A count of requests. `None` if it is missing, unreadable or absurd."""
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
