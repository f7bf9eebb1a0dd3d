"""The exceptions of this library, as one tree.

JournyError
├── InvalidArgument      an argument is missing, empty or of the wrong kind (also a ValueError)
├── ConfigurationError   a setting of configure() or of the environment is wrong (also a ValueError)
└── TransportError       raised by an HttpClient, never by this library's verbs
    ├── NotSent          the request certainly did not reach the server
    └── MaybeSent        the request may have been processed
"""

from __future__ import annotations

import re
import traceback


class JournyError(Exception):
    """The base class of all exceptions that this library raises on purpose."""

    __module__ = "journy_track"  # where users import it from, as shown in tracebacks


class InvalidArgument(JournyError, ValueError):
    """An argument is missing, empty or of the wrong kind. Nothing was sent or queued."""

    __module__ = "journy_track"


class ConfigurationError(JournyError, ValueError):
    """A setting is wrong; the message names the argument, what was passed and what to do."""

    __module__ = "journy_track"


class TransportError(JournyError):
    """Raised by an ``HttpClient`` that has no response to return. *timed_out*: none arrived in time."""

    __module__ = "journy_track"

    def __init__(self, message: str = "", *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class NotSent(TransportError):
    """The request was certainly not processed: the host was unresolved, or the connection refused or untrusted."""

    __module__ = "journy_track"


class MaybeSent(TransportError):
    """The request may have been processed: no response in time, or a connection lost after sending."""

    __module__ = "journy_track"


def described(value: object) -> str:
    """*value* for an error message: its type, and its text if that is short and harmless."""
    kind = type(value).__name__
    if value is None or type(value) is bool:
        return repr(value)
    if type(value) is float or (type(value) is int and value.bit_length() <= 128):
        return f"{kind} {value!r}"
    if type(value) is str:
        return f"str {value!r}" if len(value) <= 40 else f"str of {len(value)} characters"
    return kind


def shortened(text: str) -> str:
    """*text* cut to 80 characters for a log line, since it may come from outside, as an event's name may."""
    return text if len(text) <= 80 else text[:79] + "…"


def printable(text: str) -> str:
    """*text* on one line, with control characters escaped as in `repr`, so that terminals do not interpret them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def where_raised(error: BaseException) -> str:
    """The type of *error* and the line that raised it, for the log.

    The text of the app's own errors is left out, since it may name a person, or contain fake log lines.
    """
    if isinstance(error, JournyError):
        return f"{type(error).__name__}: {without_values(str(error))}"
    frames = traceback.extract_tb(error.__traceback__)
    return type(error).__name__ + (f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else "")


#: Text as `described` shows it.
_TEXT = re.compile(r"""\bstr (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


def without_values(message: str) -> str:
    """An error message for the log, without the passed text, which may name a person."""
    return _TEXT.sub("str", message)
