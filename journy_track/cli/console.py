"""Output of the commands: data on stdout, everything else on stderr. Colour only on a terminal."""

from __future__ import annotations

import codecs
import io
import json
import signal
import sys
import threading
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from journy_track.cli.outside import harmless, styled

#: The signals that end a command, besides Ctrl-C. Windows sends SIGBREAK for Ctrl-Break, a closed console and the end
#: of a session, and does not send SIGTERM.
TERMINATE: frozenset[signal.Signals] = frozenset({signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)})


class OneLine(Console):
    """A console that prints each string on one line and never as markup, because most contain untrusted text.

    Each string that a command prints, alone or in a table, becomes a `Text` in `render_str`. For style, see `styled`.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(harmless(text), **{**options, "markup": False, "emoji": False})


out: Console = OneLine(highlight=False, markup=False, emoji=False)
err: Console = OneLine(stderr=True, highlight=False, markup=False, emoji=False)


def print_any_text() -> None:
    """Let stdout print any text. Characters that its encoding does not support are escaped as in JSON.

    JSON output therefore contains the same data in every encoding, such as cp1252 on Windows.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("journy_track.json", _escaped)
        sys.stdout.reconfigure(errors="journy_track.json")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def can_print(text: str) -> bool:
    """Whether stdout's encoding can represent *text*."""
    try:
        text.encode(out.encoding)
    except UnicodeEncodeError:
        return False
    return True


def fail(message: str, code: int = 1) -> NoReturn:
    """Print *message* as an error, and exit.

    The message states what went wrong, with the value, and what to do. Exit code 1 means that the API, the data or
    this machine is the cause; 2 means wrong usage: an option, a setting, or a package that is not installed.
    """
    complain(message)
    raise typer.Exit(code)


def complain(message: str) -> None:
    """Print *message* as an error and continue, for one of several errors or one after other output."""
    _print_marked("Error: ", "bold red", message)


def warn(message: str) -> None:
    """Print *message* as a warning, when nothing has failed."""
    _print_marked("Warning: ", "yellow", message)


def _print_marked(mark: str, style: str, message: str) -> None:
    # Without a terminal, do not wrap: log collectors expect one line per message.
    err.print(styled((mark, style), message), soft_wrap=not err.is_terminal)


def need_inspector() -> None:
    """Exit with the remedy if the extra `inspector` is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        fail(f"This command needs {error.name}: pip install 'journy-track[inspector]'", 2)


def no_listening(error: OSError) -> str:
    """Why a port could not be opened: only the system's message, because Python's text repeats the address."""
    return str(error.strerror or error).partition(" (while ")[0]


def wait_for_ctrl_c(*lines: str | Text) -> None:
    """Print *lines* and wait for Ctrl-C, which is also handled while they are printed."""
    try:
        for line in lines:
            err.print(line)
        # With a timeout, because the system may deliver the signal to another thread. Python's main thread, which has
        # to handle it, would then stay asleep.
        while True:
            threading.Event().wait(0.5)
    except KeyboardInterrupt:
        err.print("ended")


def counted(count: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds in the largest unit that fits: `59 s`, `3 min`, `2 h`, `6 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def data_size(count: int) -> str:
    """Bytes in the largest unit that fits: `512 B`, `3 KiB`, `2 MiB`, `1.0 GiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
