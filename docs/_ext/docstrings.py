"""Docstrings are written in Markdown: backticks and indented code. Sphinx reads reStructuredText."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

import journy_track

#: Of code: what is in single backticks, perhaps over the end of a line, and a letter that follows at once.
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((https://[^)\s]+)\)")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}


def _process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = _converted("\n".join(lines), name).splitlines()


def _converted(text: str, name: str) -> str:
    return "\n\n".join(_paragraph(paragraph, name) for paragraph in _paragraphs(text))


def _paragraphs(text: str) -> Iterator[str]:
    """Parts between empty lines; a fenced or an indented block is one part."""
    for part in re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL):
        if part.startswith("```"):
            yield part
        else:
            yield from re.findall(r"(?:^ {4}.*(?:\n(?=\n* {4})\n*)?)+|(?:^.+\n?)+", part, re.MULTILINE)


def _paragraph(text: str, name: str) -> str:
    text = text.strip("\n")
    if text.startswith("```"):
        language, _, code = text.removeprefix("```").removesuffix("```").partition("\n")
        indented = "".join(f"    {line}\n" for line in code.splitlines())
        return f".. code-block:: {language or 'text'}\n\n{indented}"
    if text.startswith("    "):
        return f".. code-block:: python\n\n{text}"
    text = _SPAN.sub(lambda span: _role(" ".join(span[1].split()), name) + ("\\ " if span[2] else ""), text)
    return _LINK.sub(r"`\1 <\2>`__", text)


def _role(code: str, name: str) -> str:
    """A link where *code* names something public, else code."""
    found = re.fullmatch(r"(?:journy_track\.)?(\w+)(?:\.(\w+))?(\(\))?", code)
    if not found or found[1] not in journy_track.__all__ or name.endswith(f".{found[1]}"):
        return f"``{code}``"
    owner, member, called = found.groups()
    thing = getattr(journy_track, owner)
    if inspect.isclass(thing) and not member:
        return f":py:class:`{owner} <journy_track.{owner}>`"
    if inspect.isclass(thing) and inspect.isroutine(getattr(thing, member or "", None)):
        return f":py:meth:`{owner}.{member}() <journy_track.{owner}.{member}>`"
    if called and not member:
        return f":py:func:`{owner}() <journy_track.{owner}>`"
    return f"``{code}``"
