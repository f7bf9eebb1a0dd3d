"""What `import` shows: a progress bar on a terminal, invalid rows, and the outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from journy_track.cli.console import counted
from journy_track.cli.importing.checking import Checked
from journy_track.cli.importing.following import Numbers
from journy_track.cli.importing.journal import Position
from journy_track.cli.outside import harmless, styled

#: The terminal width in columns below which the bar shows less.
_NARROW = 70
#: The number of invalid rows that are shown; --json has more.
_FEW = 20


class _Percentage(ProgressColumn):
    """The percentage of settled rows, rounded down: 100 % only when all are settled."""

    def render(self, task: Task) -> Text:
        settled, total = task.completed, task.total or 0
        return Text(f"{settled * 100 // total if total else 100:>3.0f} %", style="progress.percentage")


class _Rate(ProgressColumn):
    """Rows per second, over the last half minute."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("–/s" if speed is None else f"{speed:,.1f}/s", style="cyan")


class _Errors(ProgressColumn):
    """The number of rejected rows, in red if there are any."""

    def render(self, task: Task) -> Text:
        rejected = task.fields["rejected"]
        return Text(f"{rejected:,} rejected", style="red" if rejected else "dim")


class _Bars(Progress):
    """Leaves room on the right for the ^C that a terminal shows: on a full line, the bar would be drawn twice."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield _Narrower(self.make_tasks_table(self.tasks))


@dataclass(frozen=True, slots=True)
class _Narrower:
    shown: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.shown, options.update_width(max(1, options.max_width - 4)))


class Bar:
    """The progress bar, shown only if *console* is a terminal."""

    def __init__(self, console: Console, name: str, total: int, begun: int) -> None:
        narrow = console.width < _NARROW
        # Rows whose calls are merged are settled together. The "underway" count shows progress until then.
        counts = "{task.completed:,.0f}/{task.total:,}, {task.fields[waiting]:,} underway"
        texts = ("{task.description}", counts, "left")
        wide = [] if narrow else [TextColumn(text, markup=False) for text in texts]
        self._progress = _Bars(
            *wide[:1],
            BarColumn(bar_width=None),
            _Percentage(),
            *wide[1:2],
            _Rate(),
            TimeRemainingColumn(compact=True),
            *wide[2:],
            _Errors(),
            console=console,
            disable=not console.is_terminal,
            expand=True,
            speed_estimate_period=30,
        )
        self._task = self._progress.add_task(harmless(name), total=total, completed=begun, rejected=0, waiting=0)

    def __rich__(self) -> Progress:
        return self._progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, numbers: Numbers) -> None:
        """Update the bar with these numbers."""
        self._progress.update(
            self._task, completed=numbers.settled, rejected=numbers.rejected, waiting=numbers.waiting
        )


@contextmanager
def library_lines(console: Console) -> Iterator[logging.Handler]:
    """Print the library's log messages on *console*, above the bar. Yields the handler, which can be silenced."""
    log = logging.getLogger("journy_track")
    handler = _Warnings(console)
    before = log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield handler
    finally:
        log.removeHandler(handler)
        log.propagate = before


class _Warnings(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(record.getMessage(), style="yellow")


def faults_table(found: Checked) -> Table:
    """A table of the first invalid rows."""
    table = Table("Line", "Why", box=None, padding=(0, 2, 0, 0))
    table.columns[0].justify = "right"
    for line, why in found.faults[:_FEW]:
        table.add_row(str(line), why)
    if found.at_fault > _FEW:
        table.add_row("…", f"and {found.at_fault - _FEW:,} more (--dry-run --json lists them)")
    return table


def outcome_table(position: Position, rejected_file: str, began: float, requests: int, rows: int) -> Table:
    """A table of the outcome. *rows* is the number of rows settled since *began*."""
    seconds = max(monotonic() - began, 0.001)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("delivered", styled((f"{position.delivered:,}", "green"), f" of {counted(position.total, 'row')}"))
    if position.unchanged:
        table.add_row("unchanged", f"{position.unchanged:,}, not sent")
    if position.rejected:
        table.add_row("rejected", styled((f"{position.rejected:,}", "red"), f", in {rejected_file}"))
    if position.in_part:
        what = styled((f"{position.in_part:,}", "yellow"), f" of those delivered: see {rejected_file}")
        table.add_row("in part", what)
    left = position.total - position.settled
    if left:
        table.add_row("left", styled((f"{left:,}", "yellow")))
    table.add_row("took", f"{duration(seconds)}, {rows / seconds:,.1f} rows/s, {counted(requests, 'request')}")
    return table


def duration(seconds: float) -> str:
    """A duration for people to read: 4.2 s, 3 min 20 s, 1 h 02 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"
