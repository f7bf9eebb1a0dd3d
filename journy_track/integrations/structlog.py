"""structlog: the user and account on log lines."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from journy_track._capture.context import known_ids

__all__ = ["add_identity"]


def add_identity(logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor that adds ``user_id`` and ``account_id`` to each log line, if they are known.

        structlog.configure(processors=[add_identity, structlog.processors.JSONRenderer()])

    They are the IDs of the context, never an e-mail address or a domain. The request's user is not looked up, since
    that may query the database, which may log. Existing keys are kept.
    """
    for name, known in zip(("user_id", "account_id"), known_ids(), strict=True):
        if known is not None:
            event_dict.setdefault(name, known)
    return event_dict
