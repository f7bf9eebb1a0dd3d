"""The plot: what one event costs the app's thread, and the targets."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks._report import Report, short
from benchmarks._sections import CAPTURE, DELIVERY, EXIT_DEAD, WALL

OURS, OTHERS = "#1f6feb", "#8c959f"
PANELS = (
    (CAPTURE, WALL, "µs on the calling thread for one event, in a burst", True),
    (DELIVERY, "CPU µs/event", "client CPU, µs for one delivered event", True),
    (EXIT_DEAD, "exit s", "seconds a process takes to end, server dead", False),
)


def plot(report: Report, folder: Path) -> list[Path]:
    """Write `benchmarks.svg` and `benchmarks.png`, and return the paths of the files written."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("no plot: matplotlib is not installed (pip install -e '.[bench]')", file=sys.stderr)
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [panel for panel in PANELS if panel[0] in report.tables]
    if not panels:
        return []
    heights = [len(report.tables[title]) + 1 for title, *_ in panels]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(8, 0.32 * sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for (title, column, caption, logarithmic), (axis,) in zip(panels, axes, strict=True):
        rows = [row for row in report.tables[title] if column in row.figures]
        rows.sort(key=lambda row: row.figures[column].median, reverse=True)
        figures = [row.figures[column] for row in rows]
        medians = [found.median for found in figures]
        spread = [
            [found.median - found.least for found in figures],
            [found.most - found.median for found in figures],
        ]
        colours = [OURS if row.title.startswith("journy_track") else OTHERS for row in rows]
        axis.barh([row.title for row in rows], medians, xerr=spread, color=colours, ecolor="#444", capsize=2)
        if logarithmic:
            axis.set_xscale("log")
        for place, found in enumerate(figures):
            axis.annotate(
                short(found.median), (found.most, place), (4, 0), textcoords="offset points", va="center", fontsize=8
            )
        axis.margins(x=0.12)
        axis.set_title(caption, fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"journy_track, {report.began[:10]}: medians, whiskers from the least to the most", fontsize=9)
    paths = [folder / f"benchmarks.{kind}" for kind in ("svg", "png")]
    for path in paths:
        figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return paths
