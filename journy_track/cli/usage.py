"""How `--help` shows commands, and how wrong usage is reported."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

from journy_track.cli.console import fail


class _ReadableHelp:
    """Shared by commands and groups: wraps help paragraphs to the terminal, and shows no type after a flag."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        if attributes.get("help"):
            # typer keeps a docstring's line breaks, except in the first paragraph.
            attributes["help"] = re.sub(r"(?<!\n)\n(?!\n)", " ", attributes["help"])
        super().__init__(*arguments, **attributes)

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""  # some versions of typer print <bool>
        return params


class CliCommand(_ReadableHelp, TyperCommand):
    """A command of `journy-track`."""


class CliGroup(_ReadableHelp, TyperGroup):
    """A command with subcommands."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        try:
            return super().make_context(*arguments, **settings)
        except Exception as error:
            _fail_if_misused(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            _fail_if_misused(error)
            raise


def _fail_if_misused(error: Exception) -> None:
    """Exit like other failures if *error* is a usage error of click, which newer versions of typer bundle."""
    # If no command was given, the help has been printed already.
    if not hasattr(error, "format_message") or type(error).__name__ == "NoArgsIsHelpError":
        return
    context: Any = getattr(error, "ctx", None)
    message = error.format_message().strip()
    ended = message if message.endswith((".", "?")) else f"{message}."
    fail(f"{ended} See {'journy-track' if context is None else context.command_path} --help", error.exit_code)  # type: ignore[attr-defined]


def one_of(*values: str) -> Any:
    """For `autocompletion=`: completes to the *values* that start with what was typed."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete
