"""The stage on which the examples of the documentation run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from journy_track.inspector import Inspector

from .reading import Block
from .scenes import Stage


@pytest.fixture
def stage(api: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Block], Stage]]:
    """Makes a stage on which a block runs as it would for a reader, but pointed at the inspector."""
    monkeypatch.setenv("JOURNY_BASE_URL", api.url)
    loggers = {logging.getLogger(name): list(logging.getLogger(name).handlers) for name in ("", "shop")}
    yield lambda block: Stage(block, api, tmp_path)
    for logger, handlers in loggers.items():
        logger.handlers[:] = handlers
