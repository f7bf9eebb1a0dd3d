"""Read the body of a response, and unpack it, within bounds.

No encoding is asked for. A server that compresses all the same may mean harm: a few hundred bytes can unpack to
gigabytes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from http.client import HTTPException

from journy_track._model.clock import monotonic

#: Bytes that are read at once.
_CHUNK = 16 * 1024
#: Encodings on top of each other, at most. One is already one more than was asked for.
_MAX_ENCODINGS = 3
#: How zlib is to understand each encoding. There are servers that send `deflate` without its header.
_FORMS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


def body_of(read: Callable[[int], bytes], encoding: str | None, deadline: float, limit: int) -> bytes:
    """The first *limit* bytes of the body, unpacked. Empty when it cannot be read: the status decides, not the body.

    *read* returns some bytes, no more than it is asked for, and none at the end. *encoding* is the response's
    Content-Encoding. One that nobody asked for and that is not known here, or too many of them, leaves the body as
    it is.
    """
    body = bytearray()
    try:
        while len(body) < limit and (chunk := read(_CHUNK)):
            body += chunk
            if monotonic() >= deadline:
                return b""
        return _unpacked(bytes(body[:limit]), encoding, limit)
    except (HTTPException, OSError, ValueError, zlib.error):
        return b""


def _unpacked(body: bytes, encoding: str | None, limit: int) -> bytes:
    if not encoding or not body:
        return body
    encodings = [name for name in re.split(r"[,\s]+", encoding.lower()) if name and name != "identity"]
    if len(encodings) > _MAX_ENCODINGS or not all(name in _FORMS for name in encodings):
        return body
    for name in reversed(encodings):
        body = _inflated(body, _FORMS[name], limit)
    return body


def _inflated(body: bytes, forms: tuple[int, ...], limit: int) -> bytes:
    """The first *limit* bytes of what *body* holds, which may have been cut off."""
    for form in forms[:-1]:
        try:
            return zlib.decompressobj(form).decompress(body, limit)
        except zlib.error:
            continue
    return zlib.decompressobj(forms[-1]).decompress(body, limit)
