"""Recognises requests that retry a failed request, or that are part of a failed batch."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from journy_track.inspector import rules
from journy_track.inspector.values import IncomingRequest, PreparedResponse, sent_messages

REMEMBERED = 30_000  # failed requests, and messages of failed batches
#: Statuses after which a client sends the same request again. 0: there was no response.
REPEATED_AFTER = frozenset({0, 401, 403, 408, 425, 429})


#: Batch API: statuses after which a client retries without the invalid message, or in smaller batches.
SPLIT_AFTER = frozenset({400, 413})


class Attempt(NamedTuple):
    """How a request relates to failed requests before it.

    *number* is the attempt, from 1; it also counts attempts at a batch that this request is part of. *first* is the
    number of the first request with the same content. If this request shares only some messages with a failed batch,
    or adds others to them, *part_of* is the number of that batch's first attempt; otherwise it is 0.
    """

    number: int
    first: int
    part_of: int = 0


class Attempts:
    """The failed requests that a client may retry. The inspector's state guards it.

    Clients do not mark their retries. A retry is a request with the same method, path and body, after a response that
    calls for a retry. In the batch API, it is a request with a message from a failed one.
    """

    def __init__(self) -> None:
        #: By the digest of a request or a message: the attempt, and the digest of the request's whole content.
        self._failed: OrderedDict[bytes, tuple[Attempt, bytes]] = OrderedDict()

    def of(self, call: IncomingRequest, answer: PreparedResponse, number: int, batch: str | None = None) -> Attempt:
        """Which attempt request *number* is. *batch* is the operationId of a batch API call; None for other calls."""
        first = Attempt(1, number)
        if not call.body:
            return first  # repeating a read is not a retry
        failed = answer.status in REPEATED_AFTER or answer.status >= 500
        if batch is not None:
            failed = failed or answer.status in SPLIT_AFTER
            if not failed and not self._failed:
                return first  # without parsing thousands of messages
            digests = _message_digests(batch, call.body)
        else:
            digests = [_digest(f"{call.method} {call.path}\n".encode("utf-8", "surrogateescape") + call.body)]
        content = _digest(b"".join(sorted(digests)))
        before = [self._failed.pop(digest) for digest in digests if digest in self._failed]
        earlier, its_content = max(before, default=(None, b""))
        if earlier is None:
            attempt = first
        elif its_content == content:
            attempt = earlier._replace(number=earlier.number + 1)
        else:
            attempt = Attempt(earlier.number + 1, number, earlier.part_of or earlier.first)
        if failed:
            self._failed.update(dict.fromkeys(digests, (attempt, content)))
            while len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)
        return attempt


def _message_digests(batch: str, body: bytes) -> list[bytes]:
    ids = (message.get("messageId") for message in sent_messages(batch, rules.parsed_or_none(body)))
    return [_digest(id_.encode("utf-8", "surrogatepass")) for id_ in ids if isinstance(id_, str)]


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()
