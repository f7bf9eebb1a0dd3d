"""uWSGI: worker options with which nothing is delivered, or queued items are lost."""

from __future__ import annotations

import sys
from typing import Any, Final

from journy_track._model.frameworks import Framework
from journy_track._model.once import warn_once

NO_THREADS = (
    "uWSGI runs here without Python's threads, so nothing would be delivered while it serves: start it with "
    "--enable-threads (or --threads)."
)

NO_EXIT = (
    "uWSGI's workers end here without exit handlers (--gevent or --skip-atexit), so items still waiting when one "
    "is recycled or stopped are lost. Use spool= or a broker to keep them."
)

#: From this version on, Python's threads run regardless of the options.
_ALWAYS_THREADS = (2, 0, 28)


def without_threads() -> bool:
    """Whether this is a worker of uWSGI whose options keep Python's threads from running."""
    version = getattr(sys.modules.get("uwsgi"), "version_info", (0,))[:3]
    return _in_uwsgi() and version < _ALWAYS_THREADS and not _has("threads", "enable-threads", "gevent")


def _on_start(durable: bool) -> None:
    if without_threads():
        warn_once("uwsgi", NO_THREADS)
    if not durable and _in_uwsgi() and _has("gevent", "skip-atexit"):  # these skip atexit and uWSGI's own hook
        warn_once("uwsgi exit", NO_EXIT)


def _in_uwsgi() -> bool:
    return isinstance(getattr(sys.modules.get("uwsgi"), "opt", None), dict)


def _has(*names: str) -> bool:
    options = sys.modules["uwsgi"].opt
    return any(_is_on(options, name) for name in names)


def _is_on(options: dict[Any, Any], name: str) -> bool:
    value = options.get(name, options.get(name.encode()))
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return value is not None and text.lower() not in ("false", "off", "no", "0")


FRAMEWORK: Final = Framework(on_start=_on_start)
