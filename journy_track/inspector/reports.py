"""What an app reports about itself: items that it did not send, and warnings from its log."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from journy_track.inspector import rules

MAX_REPORTS = 1000  # reports kept, and reports in one request
MAX_TEXT = 1000  # characters of one text
MAX_VALUES, MAX_VALUE = 40, 300  # values of one report, and characters of each
KINDS = ("dropped", "warning")
TEXTS = ("name", "operation", "reason", "place", "text")


@dataclass(frozen=True, slots=True)
class AppReport:
    """One report. *kind* is `dropped` for an item captured but not sent, `warning` for a line of the app's log."""

    number: int
    after: int  # number of the last request that arrived before it
    received_at: datetime  # aware, UTC
    kind: Literal["dropped", "warning"]
    at: str | None  # when it was captured or logged, as the app sent it
    name: str  # the event's name; for another item or a warning, whatever is known
    operation: str
    reason: str  # the reason under which the app counts it; empty for a warning
    place: str  # file and line in the app's code; empty if unknown
    text: str  # a sentence that includes the remedy
    values: Mapping[str, Any] = field(default_factory=dict)  # only in the app's debug mode


class AppReports:
    """The newest reports. The inspector's state guards them."""

    def __init__(self) -> None:
        self.kept: deque[AppReport] = deque(maxlen=MAX_REPORTS)
        self.number: int = 0

    def add(self, sent: list[Mapping[str, Any]], after: int, received_at: datetime) -> None:
        """Store *sent*, which `report_errors` has already checked."""
        for one in sent:
            self.number += 1
            texts = {name: one.get(name, "")[:MAX_TEXT] for name in TEXTS}
            values = {_brief(key): _brief(value) for key, value in list(one.get("values", {}).items())[:MAX_VALUES]}
            self.kept.append(
                AppReport(self.number, after, received_at, one["kind"], one.get("at"), **texts, values=values)
            )

    def newer(self, number: int) -> list[AppReport]:
        """The stored reports with numbers above *number*, oldest first."""
        return [report for report in self.kept if report.number > number]


def _brief(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_VALUE]
    return value if isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) < 1e100) else "…"


def report_errors(body: Any) -> rules.Errors:
    """The invalid fields, each with the reason."""
    sent = body.get("reports") if isinstance(body, dict) else None
    if not isinstance(sent, list) or not 1 <= len(sent) <= MAX_REPORTS:
        return {"reports": f"Expected a list of 1 to {MAX_REPORTS} reports."}
    errors: rules.Errors = {}
    for place, one in enumerate(sent):
        if not isinstance(one, dict):
            errors[f"reports.{place}"] = f"Expected an object but found {rules.a_kind(one)}."
            continue
        if one.get("kind") not in KINDS:
            errors[f"reports.{place}.kind"] = f"Expected one of {', '.join(KINDS)}."
        for name in TEXTS:
            if not isinstance(one.get(name, ""), str):
                errors[f"reports.{place}.{name}"] = f"Expected a string but found {rules.a_kind(one[name])}."
        if one.get("at") is not None and (wrong := rules.moment("at", one["at"])):
            errors[f"reports.{place}.at"] = wrong["at"]
        if not isinstance(one.get("values", {}), dict):
            errors[f"reports.{place}.values"] = f"Expected an object but found {rules.a_kind(one['values'])}."
    return errors
