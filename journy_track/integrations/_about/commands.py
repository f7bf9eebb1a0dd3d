"""click and Typer: their commands, and where they keep the functions."""

from __future__ import annotations

from typing import Final

from journy_track._model.frameworks import Framework, Holder

FRAMEWORK: Final = Framework(
    registered={
        ("click.core", "Command"): "a click command",
        ("click.core", "BaseCommand"): "a click command",
        ("typer._click.core", "Command"): "a Typer command",
    },
    holders={
        ("typer.main", "Typer"): Holder(("registered_callback", "registered_commands"), "@app.command()"),
        ("typer.models", "TyperInfo"): Holder(("callback",)),
        ("typer.models", "CommandInfo"): Holder(("callback",)),
    },
)
