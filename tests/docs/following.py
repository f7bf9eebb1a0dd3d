"""Follows a guide as a reader would: writes its files, types its commands, and checks what arrives.

A page is read from top to bottom:

- A block whose first line is a comment with a file name (`# app.py`) is written to that file. It may contain several
  files.
- A `console` block is typed. The text below a command is its expected output; `…` stands for anything.
- The last command of a `console` block below `<!-- runs: server -->` keeps running. The page continues once the
  server listens. Below `<!-- runs: fails -->`, the last command exits with an error.
- A `text` block of requests (`POST /track …`) lists all that arrived since the last such block, in any order.

Port 8470 is the inspector's and port 8000 is the app's: both are replaced by free ports.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

import pytest
from packaging.requirements import Requirement

from journy_track.inspector import Inspector

from .reading import Block
from .telling import told

#: Commands that prepare a reader's machine. The packages must be installed already; the other commands are skipped.
_PREPARES = ("pip install ", "python3 -m venv ", "source ", "journy-track inspect")
_REQUEST = re.compile(r"(GET|POST|DELETE) /")
_NAME = re.compile(r"# ([\w./-]+\.\w+)\n")
#: A command, possibly continued with backslashes over several lines, and the text below it.
_TYPED = re.compile(r"((?:.*\\\n)*.*)\n?([\s\S]*)")
#: What must not appear in a server's output, because it indicates a problem.
_TROUBLE = ("Traceback", "journy_track")


class Reader:
    """Follows one page in an empty *folder*."""

    def __init__(self, folder: Path, api: Inspector) -> None:
        self._folder = folder
        self._api = api
        self._seen = 0
        self._server: subprocess.Popen[str] | None = None
        self._printed = folder.with_name("printed")
        self._ports = {"8470": api.url.rpartition(":")[2], "8000": _free_port()}
        # As after `source .venv/bin/activate`.
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CURL_HOME": str(folder),
            # A busy machine may need longer than 5 s for the first request.
            "JOURNY_SHUTDOWN_TIMEOUT": "30",
            # A reader has only this library's plugin. Loading all the plugins installed here takes most of the time.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "-p pytest_journy_track",
        }
        folder.mkdir()
        (folder / ".curlrc").write_text("silent\nshow-error\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop()

    def follow(self, blocks: list[Block]) -> None:
        """Follow the whole page. Raises `AssertionError` where the page is wrong."""
        for block in blocks:
            if block.not_run:
                continue
            source = block.source
            for port, ours in self._ports.items():
                source = source.replace(port, ours)
            if _NAME.match(source):
                self._write(source)
            elif block.language == "console":
                self._type(source, block)
            elif _REQUEST.match(source):
                self._compare(source.splitlines(), block)
            else:
                raise AssertionError(f"{block.label}: not read: {source}")
        printed = self._stop()
        assert not any(word in printed for word in _TROUBLE), printed
        assert self._told() == [], "sent, and the page does not say so"

    # ── Blocks ──

    def _write(self, source: str) -> None:
        parts = re.split(r"^# ([\w./-]+\.\w+)\n", source, flags=re.MULTILINE)[1:]
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.strip() + "\n")

    def _type(self, source: str, block: Block) -> None:
        sessions = re.split(r"^\$ ", source, flags=re.MULTILINE)[1:]
        for number, session in enumerate(sessions, 1):
            command, expected = _TYPED.fullmatch(session).groups()  # type: ignore[union-attr]  # it takes any text
            if command.startswith(_PREPARES):
                _need(command)
            elif exported := re.fullmatch(r"export (\w+)=(\S+)(?: +#.*)?", command):
                self._environment[exported[1]] = exported[2]
            elif block.scene == "server" and number == len(sessions):
                self._start(command)
            else:
                printed = self._run(command, fails=block.scene == "fails" and number == len(sessions))
                pattern = ".*".join(map(re.escape, expected.strip().split("…")))
                assert re.fullmatch(pattern, printed, re.DOTALL), f"{block.label}: $ {command}\n{printed}"

    def _compare(self, expected: list[str], block: Block) -> None:
        wanted = self._seen + len(expected)
        with suppress(TimeoutError):  # the comparison shows what is missing
            self._api.wait_for(lambda api: len(api.requests) >= wanted, timeout=30)
        assert self._told() == sorted(expected), f"{block.label}\n{self._output()}"

    def _told(self) -> list[str]:
        """Return the requests that arrived since the last call."""
        new = self._api.requests[self._seen :]
        self._seen += len(new)
        return sorted(map(told, new))

    # ── Commands ──

    def _run(self, command: str, *, fails: bool) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode == -signal.SIGKILL:
            return f"{done.stdout}Killed"  # as a shell prints it
        assert (done.returncode != 0) == fails, f"$ {command}\n{done.stdout}\n{self._output()}"
        return re.sub(r" +$", "", done.stdout, flags=re.MULTILINE).strip()

    def _start(self, command: str) -> None:
        self._stop()
        with self._printed.open("w") as printed:
            self._server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._folder,
                env=self._environment,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )
        deadline = monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", int(self._ports["8000"])), timeout=1):
                return
            assert self._server.poll() is None, f"$ {command}\n{self._output()}"
            assert monotonic() < deadline, f"$ {command} does not listen\n{self._output()}"

    def _output(self) -> str:
        return self._printed.read_text() if self._printed.exists() else ""

    def _stop(self) -> str:
        """Stop the server as a deployment does. Returns what it printed."""
        if self._server is None:
            return ""
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGTERM)
        try:
            self._server.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server = None
        return self._output()


def _need(command: str) -> None:
    """Skip the test when a package that the page installs is missing on this machine."""
    if not command.startswith("pip install "):
        return
    for word in shlex.split(command, comments=True)[2:]:
        name = Requirement(word).name
        try:
            version(name)
        except PackageNotFoundError:
            pytest.skip(f"needs {name}")


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])
