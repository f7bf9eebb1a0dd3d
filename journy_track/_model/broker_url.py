"""Parsing of a broker's URL: its scheme and, with Sentinel, which sentinels to ask for which service."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

#: Each scheme, and redis-py's name for it. Valkey uses the Redis protocol.
DIRECT = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
#: The same for a primary that is found through sentinels. With TLS, both connections use it.
SENTINEL = {
    "redis+sentinel": "redis",
    "rediss+sentinel": "rediss",
    "valkey+sentinel": "redis",
    "valkeys+sentinel": "rediss",
}
SCHEMES = (*DIRECT, *SENTINEL)
#: The default port of a sentinel.
SENTINEL_PORT = 26379


class Sentinels(NamedTuple):
    """The sentinels' hosts and ports, the service that they watch, and its database as text (empty: the first)."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    database: str


def scheme_of(url: str) -> str:
    """The scheme of *url*, in lower case. Raises `ValueError` for a URL without a valid host and port."""
    parts = urlsplit(url)
    if parts.scheme in SENTINEL:
        sentinels_of(url)
    elif parts.port == 0:
        raise ValueError("port 0")
    return parts.scheme


def sentinels_of(url: str) -> Sentinels:
    """Parse ``redis+sentinel://[user:password@]host[:port][,host[:port]]/service[/database]``.

    Raises `ValueError` for any other form. User and password are those of the primary.
    """
    parts = urlsplit(url)
    hosts = tuple(_host_and_port(text) for text in parts.netloc.rpartition("@")[2].split(","))
    named = re.fullmatch(r"/([A-Za-z0-9._-]+)(?:/([0-9]*))?", parts.path)
    if named is None:
        raise ValueError("a service is missing")
    return Sentinels(hosts, named[1], named[2] or "")


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    port = SENTINEL_PORT if parts.port is None else parts.port
    if not parts.hostname or port == 0:
        raise ValueError("a host is missing")
    return parts.hostname, port
