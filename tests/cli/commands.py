"""Helpers that run commands as users do: in a separate process, without a terminal."""

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

#: The API key that commands get.
KEY = "test-key-0123456789"


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a command: no JOURNY_* or PYTHON* variables of the tests, but *variables*."""
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
    """Start `journy-track`; the caller has to end it."""
    return subprocess.Popen(
        [sys.executable, "-m", "journy_track", *map(str, arguments)],
        env=environment(**variables),
        cwd=cwd,
        stdout=output,
        stderr=output,
        text=True,
    )


def words(text: str) -> str:
    """Return *text* on one line, since it does not matter where it was wrapped."""
    return " ".join(text.split())


def runner() -> CliRunner:
    """Return a runner for commands in this process that keeps stdout and stderr apart."""
    # Before 8.2, click mixes them by default.
    apart: dict[str, Any] = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner.__init__).parameters else {}
    return CliRunner(**apart)


def run(*arguments: str | Path, **variables: str) -> Result:
    """Run a command in this process, which is faster and enough for most tests."""
    cleared = {name: None for name in os.environ if name.startswith("JOURNY_")}
    with_key = {**cleared, "JOURNY_API_KEY": KEY, **variables}
    return runner().invoke(app, [str(argument) for argument in arguments], env=with_key)
