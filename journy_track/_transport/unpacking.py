"""Reads and decompresses the body of a response, within bounds.

No encoding is requested. A server that compresses anyway may be malicious: a few hundred bytes can decompress to
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
#: The maximum number of stacked encodings. Even one was not requested.
_MAX_ENCODINGS = 3
#: The zlib window bits for each encoding. Some servers send `deflate` without its header.
_FORMS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


def body_of(read: Callable[[int], bytes], encoding: str | None, deadline: float, limit: int) -> bytes:
    """Return the first *limit* bytes of the decompressed body; empty if it cannot be read, as the status decides.

    *read* returns at most as many bytes as requested, and none at the end. *encoding* is the response's
    Content-Encoding. If it contains an unknown encoding, or too many of them, the body is returned as received.
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
    """Decompress *body*, which may be truncated, to at most *limit* bytes."""
    for form in forms[:-1]:
        try:
            return zlib.decompressobj(form).decompress(body, limit)
        except zlib.error:
            continue
    return zlib.decompressobj(forms[-1]).decompress(body, limit)
