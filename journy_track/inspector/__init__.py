"""A local stand-in for the journy.io API that shows what arrives, for development and tests.

This package imports nothing from the rest of the library, so it checks independently what the library sends.
"""

try:
    from .app import create_app
    from .server import Inspector, serve
except ModuleNotFoundError as _missing:
    if _missing.name not in {"starlette", "uvicorn", "h11"}:
        raise
    raise ModuleNotFoundError(
        f"The inspector needs {_missing.name}: pip install 'journy-track[inspector]'", name=_missing.name
    ) from _missing
from journy_track.inspector.values import Counts, KnownAccount, KnownUser, Received, ReceivedEvent, ReceivedMessage

__all__ = [
    "Counts",
    "Inspector",
    "KnownAccount",
    "KnownUser",
    "Received",
    "ReceivedEvent",
    "ReceivedMessage",
    "create_app",
    "serve",
]
