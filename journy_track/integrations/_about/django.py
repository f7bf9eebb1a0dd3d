"""Django: its transactions, and where it keeps the functions that it calls."""

from __future__ import annotations

import sys
from typing import Any, Final

from journy_track._model.frameworks import Framework, Holder
from journy_track._model.once import warn_once


def _open_transactions() -> list[Any]:
    """Return this thread's connections that are in a transaction. Each has `on_commit`, as `Transaction` requires."""
    conf, db = sys.modules.get("django.conf"), sys.modules.get("django.db")
    connections = getattr(db, "connections", None)
    if conf is None or connections is None or not conf.settings.configured:
        return []
    used = connections.all(initialized_only=True)
    atomic = [connection for connection in used if connection.in_atomic_block]
    if atomic:
        return _the_apps_own(atomic)
    if any(connection.connection is not None and not connection.autocommit for connection in used):
        warn_once(
            "manual transactions",
            "after_commit: with autocommit off, outside transaction.atomic(), Django does not signal the commit, so "
            "the item is sent at once. Use transaction.atomic().",
        )
    return []


def _the_apps_own(atomic: list[Any]) -> list[Any]:
    """Return the connections with a block of the app's own, besides the one that a TestCase opens on each.

    If there are only a TestCase's blocks, return a single connection, as it runs the callbacks of one at a time.
    """
    own = [c for c in atomic if not all(getattr(block, "_from_testcase", False) for block in c.atomic_blocks)]
    return own or [next((c for c in atomic if c.alias == "default"), atomic[0])]


FRAMEWORK: Final = Framework(
    registered={("django.tasks.base", "Task"): "a Django task"},
    holders={
        ("django.urls.resolvers", "URLResolver"): Holder(("url_patterns",)),
        ("django.urls.resolvers", "URLPattern"): Holder(("callback",)),
        ("django.dispatch.dispatcher", "Signal"): Holder(("receivers",), "@receiver"),
    },
    open_transactions=_open_transactions,
)
