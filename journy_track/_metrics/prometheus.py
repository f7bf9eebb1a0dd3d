"""The same metrics in Prometheus' format, with the same names, for use without an OpenTelemetry SDK.

The names follow the rules of OpenTelemetry's exporters (specification, "Prometheus and OpenMetrics compatibility");
the text is in Prometheus' exposition format, version 0.0.4.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable

from journy_track._metrics.instruments import BUCKETS, DURATION, Attributes, Instrument, Reading, attributes_of
from journy_track._model.outcomes import JobOutcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Durations:
    """A histogram of request durations, by status and error. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By attributes: the count of each bucket, including one above the last bound, and the total seconds.
        self._counted: dict[tuple[tuple[str, str], ...], tuple[list[int], float]] = {}

    def add(self, seconds: float, outcome: JobOutcome | None) -> None:
        """Record a request that took *seconds* and had this outcome."""
        attributes = attributes_of(outcome)
        if attributes is None:
            return
        key = tuple((name, str(value)) for name, value in attributes.items())
        with self._lock:
            buckets, total = self._counted.get(key, ([0] * (len(BUCKETS) + 1), 0.0))
            buckets[bisect_left(BUCKETS, seconds)] += 1
            self._counted[key] = buckets, total + seconds

    def text(self) -> str:
        """Return the histogram in Prometheus' format."""
        name, unit, description = DURATION
        family = _family(name, unit)
        lines = _head(family, description, "histogram")
        with self._lock:
            counted = [(dict(key), list(buckets), total) for key, (buckets, total) in self._counted.items()]
        for attributes, buckets, total in counted:
            below = 0
            for bound, count in zip((*BUCKETS, "+Inf"), buckets, strict=True):
                below += count
                lines.append(_line(f"{family}_bucket", below, {**attributes, "le": str(bound)}))
            lines.append(_line(f"{family}_count", below, attributes))
            lines.append(_line(f"{family}_sum", total, attributes))
        return _joined(lines)


def text_of(instruments: Iterable[Instrument], reading: Reading) -> str:
    """Return the values of *instruments* in Prometheus' format."""
    lines: list[str] = []
    for instrument in instruments:
        counts = instrument.kind == "counter"
        family = _family(instrument.name, instrument.unit) + ("_total" if counts else "")
        lines += _head(family, instrument.description, "counter" if counts else "gauge")
        lines += [_line(family, value, attributes) for value, attributes in instrument.read(reading)]
    return _joined(lines)


def _family(name: str, unit: str) -> str:
    return name.replace(".", "_") + ("_seconds" if unit == "s" else "")


def _head(family: str, description: str, kind: str) -> list[str]:
    return [f"# HELP {family} {description}", f"# TYPE {family} {kind}"]


def _line(name: str, value: float, attributes: Attributes) -> str:
    labels = ",".join(f'{key.replace(".", "_")}="{_escaped(text)}"' for key, text in attributes.items())
    return f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _joined(lines: list[str]) -> str:
    return "\n".join((*lines, ""))
