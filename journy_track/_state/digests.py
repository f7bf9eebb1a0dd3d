"""Digests of what journy.io confirmed: the protocol of what keeps them, and how they are made.

Names and contents are kept as keyed digests (BLAKE2b, whose keyed mode is a MAC: RFC 7693). Their key comes from the
API key, which is not kept beside them, and from a salt, which is: whoever has the file alone cannot try addresses or
IDs against it. With another API key everything is sent once more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from journy_track._stores.store import StoreError

#: Bytes of a digest, and of a salt.
SIZE, SALT = 16, 32


class Confirmed(NamedTuple):
    """What is kept of one name: a digest of what was confirmed last, and when, in seconds since the epoch."""

    digest: bytes
    at: float


class Digests(Protocol):
    """Keeps digests by name. May be called by any thread; raises `StoreError` where it cannot be used now."""

    def salt(self) -> bytes:
        """The salt of all that it keeps; made when it is first asked for."""

    def find(self, names: Sequence[bytes], /) -> dict[bytes, Confirmed]:
        """What is kept of *names*."""

    def keep(self, confirmed: Mapping[bytes, Confirmed], /, until: float) -> None:
        """Keep *confirmed* until that second since the epoch, each in the place of what was there."""

    def forget(self, names: Iterable[bytes], /) -> None:
        """Keep nothing of *names*."""

    def close(self) -> None:
        """Close what it uses."""


def trouble_with(digests: Digests) -> str | None:
    """Why *digests* cannot be used; `None`: they can. For what waits for a person, before anything is sent."""
    trouble = None
    for _ in range(2):  # what is damaged is begun anew the second time
        try:
            digests.salt()
        except StoreError as error:
            trouble = str(error)
        else:
            return None
    return trouble


class Hasher:
    """Makes digests under a *secret* and the *salt*. What belongs to another *base_url* never looks the same."""

    def __init__(self, secret: str, salt: bytes, base_url: str) -> None:
        secret_key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"journy_track").digest()
        self._key = hashlib.blake2b(salt + base_url.encode(), key=secret_key, digest_size=32).digest()

    def of_name(self, name: str) -> bytes:
        """The digest of the name of a user or account."""
        return self._digest(b"name", name.encode("utf-8", "surrogatepass"))

    def of_body(self, body: Mapping[str, Any]) -> bytes:
        """The digest of what is sent. JSON, since to Python 1 and True are equal."""
        return self._digest(b"body", json.dumps(body, sort_keys=True).encode())

    def _digest(self, person: bytes, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._key, digest_size=SIZE, person=person).digest()
