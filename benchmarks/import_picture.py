"""Make the README's picture of `journy-track import`: a real import, recorded half-way and at its end.

    python -m benchmarks.import_picture examples/import.svg

Sends to a local inspector with the limit of a real key (1 800 requests per minute), so it takes a few seconds.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path
from time import monotonic

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from journy_track import Tracker
from journy_track.cli.importing.columns import Columns
from journy_track.cli.importing.courier import Courier
from journy_track.cli.importing.following import Numbers
from journy_track.cli.importing.journal import Journal, Position
from journy_track.cli.importing.showing import Bar, outcome_table
from journy_track.cli.importing.source import InputFile
from journy_track.inspector import Inspector

ROWS = 600
WIDTH = 84


def main(picture: Path) -> None:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print("[green]$[/green] journy-track import users.csv --type age:int", highlight=False)
    with tempfile.TemporaryDirectory() as folder, Inspector(port=0) as api:
        record(console, Path(folder), api.url)
    picture.parent.mkdir(parents=True, exist_ok=True)
    # Without fonts from another host: each viewer has a fixed-width font.
    plain = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="journy-track import", code_format=plain)
    picture.write_text(svg, encoding="utf-8")
    print(f"{picture}: {len(svg) / 1024:.0f} KiB")


def record(console: Console, folder: Path, url: str) -> None:
    """Import a file of made-up users, and record what a terminal would show."""
    path = folder / "users.csv"
    rows = "".join(f"u{number},user{number}@acme.example,pro,{20 + number % 50}\n" for number in range(ROWS))
    path.write_text("id,email,plan,age\n" + rows, encoding="utf-8")
    journal = Journal(folder / "state.json", folder / "users.csv.rejected.jsonl", {})
    bar = Bar(console, path.name, ROWS, 0)
    shown = False

    def show(numbers: Numbers) -> None:
        nonlocal shown
        bar.show(numbers)
        if numbers.delivered > ROWS * 0.6 and not shown:
            shown = True
            console.print(bar)

    position, began = Position(total=ROWS), monotonic()
    journal.begin(position)
    tracker = Tracker(base_url=url)
    courier = Courier(tracker, journal, position, interrupted=lambda: None, patience=60, show=show)
    courier.bring(InputFile(path, "csv"), Columns("users", types={"age": "int"}))
    tracker.shutdown()
    console.print(outcome_table(courier.save(done=True), path.name, began, tracker.stats().delivered, ROWS))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "examples/import.svg"))
