"""The API for your desk: a local stand-in for journy.io that shows what arrives, for development and tests.

Nothing in here imports the rest of the library: it is a second opinion on what it sends.
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
