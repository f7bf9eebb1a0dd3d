"""`pytest --journy-coverage`: reports which events in the code no test asserted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from journy_track.cli.cataloguing.found import CatalogEntry
from journy_track.cli.cataloguing.reading import is_test_file, read


@dataclass(frozen=True, slots=True)
class Asserted:
    """The events that the code tracks, and the names that tests asserted.

    *least* is the required percentage; `None` accepts any.
    """

    events: tuple[CatalogEntry, ...]
    names: Collection[str]
    least: float | None

    @classmethod
    def read(cls, folder: Path, names: Collection[str], least: float | None) -> Asserted:
        """Read the events of the code in *folder*, without its tests and without names that are made at run time."""
        events = read([folder]).entries()
        events = [one for one in events if not all(is_test_file(place.file) for place in one.places)]
        return cls(tuple(events), names, least)

    @property
    def missing(self) -> list[CatalogEntry]:
        return [one for one in self.events if one.name not in self.names]

    @property
    def percent(self) -> float:
        return 100 * (len(self.events) - len(self.missing)) / len(self.events) if self.events else 100.0

    @property
    def enough(self) -> bool:
        return self.least is None or self.percent >= self.least

    def lines(self) -> Iterator[str]:
        """Each event that no test asserted, with the first place that tracks it."""
        missing = self.missing
        width = max((len(one.name) for one in missing), default=0)
        for one in missing:
            place = next(place for place in one.places if not is_test_file(place.file))
            yield f"{one.name:{width}}  {place.file}:{place.line}"

    def summary(self) -> str:
        asserted = len(self.events) - len(self.missing)
        verdict = "" if self.enough else f" That is less than --journy-coverage-fail-under {self.least:g}."
        return f"Tests asserted {asserted} of {len(self.events)} events: {int(self.percent)} %.{verdict}"
