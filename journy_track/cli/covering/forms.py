"""The coverage as text, JSON, GitHub annotations and a badge."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.text import Text

from journy_track.cli.cataloguing.forms import annotation
from journy_track.cli.covering.coverage import Coverage, Covered
from journy_track.cli.outside import json_text, styled

_PASSED_BY = "move @track_event below the decorator that registers it"
FORMATS = ("table", "json", "github")
#: The colours of a badge, each from a percentage upwards.
_COLOURS = ((90, "#3a8c0a"), (75, "#7a9a00"), (50, "#b58900"), (0, "#c9372c"))


def as_lines(coverage: Coverage) -> list[Text]:
    """The handlers that track nothing, grouped by file."""
    missing = coverage.missing
    width = min(max((len(one.function) for one in missing), default=0), 30)
    lines = []
    for file, handlers in groupby(missing, key=lambda one: one.file):
        lines.append(styled((file, "bold")))
        lines += [
            styled(
                (f"{one.line:5}", "yellow"),
                f"  {one.kind:7}  {one.function:{width}}  ",
                (_routes(one), "dim"),
                ("  move @track_event down" if one.passed_by else "", "red"),
            )
            for one in handlers
        ]
    return lines


def summary(coverage: Coverage) -> str:
    """The coverage in one sentence."""
    missing, total = len(coverage.missing), len(coverage.counted)
    if not coverage.handlers:
        return "No route, view, task or command is registered here."
    return f"{total - missing} of {total} routes, views, tasks and commands track something: {shown(coverage)}."


def shown(coverage: Coverage) -> str:
    """The percentage, rounded down: 100 % only if all handlers track something."""
    return f"{int(coverage.percent)} %"


def as_json(coverage: Coverage) -> str:
    """The coverage as JSON, for programs."""
    document = {
        "percent": round(coverage.percent, 2),
        "handlers": [
            {
                "kind": one.kind,
                "name": one.name,
                "routes": list(one.routes),
                "file": one.file,
                "line": one.line,
                "tracks": one.by is not None,
                "by": one.by,
                "allowed": one.allowed,
                "problem": _PASSED_BY if one.passed_by else None,
            }
            for one in coverage.handlers
        ],
        "not_looked_into": coverage.elsewhere,
        "unused_patterns": coverage.unused,
        "unread": coverage.unread,
    }
    return json_text(document) + "\n"


def as_github(coverage: Coverage) -> Iterator[str]:
    """The handlers that track nothing, as annotations of a GitHub workflow."""
    for one in coverage.missing:
        routes = f" ({_routes(one)})" if _routes(one) else ""
        why = f": {_PASSED_BY}." if one.passed_by else "."
        yield annotation("warning", f"The {one.kind} {one.name}{routes} tracks nothing{why}", one.file, one.line)
    for file, reason in coverage.unread.items():
        yield annotation("error", reason, file)


def _routes(one: Covered) -> str:
    return ", ".join(route or "/" for route in one.routes if route != one.function)


def as_badge(coverage: Coverage) -> str:
    """The percentage as a self-contained SVG badge in the usual style."""
    label, value = "journy coverage", shown(coverage)
    colour = next(colour for least, colour in _COLOURS if coverage.percent >= least)
    left, right = 6 * len(label) + 12, 7 * len(value) + 12
    middle = left + right / 2

    def text(words: str, x: float, width: int) -> str:
        return f'<text x="{x:g}" y="14" textLength="{width - 12}">{words}</text>'

    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" \
aria-label="{label}: {value}">
<title>{label}: {value}</title>
<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444"/>\
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">
{text(label, left / 2, left)}
{text(value, middle, right)}
</g>
</svg>
"""
