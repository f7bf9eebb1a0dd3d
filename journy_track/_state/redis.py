"""Digests in the broker's Redis, shared by all hosts that run a sync."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import time
from typing import Any

from journy_track._model.broker import BrokerError
from journy_track._model.refusing import refused_in_tests
from journy_track._model.secret import Secret
from journy_track._state.digests import SALT, SIZE, Confirmed
from journy_track._stores.redis.connection import Names, RedisConnection, queue_of
from journy_track._stores.redis.lease import ACQUIRE, RELEASE
from journy_track._stores.store import StoreError


class RedisDigests:
    """Stores each digest under its own expiring key, beside the queue that *url* names.

    Connects on first use. Raises `ConfigurationError` as `RedisConnection` does.
    """

    def __init__(self, url: Secret, wall: Callable[[], float] = time) -> None:
        self._connection = RedisConnection(url)
        self._salt = f"{Names.of(queue_of(url)).stream}:digests"
        self._wall = wall

    def salt(self) -> bytes:
        """Return the salt for all digests."""
        with self._used() as client:
            client.set(self._salt, os.urandom(SALT), nx=True)
            return bytes(client.get(self._salt))

    def find(self, names: Sequence[bytes], /) -> dict[bytes, Confirmed]:
        """Return the records for those of *names* that have one."""
        with self._used() as client:
            values = client.mget([self._key(name) for name in names])
        return {
            name: Confirmed(value[:SIZE], float(value[SIZE:]))
            for name, value in zip(names, values, strict=True)
            if value is not None
        }

    def keep(self, confirmed: Mapping[bytes, Confirmed], /, until: float) -> None:
        """Store *confirmed* until *until*, in seconds since the epoch. Each record replaces the previous one."""
        seconds = max(1, int(until - self._wall()))
        with self._used() as client, client.pipeline(transaction=False) as pipe:
            for name, known in confirmed.items():
                pipe.set(self._key(name), known.digest + repr(known.at).encode(), ex=seconds)
            pipe.execute()

    def forget(self, names: Iterable[bytes], /) -> None:
        """Remove the records for *names*."""
        keys = [self._key(name) for name in names]
        if keys:
            with self._used() as client:
                client.delete(*keys)

    def lease(self, what: str, mine: str, seconds: float) -> str | None:
        """See `Leases`."""
        with self._used() as client:
            holder = client.eval(ACQUIRE, 1, f"{self._salt}:lease:{what}", mine, int(seconds * 1000))
        text = holder.decode("utf-8", "replace") if isinstance(holder, bytes) else str(holder)
        return None if text == mine else text

    def end_lease(self, what: str, mine: str) -> None:
        """See `Leases`."""
        with self._used() as client:
            client.eval(RELEASE, 1, f"{self._salt}:lease:{what}", mine)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _key(self, name: bytes) -> str:
        return f"{self._salt}:{name.hex()}"

    @contextmanager
    def _used(self) -> Iterator[Any]:
        for host in self._connection.hosts:
            if why := refused_in_tests(host):
                raise StoreError(why)
        try:
            with self._connection.call() as client:
                yield client
        except BrokerError as error:
            raise StoreError(str(error)) from None
