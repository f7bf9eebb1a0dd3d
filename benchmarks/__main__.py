"""Compare this library with its peers, and with what is physically possible, on this machine.

    python -m benchmarks [--quick] [--output FOLDER] [--only SECTION …]

Needs the peers: `pip install -e '.[bench]'`. Each measurement runs in a fresh process. The rounds of a section are
interleaved, in a different order each time, and each figure is printed as the median with the minimum and maximum.
Targets are ratios of figures from the same round, so that the machine's speed cancels out. The quick run takes at
most 3 minutes and the full run 15: a section that has used up its time stops after a complete round and reports how
many rounds it ran. Nothing leaves this machine.

Writes into FOLDER (`benchmark-results`): `results.txt`, `results.json`, `results.md` (for
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
    """Measure, print and write the results."""
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
