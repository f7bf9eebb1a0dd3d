"""The results, as tables and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks._peers import PEERS

PACKAGES = ("journy-track", "wrapt", "requests", "urllib3", "opentelemetry-api")


@dataclass(frozen=True)
class Figure:
    """A median, with the minimum and maximum of its rounds."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: list[float]) -> Figure:
        """Build the figure from the values of several rounds."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        spread = "" if self.rounds == 1 else f" [{short(self.least)}-{short(self.most)}]"
        return short(self.median) + spread


@dataclass(frozen=True)
class Row:
    """One line of a table: its setup, and its figures by column."""

    title: str
    setup: str
    figures: dict[str, Figure]
    note: str = ""


@dataclass(frozen=True)
class Goal:
    """A figure of ours and its target: *most* or *least* is the promised bound."""

    title: str
    figure: Figure
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool:
        """Whether the median is within the target."""
        return (self.most is None or self.figure.median <= self.most) and (
            self.least is None or self.figure.median >= self.least
        )

    @property
    def target(self) -> str:
        """The target in words."""
        return f"at most {short(self.most)}" if self.most is not None else f"at least {short(self.least or 0.0)}"


@dataclass
class Report:
    """The results, filled in section by section."""

    quick: bool
    tables: dict[str, list[Row]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    #: What could not be measured, and why.
    failed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="minutes"))
    load_at_start: float = field(default_factory=lambda: os.getloadavg()[0])

    def text(self) -> str:
        """Return the tables, then the targets, as plain text."""
        lines = [*self._machine(), ""]
        for title, rows in self.tables.items():
            columns = list(dict.fromkeys(column for row in rows for column in row.figures))
            cells = [["", *columns], *([row.title, *(str(row.figures.get(c, "–")) for c in columns)] for row in rows)]
            widths = [max(len(line[i]) for line in cells) for i in range(len(columns) + 1)]
            rounds = {figure.rounds for row in rows for figure in row.figures.values()}
            span = f"{min(rounds)}-{max(rounds)}" if len(rounds) > 1 else str(*rounds)
            lines.append(f"── {title} (rounds: {span})")
            for line, row in zip(cells, [None, *rows], strict=True):
                padded = [f"{line[0]:{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True))]
                notes = "" if row is None else "; ".join(filter(None, (row.setup, row.note)))
                lines.append(("  ".join(padded) + "  " + notes).rstrip())
            lines.append("")
        if self.goals:
            lines.append("── Targets")
            width = max(len(goal.title) for goal in self.goals)
            for goal in self.goals:
                lines.append(
                    f"{'met   ' if goal.met else 'MISSED'}  {goal.title:{width}}  {goal.target:>14}  {goal.figure}"
                )
        lines += ["", *(f"not measured: {why}" for why in self.failed)]
        return "\n".join(lines).rstrip()

    def markdown(self) -> str:
        """Return the text for docs/explanations/benchmarks.md: the targets, and each table that includes peers."""
        lines = [*(f"{line}." for line in self._machine()[:3]), ""]
        for title, rows in self.tables.items():
            columns = list(dict.fromkeys(column for row in rows for column in row.figures))
            lines += [f"**{title}**", "", _row("", *columns, "how"), _row(*["---"] * (len(columns) + 2))]
            for row in rows:
                how = "; ".join(filter(None, (row.setup, row.note)))
                lines.append(_row(row.title, *(str(row.figures.get(column, "–")) for column in columns), how))
            lines.append("")
        lines += ["**Targets**", "", _row("ratios within one run", "target", "measured"), _row(*["---"] * 3)]
        for goal in self.goals:
            missed = "" if goal.met else " **missed**"
            lines.append(_row(goal.title, goal.target, f"{goal.figure}{missed}"))
        return "\n".join(lines)

    def _machine(self) -> list[str]:
        return [
            f"{self.began}, {'quick run' if self.quick else 'full run'}: {sum(self.seconds.values()):.0f} s",
            (
                f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}, {cpu()}, "
                f"{os.cpu_count()} CPUs; load {self.load_at_start:.1f} before, {os.getloadavg()[0]:.1f} after"
            ),
            ", ".join(f"{name} {number}" for name, number in versions().items()),
            "medians [least-most]; seconds of the sections: "
            + ", ".join(f"{name} {seconds:.0f}" for name, seconds in self.seconds.items()),
        ]

    def json(self) -> str:
        """Return the report as JSON, for programs."""
        document = {
            "began": self.began,
            "quick": self.quick,
            "seconds": self.seconds,
            "python": platform.python_version(),
            "system": platform.platform(),
            "cpu": cpu(),
            "cpus": os.cpu_count(),
            "load": [self.load_at_start, os.getloadavg()[0]],
            "versions": versions(),
            "tables": {title: [asdict(row) for row in rows] for title, rows in self.tables.items()},
            "targets": [{**asdict(goal), "met": goal.met, "target": goal.target} for goal in self.goals],
            "failed": self.failed,
        }
        return json.dumps(document, indent=2)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def short(number: float) -> str:
    """Format a number with three significant digits."""
    if abs(number) >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def versions() -> dict[str, str]:
    """Return the version of each package involved, if it is installed."""
    found = {}
    for package in dict.fromkeys((*PACKAGES, *(peer.package for peer in PEERS.values()))):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def cpu() -> str:
    """Return the processor's model name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
