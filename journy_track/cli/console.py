"""Where the commands print: data on stdout, the rest on stderr. Colour only on a terminal."""

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

#: The signals that end a command, beside Ctrl-C. SIGBREAK: on Windows Ctrl-Break, a console that is closed, and the
#: end of a session; nobody sends SIGTERM there.
TERMINATE: frozenset[signal.Signals] = frozenset({signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)})


class OneLine(Console):
    """A console for which a text is one line and never markup: most texts hold something from outside.

    Whatever a command prints, alone or in a table, becomes a `Text` in `render_str`. For style, see `styled`.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(harmless(text), **{**options, "markup": False, "emoji": False})


out: Console = OneLine(highlight=False, markup=False, emoji=False)
err: Console = OneLine(stderr=True, highlight=False, markup=False, emoji=False)


def print_any_text() -> None:
    """Have stdout print every text: what its encoding lacks, as cp1252 of Windows does, is escaped as in JSON.

    So what is printed as JSON holds the same data.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("journy_track.json", _escaped)
        sys.stdout.reconfigure(errors="journy_track.json")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def can_print(text: str) -> bool:
    """Whether the encoding of stdout has all of *text*."""
    try:
        text.encode(out.encoding)
    except UnicodeEncodeError:
        return False
    return True


def fail(message: str, code: int = 1) -> NoReturn:
    """Print *message* as an error, and exit.

    It says what went wrong, with the value, and what to do. Exit codes: 1 the API, the data or this machine refused;
    2 wrong usage: an option, a setting, or a package that is not installed.
    """
    complain(message)
    raise typer.Exit(code)


def complain(message: str) -> None:
    """Print *message* as an error, and go on: for one of several, or below what was printed already."""
    _print_marked("Error: ", "bold red", message)


def warn(message: str) -> None:
    """Print *message* as a warning: nothing has failed."""
    _print_marked("Warning: ", "yellow", message)


def _print_marked(mark: str, style: str, message: str) -> None:
    # One line for whoever collects them: without a terminal there is no width.
    err.print(styled((mark, style), message), soft_wrap=not err.is_terminal)


def need_inspector() -> None:
    """End with the remedy where the extra `inspector` is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        fail(f"This command needs {error.name}: pip install 'journy-track[inspector]'", 2)


def no_listening(error: OSError) -> str:
    """Why a port could not be opened: the system's text alone, for Python's repeats the address."""
    return str(error.strerror or error).partition(" (while ")[0]


def wait_for_ctrl_c(*lines: str | Text) -> None:
    """Print *lines* and return at Ctrl-C, also at one that comes while they are printed."""
    try:
        for line in lines:
            err.print(line)
        # With a timeout: the system may give the signal to another thread, and Python's main thread, which has to
        # handle it, then sleeps on.
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
