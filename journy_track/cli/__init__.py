"""The command line, `journy-track`: one file per command. Needs the extra `cli`; each command names what else."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 the API or the data refused, 2 wrong usage."""
    try:
        from journy_track.cli.app import app
        from journy_track.cli.console import print_any_text
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.stderr.write(f"Error: journy-track needs {error.name}: pip install 'journy-track[cli]'\n")
        raise SystemExit(2) from None
    print_any_text()
    app()
