"""`journy-track guide`: prints one page on how to instrument an existing app."""

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

    On a terminal it is formatted, in a pipe it is Markdown.
    """
    text = page()
    if markdown or not out.is_terminal:
        typer.echo(text, nl=False)
    else:
        out.print(Markdown(text))


def page() -> str:
    """The page, without the comments that define how its code blocks are tested."""
    # In the wheel, the page is next to this file; in a checkout, it is with the other pages.
    found = next(
        path for path in (_HERE / "guide.md", _HERE.parents[1] / "docs" / "start" / "guide.md") if path.exists()
    )
    return re.sub(r"^<!--.*?-->\n+", "", found.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
