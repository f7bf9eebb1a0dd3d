"""`journy-track guide`: one page on how to instrument an existing app."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from journy_track.cli.console import out

_HERE = Path(__file__).parent


def guide(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown even on a terminal.")] = False,
) -> None:
    """Print one page on how to instrument an existing app.

    On a terminal it is laid out, in a pipe it is Markdown.
    """
    text = page()
    if markdown or not out.is_terminal:
        typer.echo(text, nl=False)
    else:
        out.print(Markdown(text))


def page() -> str:
    """The page, without the comments that say how its blocks are tested."""
    # In the wheel it is beside this file; in a checkout it is where the other pages are.
    found = next(
        path for path in (_HERE / "guide.md", _HERE.parents[1] / "docs" / "start" / "guide.md") if path.exists()
    )
    return re.sub(r"^<!--.*?-->\n+", "", found.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
