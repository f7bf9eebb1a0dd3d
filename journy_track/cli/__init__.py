"""The command line, `journy-track`: one file per command.

It needs the extra `cli`; each command reports what else it needs.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Exit codes: 0 success, 1 the API refused or the data is invalid, 2 wrong usage."""
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
