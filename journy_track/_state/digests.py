"""Digests of what journy.io confirmed: the protocol for storing them, and how they are computed.

Names and contents are stored as keyed digests (BLAKE2b, whose keyed mode is a MAC: RFC 7693). The digest key is
derived from the API key, which is not stored with them, and from a salt, which is. So someone who has only the file
cannot test addresses or IDs against it. With another API key, everything is sent once more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from journy_track._stores.store import StoreError

#: The sizes of a digest and of a salt in bytes.
SIZE, SALT = 16, 32


class Confirmed(NamedTuple):
    """The record for one name: a digest of what was last confirmed, and when, in seconds since the epoch."""

    digest: bytes
    at: float


class Digests(Protocol):
    """Stores digests by name. Any thread may call it. Raises `StoreError` while it cannot be used."""

    def salt(self) -> bytes:
        """Return the salt for all digests. It is created on first use."""

    def find(self, names: Sequence[bytes], /) -> dict[bytes, Confirmed]:
        """Return the records for those of *names* that have one."""

    def keep(self, confirmed: Mapping[bytes, Confirmed], /, until: float) -> None:
        """Store *confirmed* until *until*, in seconds since the epoch. Each record replaces the previous one."""

    def forget(self, names: Iterable[bytes], /) -> None:
        """Remove the records for *names*."""

    def close(self) -> None:
        """Close the underlying resources."""


def trouble_with(digests: Digests) -> str | None:
    """Return why *digests* cannot be used, or `None` if they can. Commands call this before anything is sent."""
    trouble = None
    for _ in range(2):  # a damaged state is started over on the second attempt
        try:
            digests.salt()
        except StoreError as error:
            trouble = str(error)
        else:
            return None
    return trouble


class Hasher:
    """Computes digests from a *secret* and the *salt*. Digests for different values of *base_url* never match."""

    def __init__(self, secret: str, salt: bytes, base_url: str) -> None:
        secret_key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"journy_track").digest()
        self._key = hashlib.blake2b(salt + base_url.encode(), key=secret_key, digest_size=32).digest()

    def of_name(self, name: str) -> bytes:
        """Return the digest of the name of a user or account."""
        return self._digest(b"name", name.encode("utf-8", "surrogatepass"))

    def of_body(self, body: Mapping[str, Any]) -> bytes:
        """Return the digest of what is sent, computed from its JSON, because Python considers 1 and True equal."""
        return self._digest(b"body", json.dumps(body, sort_keys=True).encode())

    def _digest(self, person: bytes, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._key, digest_size=SIZE, person=person).digest()
