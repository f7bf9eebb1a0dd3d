"""Adds the user and account to requests to the app's own services, the hosts in `propagate_to`, and to no others.

Each HTTP library is hooked at the level where one request goes to one host, redirects included, because the header
added for the first host must not be sent to the next. A library that is not imported yet is hooked on import.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import wrapt

from journy_track._capture.carrier import HEADER
from journy_track._carriers import inject
from journy_track._model.hosts import is_among
from journy_track._model.logs import log
from journy_track._runtime import get_tracker

_installed: set[str] = set()


def install() -> None:
    """Hook into each HTTP client once it is imported. Calling this again has no effect."""
    for module, hook in _HOOKS.items():
        if module not in _installed:
            _installed.add(module)
            wrapt.register_post_import_hook(functools.partial(_hooked, hook), module)


def is_named(host: str | None) -> bool:
    """Whether *host* is listed in `propagate_to`."""
    tracker = get_tracker()
    return host is not None and tracker is not None and is_among(host, tracker.config.propagate_to)


def _hooked(hook: Any, module: Any) -> None:
    try:
        hook(module)
    except Exception as error:  # noqa: BLE001 - a version that we do not know: the app goes on, and nobody is told
        log(
            logging.WARNING,
            "propagate_to: %s could not be instrumented (%s): its requests carry no user and account",
            module.__name__,
            type(error).__name__,
        )


def _changed(headers: Any, host: str | None, *, in_clear_to_a_proxy: bool) -> Any:
    """Return *headers*, or a copy for *host*: with our header if `propagate_to` lists the host, without it if not."""
    tracker = get_tracker()
    if tracker is None or not tracker.config.propagate_to:
        return headers
    there = [name for name in headers if _lower(name) == HEADER]
    if not in_clear_to_a_proxy and is_named(host):
        carrier: dict[str, str] = {}
        if not there:  # a header that the app set itself is kept
            inject(carrier)
        if carrier:
            headers = _copy(headers)
            headers[HEADER] = carrier[HEADER]
    elif there:
        headers = _copy(headers)
        for name in there:
            headers.pop(name, None)
    return headers


def _copy(headers: Any) -> Any:
    """Copy *headers*, keeping their type if it has `copy()`, as multi-value header types do."""
    return headers.copy() if hasattr(headers, "copy") else dict(headers)


def _lower(name: Any) -> str:
    return (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower()


# ── Each client ──


def _urllib3(module: Any) -> None:
    """Hook urllib3, which requests is also based on."""
    pool = module.HTTPConnectionPool
    original = pool.urlopen

    @functools.wraps(original)
    def urlopen(
        self: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **more: Any
    ) -> Any:
        given: Mapping[str, str] = self.headers if headers is None else headers
        clear = self.proxy is not None and self.scheme == "http" and bool(urlsplit(url).netloc)
        changed = _changed(given, self.host, in_clear_to_a_proxy=clear)
        return original(self, method, url, body, headers if changed is given else changed, *args, **more)

    pool.urlopen = urlopen


def _httpx(module: Any) -> None:
    def changed(transport: Any, request: Any) -> Any:
        proxied = "Proxy" in type(getattr(transport, "_pool", None)).__name__
        clear = proxied and request.url.scheme == "http"
        headers = _changed(request.headers, request.url.host, in_clear_to_a_proxy=clear)
        if headers is request.headers:
            return request
        # A new request: the headers of a redirect are derived from those of this one.
        return module.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    handle, handle_async = module.HTTPTransport.handle_request, module.AsyncHTTPTransport.handle_async_request

    @functools.wraps(handle)
    def handle_request(self: Any, request: Any) -> Any:
        return handle(self, changed(self, request))

    @functools.wraps(handle_async)
    async def handle_async_request(self: Any, request: Any) -> Any:
        return await handle_async(self, changed(self, request))

    module.HTTPTransport.handle_request = handle_request
    module.AsyncHTTPTransport.handle_async_request = handle_async_request


def _aiohttp(module: Any) -> None:
    name = "send" if hasattr(module.ClientRequest, "send") else "_send"
    original = getattr(module.ClientRequest, name)

    @functools.wraps(original)
    async def send(self: Any, *args: Any, **more: Any) -> Any:
        clear = self.proxy is not None and self.url.scheme == "http"
        self.headers = _changed(self.headers, self.url.host, in_clear_to_a_proxy=clear)
        return await original(self, *args, **more)

    setattr(module.ClientRequest, name, send)


_HOOKS = {"urllib3.connectionpool": _urllib3, "httpx": _httpx, "aiohttp.client_reqrep": _aiohttp}
