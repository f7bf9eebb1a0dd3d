"""Which request is the repetition of one that failed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from journy_track.inspector import rules
from journy_track.inspector.values import IncomingRequest, PreparedResponse, sent_messages

REMEMBERED = 30_000  # failed requests, and messages of failed batches
#: Statuses after which a client sends the same again. 0: there was no response.
REPEATED_AFTER = frozenset({0, 401, 403, 408, 425, 429})


#: Also of the batch API: without the message at fault, or in smaller batches.
SPLIT_AFTER = frozenset({400, 413})


class Attempts:
    """The failed requests that may come again. The inspector's state guards it.

    No client marks its retries: it is the same method, path and body, after a response that
    invites to try again. In the batch API it is a request with a message of one that failed.
    """

    def __init__(self) -> None:
        self._failed: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def number(
        self, call: IncomingRequest, answer: PreparedResponse, number: int, batch: str | None = None
    ) -> tuple[int, int]:
        """Which attempt request *number* is, counting from 1, and the number of the request that was the first.

        *batch*: the operationId of a call of the batch API.
        """
        if not call.body:
            return 1, number  # a read is asked again because somebody wants to know again
        failed = answer.status in REPEATED_AFTER or answer.status >= 500
        if batch is not None:
            failed = failed or answer.status in SPLIT_AFTER
            if not failed and not self._failed:
                return 1, number  # without a look at thousands of messages
            digests = _message_digests(batch, call.body)
        else:
            digests = [_digest(f"{call.method} {call.path}\n".encode("utf-8", "surrogateescape") + call.body)]
        before = [self._failed.pop(digest) for digest in digests if digest in self._failed]
        attempt, first = max(before, default=(0, number))
        attempt += 1
        if failed:
            self._failed.update(dict.fromkeys(digests, (attempt, first)))
            while len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)
        return attempt, first


def _message_digests(batch: str, body: bytes) -> list[bytes]:
    ids = (message.get("messageId") for message in sent_messages(batch, rules.parsed_or_none(body)))
    return [_digest(id_.encode("utf-8", "surrogatepass")) for id_ in ids if isinstance(id_, str)]


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()
