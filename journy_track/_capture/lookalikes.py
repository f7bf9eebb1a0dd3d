"""Keywords that look like an option, and are metadata: logged once for each event name and key."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from journy_track._model.errors import shortened
from journy_track._model.logs import log
from journy_track._model.once import also_forget

_USER = "user= of track(), user() or set_user()"
_ACCOUNT = "account= of track(), account() or set_account()"
_TIME = "happened_at= of track()"
_COMMIT = "after_commit= of track()"
_MAPPING = "the mapping, which is the second argument of track() and the first of metadata()"
_MEANT = {
    **dict.fromkeys(("user", "usr", "uesr", "usre", "user_id", "userId", "distinct_id", "anonymous_id"), _USER),
    **dict.fromkeys(("account", "account_id", "accountId"), _ACCOUNT),
    "email": "email= of user() or set_user()",
    "domain": "domain= of account() or set_account()",
    "timestamp": _TIME,
    **dict.fromkeys(("metadata", "properties"), _MAPPING),
}
#: Long enough that a key one slip away is hardly a word of its own.
_LONG = {"account": _ACCOUNT, "happened_at": _TIME, "after_commit": _COMMIT}

#: Keys that look like no option. To ask it costs next to nothing, and that is all that is done for them.
plain_keys: set[str] = set()
are_plain = plain_keys.issuperset
#: Whoever sends requests may choose the keys and the names: beyond so many, and so many lines for a name and in all,
#: nothing is remembered or logged.
_MAX_KEYS = 2000
_MAX_LENGTH = 100
_MAX_LINES = 20
_MAX_LINES_OF_A_NAME = 3
_logged: dict[tuple[str, str], set[str]] = {}


def look_at(verb: str, name: str, keys: Iterable[str]) -> None:
    """Log those of *keys* that look like an option. *name* is the event's."""
    for key in keys:
        meant = _MEANT.get(key)
        if meant is None and len(plain_keys) < _MAX_KEYS and key not in plain_keys:
            meant = _meant(key)
            if meant is None and len(key) <= _MAX_LENGTH:
                plain_keys.add(key)
        if meant is not None and _is_new(verb, name, key):
            log(
                logging.WARNING,
                "%s(%s): the keyword %s= is not an option and became metadata. If that is intended, pass it in the "
                "mapping; if not, there is %s. (Logged once.)",
                verb,
                repr(shortened(name)) if name else "",
                key,
                meant,
            )


def is_lookalike(key: str) -> bool:
    """Whether the keyword *key* would be logged: it looks like an option."""
    return (_MEANT.get(key) or _meant(key)) is not None


def _is_new(verb: str, name: str, key: str) -> bool:
    known = _logged.get((verb, name), set())
    if key in known or len(known) >= _MAX_LINES_OF_A_NAME or sum(map(len, _logged.values())) >= _MAX_LINES:
        return False
    _logged.setdefault((verb, name), set()).add(key)
    return True


def _meant(key: str) -> str | None:
    if key.endswith("s"):  # a plural is a word of its own
        return None
    return next((meant for option, meant in _LONG.items() if is_one_slip(key, option)), None)


def is_one_slip(text: str, word: str) -> bool:
    """Whether *text* is *word*, or one character is too many, missing, another, or in the place of its neighbour."""
    if abs(len(text) - len(word)) > 1:
        return False
    start = 0
    while start < min(len(text), len(word)) and text[start] == word[start]:
        start += 1
    left, right = text[start:], word[start:]
    swapped = left[1:2] + left[:1] + left[2:]
    return right in (left, left[1:], swapped) or left == right[1:] or left[1:] == right[1:]


also_forget(_logged.clear)
