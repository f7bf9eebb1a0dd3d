"""Providers of the real SDK, and a process in which nothing has been instrumented yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from journy_track import _runtime
from journy_track._metrics import opentelemetry


@pytest.fixture(autouse=True)
def _nothing_instrumented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opentelemetry, "_meters", opentelemetry._Meters())
    monkeypatch.setattr(_runtime._global, "followers", [])


class Seen:
    """What one provider's reader collects, by metric name."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        found = [metric for some in resources for scope in some.scope_metrics for metric in scope.metrics]
        assert len({metric.name for metric in found}) == len(found), "a metric is there twice"
        return {metric.name: metric for metric in found}

    def points(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of a metric by its attribute values."""
        metric = self.metrics().get(name)
        points = [] if metric is None else metric.data.data_points
        return {tuple(map(str, point.attributes.values())): point.value for point in points}

    def value(self, name: str) -> float | None:
        """Return the value of a metric without attributes."""
        return self.points(name).get(())


@pytest.fixture
def make_provider() -> Iterator[Callable[[], Seen]]:
    made: list[Seen] = []

    def make() -> Seen:
        made.append(seen := Seen())
        return seen

    yield make
    for seen in made:
        seen.provider.shutdown()


@pytest.fixture
def seen(make_provider: Callable[[], Seen]) -> Seen:
    return make_provider()
