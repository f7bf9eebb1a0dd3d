"""Logging of metadata keywords that look like an option, once for each event name and key."""

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
#: Options long enough that a key with one typo in it is hardly a different word.
_LONG = {"account": _ACCOUNT, "happened_at": _TIME, "after_commit": _COMMIT}

#: Keys known not to look like an option. Looking up a key here costs next to nothing, and is enough for most.
plain_keys: set[str] = set()
are_plain = plain_keys.issuperset
#: Keys and names may come from the senders of requests. So the number of remembered keys is limited, and so is the
#: number of log lines, for each name and in total.
_MAX_KEYS = 2000
_MAX_LENGTH = 100
_MAX_LINES = 20
_MAX_LINES_OF_A_NAME = 3
_logged: dict[tuple[str, str], set[str]] = {}


def look_at(verb: str, name: str, keys: Iterable[str]) -> None:
    """Log the *keys* that look like an option. *name* is the event's name."""
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
    """Whether the keyword *key* looks like an option, and would be logged."""
    return (_MEANT.get(key) or _meant(key)) is not None


def _is_new(verb: str, name: str, key: str) -> bool:
    known = _logged.get((verb, name), set())
    if key in known or len(known) >= _MAX_LINES_OF_A_NAME or sum(map(len, _logged.values())) >= _MAX_LINES:
        return False
    _logged.setdefault((verb, name), set()).add(key)
    return True


def _meant(key: str) -> str | None:
    if key.endswith("s"):  # a plural is a different word
        return None
    return next((meant for option, meant in _LONG.items() if is_one_slip(key, option)), None)


def is_one_slip(text: str, word: str) -> bool:
    """Whether *text* is *word*, possibly with one character added, missing, replaced, or swapped with the next."""
    if abs(len(text) - len(word)) > 1:
        return False
    start = 0
    while start < min(len(text), len(word)) and text[start] == word[start]:
        start += 1
    left, right = text[start:], word[start:]
    swapped = left[1:2] + left[:1] + left[2:]
    return right in (left, left[1:], swapped) or left == right[1:] or left[1:] == right[1:]


also_forget(_logged.clear)
