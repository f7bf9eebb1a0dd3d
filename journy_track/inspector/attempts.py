"""Which request is the repetition of one that failed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from journy_track.inspector.values import Answer, Call

REMEMBERED = 10_000  # failed requests
#: Answers after which a client sends the same again. 0: there was no answer.
REPEATED_AFTER = frozenset({0, 401, 403, 408, 425, 429})


class Attempts:
    """The failed requests that may come again. The inspector's state guards it.

    No client says that it repeats itself: it is the same method, path and body, after an answer that
    invites to try again.
    """

    def __init__(self) -> None:
        self._failed: OrderedDict[bytes, int] = OrderedDict()

    def number(self, call: Call, answer: Answer) -> int:
        """The how-manieth attempt this request is, from 1."""
        if not call.body:
            return 1  # a read is asked again because somebody wants to know again
        text = f"{call.method} {call.path}\n".encode("utf-8", "surrogateescape")
        digest = hashlib.blake2b(text + call.body, digest_size=16).digest()
        number = self._failed.pop(digest, 0) + 1
        if answer.status in REPEATED_AFTER or answer.status >= 500:
            self._failed[digest] = number
            if len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)
        return number
