"""Text that comes from outside: from servers, files, the environment, the command line."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text


def harmless(text: object) -> str:
    r"""*text* on one line, without what a terminal would act on or a reader be misled by.

    Control characters, escape sequences, line breaks, invisible characters and those that change the direction of
    text are written as Python writes them: `\\x1b`, `\\u202e`.
    """
    written = str(text)
    if written.isprintable():
        return written
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in written)


def styled(*parts: str | tuple[object, str]) -> Text:
    """One line of texts, each harmless and never read as markup; a pair is a text and its style."""
    return Text.assemble(
        *((harmless(part), "") if isinstance(part, str) else (harmless(part[0]), part[1]) for part in parts)
    )


def json_text(document: Any, *, indent: int | None = 2) -> str:
    """*document* as JSON for a terminal, too: the same data, with what is not printable escaped."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
