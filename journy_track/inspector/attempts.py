"""Which request is the repetition of one that failed, and which a part of a batch that failed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from journy_track.inspector import rules
from journy_track.inspector.values import IncomingRequest, PreparedResponse, sent_messages

REMEMBERED = 30_000  # failed requests, and messages of failed batches
#: Statuses after which a client sends the same again. 0: there was no response.
REPEATED_AFTER = frozenset({0, 401, 403, 408, 425, 429})


#: Also of the batch API: without the message at fault, or in smaller batches.
SPLIT_AFTER = frozenset({400, 413})


class Attempt(NamedTuple):
    """Where a request stands among those that failed before.

    *number* counts from 1, also over the batches of which it is a part. *first*: number of the request that was the
    first with the same content. *part_of*: of a batch that failed, the number of its first attempt, where this one
    holds only some of its messages, or others as well; 0 for anything else.
    """

    number: int
    first: int
    part_of: int = 0


class Attempts:
    """The failed requests that may come again. The inspector's state guards it.

    No client marks its retries: it is the same method, path and body, after a response that
    invites to try again. In the batch API it is a request with a message of one that failed.
    """

    def __init__(self) -> None:
        #: By the digest of a request, or of a message: the attempt, and the digest of all that was in the request.
        self._failed: OrderedDict[bytes, tuple[Attempt, bytes]] = OrderedDict()

    def of(self, call: IncomingRequest, answer: PreparedResponse, number: int, batch: str | None = None) -> Attempt:
        """Which attempt request *number* is. *batch*: the operationId of a call of the batch API."""
        first = Attempt(1, number)
        if not call.body:
            return first  # a read is asked again because somebody wants to know again
        failed = answer.status in REPEATED_AFTER or answer.status >= 500
        if batch is not None:
            failed = failed or answer.status in SPLIT_AFTER
            if not failed and not self._failed:
                return first  # without a look at thousands of messages
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
