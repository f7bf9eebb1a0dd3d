"""What can go wrong, as one tree.

JournyError
├── InvalidArgument      an argument is missing, empty or of a kind that cannot be used (also a ValueError)
├── ConfigurationError   a setting of configure() or of the environment is wrong (also a ValueError)
└── TransportError       raised by an HttpClient, never by this library's verbs
    ├── NotSent          the request surely did not reach the server
    └── MaybeSent        the request may have been processed
"""

from __future__ import annotations


class JournyError(Exception):
    """Everything that this library raises on purpose."""


class InvalidArgument(JournyError, ValueError):
    """An argument is missing, empty or of the wrong kind. Nothing was sent or queued."""


class ConfigurationError(JournyError, ValueError):
    """A setting is wrong; the message names the argument, what was given and what to do."""


class TransportError(JournyError):
    """What an ``HttpClient`` raises when there is no answer to give. *timed_out*: none came in time."""

    def __init__(self, message: str = "", *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class NotSent(TransportError):
    """The request surely was not processed: refused, unresolved or untrusted connection."""


class MaybeSent(TransportError):
    """The request may have been processed: no answer in time, or a connection lost after sending."""


def described(value: object) -> str:
    """*value* for an error message: its type, and its text where that is short and harmless."""
    kind = type(value).__name__
    if value is None or isinstance(value, bool):
        return repr(value)
    if type(value) is float or (type(value) is int and value.bit_length() <= 128):
        return f"{kind} {value!r}"
    if type(value) is str:
        return f"str {value!r}" if len(value) <= 40 else f"str of {len(value)} characters"
    return kind
