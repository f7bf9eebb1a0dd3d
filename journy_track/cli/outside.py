"""Untrusted text: from servers, files, the environment and the command line."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text


def harmless(text: object) -> str:
    r"""*text* on one line, without anything that a terminal would act on or that could mislead a reader.

    Control characters, escape sequences, line breaks, invisible characters and those that change the text direction
    are escaped as in Python: `\\x1b`, `\\u202e`.
    """
    written = str(text)
    if written.isprintable():
        return written
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in written)


def styled(*parts: str | tuple[object, str]) -> Text:
    """Join *parts* into one line, each made harmless and never read as markup. A pair is a text and its style."""
    return Text.assemble(
        *((harmless(part), "") if isinstance(part, str) else (harmless(part[0]), part[1]) for part in parts)
    )


def json_text(document: Any, *, indent: int | None = 2) -> str:
    """*document* as JSON that is safe on a terminal: the same data, with unprintable characters escaped."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
