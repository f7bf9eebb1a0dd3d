"""This library beside its peers and beside what is physically possible, on this machine.

    python -m benchmarks [--quick] [--output FOLDER] [--only SECTION …]

Needs the peers: `pip install -e '.[bench]'`. Each measurement is a fresh process; the rounds of one section run in
turn, in another order each time, and what is printed is the median with the least and the most. Targets are ratios of
figures of one round, so that the machine falls out. The quick run takes at most 3 minutes, the full one 15: a section
whose time is over stops after a whole round, and says how many there were. Everything stays on this machine.

Written into FOLDER (`benchmark-results`): `results.txt`, `results.json`, `results.md` (for
docs/explanations/benchmarks.md), and the plot as SVG and PNG.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks._plot import plot
from benchmarks._report import Report
from benchmarks._sections import SECTIONS, Plan


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, within 3 minutes")
    parser.add_argument("--output", type=Path, default=Path("benchmark-results"), help="folder for what is written")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    options = parser.parse_args()
    report = Report(quick=options.quick)
    plan = Plan(quick=options.quick)
    for name in options.only:
        print(f"{name} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        SECTIONS[name](plan, report)
        report.seconds[name] = round(time.monotonic() - began, 1)
    options.output.mkdir(parents=True, exist_ok=True)
    text = report.text()
    print(text)
    (options.output / "results.txt").write_text(text + "\n")
    (options.output / "results.md").write_text(report.markdown() + "\n")
    (options.output / "results.json").write_text(report.json() + "\n")
    for path in plot(report, options.output):
        print(f"written: {path}")


if __name__ == "__main__":
    main()
