"""The progress bar of `import`: its percentage matches its count."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from journy_track.cli.importing.following import Numbers
from journy_track.cli.importing.showing import Bar


@pytest.mark.parametrize(
    ("settled", "shown"),
    [(0, "0 % 0/200"), (1, "0 % 1/200"), (101, "50 % 101/200"), (199, "99 % 199/200"), (200, "100 % 200/200")],
)
def test_the_percentage_is_that_of_the_count_and_100_only_at_the_end(settled: int, shown: str) -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    bar = Bar(console, "users.csv", 200, 0)
    bar.show(Numbers(settled, rejected=0, waiting=200 - settled))
    console.print(bar)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert f" {shown}, {200 - settled} underway " in " ".join(printed.split()), printed


def test_a_file_without_rows_is_done() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    console.print(Bar(console, "users.csv", 0, 0))
    assert "100 % 0/0" in " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
