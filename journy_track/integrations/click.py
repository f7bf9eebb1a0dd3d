"""click, and Typer: who acts, for each run of a command."""

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
    """Run each call of a click command, or of a group and its commands, in a scope of its own. Returns *command*.

        instrument_click(cli, user=system_user)                                    # whoever is logged in
        instrument_click(cli, user=lambda context: context.params["as_user"])      # an option
        run = instrument_click(typer.main.get_command(app), user=system_user)      # Typer: run()

    *user*, *account* and *metadata* get the context of that command and return an ID (or `UserIdentified`,
    `AccountIdentified`), `None` for none, or a mapping. They are called when an event needs them. What a command
    tracks is delivered when the process ends. `@track_event` goes below `@cli.command()`. Raises `InvalidArgument`
    for what is not a command, `ConfigurationError` for what is not a function.
    """
    # By what it can do: Typer brings a click of its own.
    invoke = getattr(command, "invoke", None)
    if not callable(invoke) or not hasattr(command, "make_context"):
        raise InvalidArgument(f"instrument_click() takes a click command, got {described(command)}")
    callbacks = Callbacks(user, account, metadata, link_devices=False)

    def in_scope(context: Any) -> Any:
        return PlainRequest(callbacks, context).run(invoke, context)

    command.invoke = in_scope  # type: ignore[attr-defined]
    return command


def system_user(context: object = None) -> str | None:
    """The name of the user who runs this process; `None` where it has none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
