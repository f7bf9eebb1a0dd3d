"""`inspect --forward`: also sends what the inspector accepts to journy.io, with the library's own HTTP client."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from journy_track._model.config import Config, is_loopback
from journy_track._model.errors import TransportError, printable, shortened
from journy_track._model.http import HttpRequest, HttpResponse
from journy_track._transport.requests_client import RequestsHttpClient
from journy_track._transport.rest import USER_AGENT
from journy_track.cli.console import fail
from journy_track.inspector.forward import HEADER, Accepted, Reply
from journy_track.inspector.values import masked


class JournyIo:
    """journy.io, or the server that *config* names instead, with the keys in *config*."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client = RequestsHttpClient(connections=1)

    @property
    def name(self) -> str:
        """The host to which requests are sent, or both hosts if the batch API has a different one."""
        urls = [self._config.base_url] * (self._config.rest_key is not None)
        urls += [self._config.batch_url] * (self._config.write_key is not None)
        return " and ".join(dict.fromkeys(urlsplit(url).netloc.rpartition("@")[2] for url in urls))

    @property
    def key(self) -> str:
        """The keys, masked except for their ends."""
        keys = (self._config.rest_key, self._config.write_key)
        return " and ".join(masked(key.reveal()) for key in keys if key is not None)

    def send(self, request: Accepted, /) -> Reply:
        """Send *request* once. Never raises."""
        key = self._config.write_key if request.is_batch else self._config.rest_key
        if key is None:
            return Reply(
                None, f"not sent: set {'JOURNY_WRITE_KEY' if request.is_batch else 'JOURNY_API_KEY'} as well"
            )
        url = self._config.batch_url if request.is_batch else self._config.base_url + request.path
        body = _batch_of(request) if request.is_batch else request.body
        try:
            # The headers are not stored in a variable, because error reports show local variables.
            response = self._client.send(
                HttpRequest(request.method, url, self._headers(request.is_batch), body, self._config.timeout)
            )
        except TransportError as error:
            return Reply(None, f"no response: {shortened(printable(str(error) or type(error).__name__))}")
        return Reply(
            response.status, "" if 200 <= response.status < 300 else shortened(self._without_keys(_reason(response)))
        )

    def _without_keys(self, text: str) -> str:
        """Mask the keys in *text*, which the page shows: a server may repeat the key that it refuses."""
        for key in (self._config.rest_key, self._config.write_key):
            if key is not None:
                text = text.replace(key.reveal(), masked(key.reveal()))
        return text

    def _headers(self, is_batch: bool) -> dict[str, str]:
        config = self._config
        shared = {"Content-Type": "application/json", "User-Agent": f"{USER_AGENT} inspector", HEADER: "1"}
        if is_batch and config.write_key is not None:
            return {
                **shared,
                "Authorization": f"Basic {b64encode(f'{config.write_key.reveal()}:'.encode()).decode()}",
            }
        return {**shared, "X-Api-Key": config.rest_key.reveal()} if config.rest_key is not None else shared


def target_of(config: Config, base_url: str | None, own_port: int) -> JournyIo:
    """The target that *config* names. Exits with 2 if that is the inspector itself, or this machine by mistake.

    *base_url* is the URL from the command line; `None` means that it comes from the environment.
    """
    for url, variable in ((config.base_url, "JOURNY_BASE_URL"), (config.batch_url, "JOURNY_BATCH_URL")):
        if is_loopback(url) and base_url is None:
            # The variable was set for the app, to point it at the inspector.
            fail(
                f"{variable} is this machine ({url}): --forward would send there, and not to journy.io. "
                "Pass --base-url with the address that is meant, such as https://api.journy.io.",
                2,
            )
        if is_loopback(url) and own_port and urlsplit(url).port == own_port:
            fail(f"{url} is this inspector: it cannot forward to itself.", 2)
    return JournyIo(config)


def _batch_of(request: Accepted) -> bytes:
    """The request's messages as a batch, because journy.io documents no path for a single message."""
    document: dict[str, Any] = json.loads(request.body)
    if request.operation != "batch":
        document = {"batch": [{**document, "type": request.operation}]}
    for message in (document, *document["batch"]):
        message.pop("writeKey", None)  # the app's key, which is masked
    return json.dumps(document).encode("ascii")


def _reason(response: HttpResponse) -> str:
    try:
        message = json.loads(response.body).get("message")
    except (ValueError, AttributeError):
        message = None
    return printable(message) if isinstance(message, str) else f"status {response.status}"
