"""Runs commands as people do: in a process of their own, without a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from journy_track.cli.app import app

#: The key that commands get.
KEY = "test-key-0123456789"


def environment(**variables: str) -> dict[str, str]:
    """What a command gets: nothing of ours but *variables*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOURNY_", "PYTHON"))}
    return {**kept, "COLUMNS": "300", "JOURNY_API_KEY": KEY, **variables}


def journy(*arguments: str | Path, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `journy-track` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "journy_track", *map(str, arguments)],
        env=environment(**variables),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def started(
    *arguments: str | Path, cwd: Path | None = None, output: int = subprocess.PIPE, **variables: str
) -> subprocess.Popen[str]:
    """Start `journy-track`; the caller ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "journy_track", *map(str, arguments)],
        env=environment(**variables),
        cwd=cwd,
        stdout=output,
        stderr=output,
        text=True,
    )


def words(text: str) -> str:
    """*text* on one line: where it was wrapped does not matter."""
    return " ".join(text.split())


def runner() -> CliRunner:
    """Runs commands in this process, with stdout and stderr apart."""
    # Before click 8.2 it mixes them, unless it is told.
    apart: dict[str, Any] = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner.__init__).parameters else {}
    return CliRunner(**apart)


def run(*arguments: str | Path, **variables: str) -> Result:
    """Run a command in this process: quicker, and all that most tests need."""
    cleared = {name: None for name in os.environ if name.startswith("JOURNY_")}
    with_key = {**cleared, "JOURNY_API_KEY": KEY, **variables}
    return runner().invoke(app, [str(argument) for argument in arguments], env=with_key)
