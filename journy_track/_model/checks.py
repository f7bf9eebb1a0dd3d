"""One check per kind of setting: each takes the given value and returns the normalised one.

The checks raise `ValueError` with a description of what is expected; `Config` adds the setting's name.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from journy_track._model.broker_url import SCHEMES, SENTINEL, scheme_of
from journy_track._model.frozendict import FrozenDict
from journy_track._model.secret import Secret
from journy_track._model.signature import signature_of
from journy_track._model.values import frozen_mapping, plain_metadata

#: The most seconds accepted: locks and sockets raise for timeouts that are too large.
MAX_SECONDS = 1e9


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("True or False")


def flag_text(text: str) -> bool:
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("one of 1, true, yes, on, 0, false, no, off")


def count(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError("a whole number of at least 1")


def count_text(text: str) -> int:
    try:
        return count(int(text.strip().replace("_", "")))
    except ValueError:
        raise ValueError("a whole number of at least 1") from None


def seconds(value: Any) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= MAX_SECONDS:
        return float(value)
    raise ValueError("seconds above 0, or a timedelta")


def seconds_or_zero(value: Any) -> float:
    if not isinstance(value, bool) and value in (0, timedelta()):
        return 0.0
    try:
        return seconds(value)
    except ValueError:
        raise ValueError("seconds, 0 or more, or a timedelta") from None


def share(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1:
        return float(value)
    raise ValueError("a number above 0, up to 1")


def share_text(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number above 0, up to 1") from None


def number_text(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number of seconds") from None


def one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError("one of " + ", ".join(repr(word) for word in words))

    return check


def hook(value: Any) -> Any:
    """Check that the worker can call *value* with one argument, as far as that can be known."""
    if not callable(value):
        raise ValueError("a function")
    called = value if inspect.isroutine(value) else getattr(value, "__call__", value)  # noqa: B004
    if any(map(inspect.iscoroutinefunction, (value, called))):
        raise ValueError("a plain function, as it is not awaited")
    try:
        signature = signature_of(value)
    except (TypeError, ValueError):  # for example, a function written in C
        return value
    try:
        signature.bind(None)
    except TypeError:
        raise ValueError("a function that takes one argument") from None
    return value


def folder(value: Any) -> Path:
    return _path(value, "a folder")


def file(value: Any) -> Path:
    return _path(value, "a file")


def _path(value: Any, what: str) -> Path:
    if isinstance(value, (str, os.PathLike)) and os.fspath(value):
        path = os.fspath(value)
        if isinstance(path, str) and "\0" not in path:
            return Path(path).expanduser().absolute()  # resolved now, since the working directory may change
    raise ValueError(f"the path of {what}, as a str or a Path")


def broker(value: Any) -> Any:
    if not isinstance(value, str):
        if not has(value, "publish", "is_empty", "close"):
            raise ValueError("a URL, or an object with publish(messages), is_empty() and close()")
        return value
    text = value.rstrip("\r\n")  # files with secrets often end with a line break
    wanted = "a URL of " + ", ".join(f"{scheme}://" for scheme in SCHEMES)
    if any(not "!" <= character <= "~" for character in text):
        raise ValueError(f"{wanted}, without spaces")
    if (scheme := text.partition(":")[0].lower()) not in SCHEMES:
        raise ValueError(wanted)
    try:
        scheme_of(text)
    except ValueError:  # the error's text may contain a password
        form = ""
        if scheme in SENTINEL:
            form = f"; with Sentinel {scheme}://host:port,host:port/service/database"
        raise ValueError(f"{wanted}, with a valid host and port{form}; a password is percent-encoded") from None
    return Secret(text)


def http_client(value: Any) -> Any:
    if is_http_client(value):
        return value
    raise ValueError("an object with send(request) and close()")


def is_http_client(value: object) -> bool:
    """Whether *value* has the methods of an `HttpClient`. False for a class, which is passed by mistake."""
    return has(value, "send", "close")


def has(value: object, *methods: str) -> bool:
    # Not isinstance with the protocol: from Python 3.12 on, it ignores what a wrapper's __getattr__ returns.
    return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in methods)


def key(value: Any) -> Secret:
    if not isinstance(value, str):
        raise ValueError("a str")
    value = value.rstrip("\r\n")  # files with secrets often end with a line break
    if not value:
        raise ValueError(
            "a key that is not empty (leave the argument out to read its variable, or set enabled=False)"
        )
    for position, character in enumerate(value):
        # A header allows no other characters, and the HTTP library's own error would print the key.
        if not "!" <= character <= "~":
            raise ValueError(f"printable ASCII without spaces: character {position + 1} cannot be sent in a header")
    return Secret(value)


def carrier_secret(value: Any) -> Secret:
    if not isinstance(value, str) or len(value.rstrip("\r\n")) < 16:
        raise ValueError("a secret text of at least 16 characters, as secrets.token_urlsafe() makes them")
    return Secret(value.rstrip("\r\n"))


def metadata(value: Any) -> FrozenDict:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("a mapping with text keys")
    taken = FrozenDict(frozen_mapping(value))
    _, problems = plain_metadata(taken)
    for key, reason in problems:
        raise ValueError(f"values that metadata takes; {key!r}: {reason}")
    return taken


def url(value: Any) -> str:
    # Checked before urlsplit, which silently removes line breaks and so could hide another host.
    if not isinstance(value, str) or not value or any(not "!" <= c <= "~" for c in value):
        raise ValueError("a URL without spaces and control characters, as in https://api.journy.io")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("a URL with a valid host and port") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise ValueError("an https:// URL with a host")
    if "@" in parts.netloc or "\\" in value:
        raise ValueError("a URL without user name and password")
    if parts.query or parts.fragment or "?" in value or "#" in value:
        raise ValueError("a URL without query and fragment")
    return value.rstrip("/")
