"""click and Typer: the user of each run of a command."""

from __future__ import annotations

import getpass
from typing import Any, TypeVar

from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations._plain import PlainRequest
from journy_track.integrations._requests import Callback, Callbacks

__all__ = ["instrument_click", "system_user"]

C = TypeVar("C")


def instrument_click(
    command: C,
    *,
    user: Callback | None = None,
    account: Callback | None = None,
    metadata: Callback | None = None,
) -> C:
    """Run each call of a click command, or of a group and its commands, in its own scope. Returns *command*.

        instrument_click(cli, user=system_user)                                    # whoever is logged in
        instrument_click(cli, user=lambda context: context.params["as_user"])      # an option
        run = instrument_click(typer.main.get_command(app), user=system_user)      # Typer: run()

    *user*, *account* and *metadata* are called with the command's click context. The first two return an ID (or a
    `UserIdentified` or `AccountIdentified`) or `None`; *metadata* returns a mapping or `None`. They are called when
    an event needs them. What a command tracks is delivered by the time the process ends. Place `@track_event` below
    `@cli.command()`. Raises `InvalidArgument` if *command* is not a click command, and `ConfigurationError` if one of
    the others is not a function.
    """
    # Checked by its methods, since Typer includes its own copy of click.
    invoke = getattr(command, "invoke", None)
    if not callable(invoke) or not hasattr(command, "make_context"):
        raise InvalidArgument(f"instrument_click() takes a click command, got {described(command)}")
    callbacks = Callbacks(user, account, metadata, link_devices=False)

    def in_scope(context: Any) -> Any:
        return PlainRequest(callbacks, context).run(invoke, context)

    command.invoke = in_scope  # type: ignore[attr-defined]
    return command


def system_user(context: object = None) -> str | None:
    """Return the name of the user who runs this process; `None` if it has none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
