"""Jupyter and IPython: one user for all cells of a session."""

from __future__ import annotations

import os
from threading import get_ident
from typing import Any

from journy_track._capture.context import BlockEntry, enter, leave
from journy_track._capture.inputs import account_of, user_of
from journy_track._capture.request import Cell
from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations.click import system_user

__all__ = ["instrument_jupyter", "load_ipython_extension"]

_KEY = "_journy_track"


def instrument_jupyter(shell: Any = None, *, user: Any = None, account: Any = None) -> None:
    """Run all cells of a notebook in one scope, which lasts for the session.

        %load_ext journy_track.integrations.jupyter      # or: instrument_jupyter(user="jane", account="acme")

    Without it, each cell has its own context, and what `set_user()` sets is lost in the next one. *user* and
    *account* are IDs, or a `UserIdentified` and an `AccountIdentified`; *user* defaults to JupyterHub's user
    (`JUPYTERHUB_USER`), or else the user who runs the kernel. *shell* defaults to the notebook's. Calling it again
    replaces user and account. Raises `InvalidArgument` outside IPython, and if an ID is invalid.
    """
    if shell is None:
        from IPython import get_ipython

        shell = get_ipython()
    if not hasattr(shell, "events"):
        raise InvalidArgument(f"instrument_jupyter() takes IPython's shell, got {described(shell)}")
    session: _Session | None = getattr(shell, _KEY, None)
    if session is None:
        session = _Session()
        setattr(shell, _KEY, session)
        shell.events.register("pre_run_cell", session.begin)
        shell.events.register("post_run_cell", session.end)
    session.cell.set(user=user_of(user if user is not None else os.environ.get("JUPYTERHUB_USER") or system_user()))
    session.cell.set(account=account_of(account))


def load_ipython_extension(shell: Any) -> None:
    """Instrument *shell*. Called by ``%load_ext journy_track.integrations.jupyter``."""
    instrument_jupyter(shell)


class _Session:
    """The scope of a session, entered by each of its cells. While a cell awaits, other cells may run."""

    def __init__(self) -> None:
        self.cell: Cell = Cell()
        #: For each running cell, what IPython tells about it before and after, its thread, and its entry.
        self._running: list[tuple[Any, int, BlockEntry]] = []

    def begin(self, info: Any = None) -> None:
        """Enter the scope before a cell runs."""
        self._running.append((info, get_ident(), enter(self.cell)))

    def end(self, result: Any = None) -> None:
        """Leave the scope after a cell has run."""
        info = getattr(result, "info", None)
        own = [run for run in self._running if run[0] is info and info is not None]
        if not own:  # IPython makes another `info` for a cell that was interrupted
            here = (get_ident(), getattr(info, "raw_cell", None))
            own = [run for run in self._running if (run[1], getattr(run[0], "raw_cell", None)) == here]
        if own:  # the cell that loaded the extension has not entered the scope
            self._running.remove(own[-1])
            leave(own[-1][2])
