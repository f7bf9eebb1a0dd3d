"""The tracker's own statistics as OpenTelemetry metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from journy_track import _runtime
from journy_track._metrics.instruments import BUCKETS, DURATION, INSTRUMENTS, Instrument, attributes_of
from journy_track._metrics.reading import Readings
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.forks import configuring
from journy_track._model.once import warn_once
from journy_track._model.outcomes import JobOutcome
from journy_track._tracker import Tracker
from journy_track._version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation


def instrument_metrics(meter_provider: MeterProvider | None = None) -> None:
    """Export the values of `stats()` and `health()` as OpenTelemetry metrics: `journy.sdk.queue.size` and others.

        journy_track.configure()
        journy_track.instrument_metrics()

    *meter_provider* defaults to the global provider, which may be set later. Only the API package is required;
    without an SDK, nothing is read. It can be called before or after `configure()`: the metrics are those of the
    current tracker, and counts continue when another tracker replaces it. A second call for the same provider does
    nothing. A forked child counts from zero. Raises `InvalidArgument` if *meter_provider* has no ``get_meter``.

    The names, units and attributes are documented in ``docs/guides/observability.md``.
    """
    from opentelemetry import metrics

    shared = metrics.get_meter_provider()
    provider: Any = shared if meter_provider is None else meter_provider
    if not callable(getattr(provider, "get_meter", None)):
        raise InvalidArgument(
            f"meter_provider must be an OpenTelemetry MeterProvider, got {described(provider)}; leave it out for the "
            "global one"
        )
    with configuring:
        if any(provider is known for known in _meters.providers) or (provider is shared and _meters.has_global):
            return
        _meters.has_global |= provider is shared
        _meters.add(provider)


class _Meters:
    """The instrumented providers."""

    def __init__(self) -> None:
        self.providers: list[Any] = []
        #: Whether the global provider is one of them: it may be a proxy, and a different object later.
        self.has_global = False
        self._readings = Readings()
        self._histograms: tuple[Histogram, ...] = ()

    def add(self, provider: MeterProvider) -> None:
        if not self.providers:
            _runtime.follow(self._follow)
        self.providers.append(provider)
        meter = provider.get_meter("journy_track", __version__)
        make = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }
        for instrument in INSTRUMENTS:
            make[instrument.kind](
                instrument.name, [_callback(instrument, self._readings)], instrument.unit, instrument.description
            )
        self._histograms = (*self._histograms, _histogram(meter))

    def _follow(self, tracker: Tracker | None) -> None:
        self._readings.follow(tracker)
        if tracker is not None:
            tracker._time_requests(self._record)

    def _record(self, seconds: float, outcome: JobOutcome | None) -> None:
        try:
            attributes = attributes_of(outcome)
            if attributes is not None:
                for histogram in self._histograms:
                    histogram.record(seconds, attributes)
        except Exception as error:  # noqa: BLE001 - delivery goes on
            _log(error)


_meters = _Meters()


def _callback(instrument: Instrument, readings: Readings) -> Callable[[CallbackOptions], Iterable[Observation]]:
    from opentelemetry.metrics import Observation

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        try:
            reading = readings.read(instrument.name)
            return [Observation(value, attributes) for value, attributes in instrument.read(reading)]
        except Exception as error:  # noqa: BLE001 - a scrape of the app's own metrics goes on
            _log(error)
            return ()

    return observe


def _histogram(meter: Meter) -> Histogram:
    name, unit, description = DURATION
    try:
        return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=BUCKETS)
    except TypeError:  # an older API without the advisory parameter: a view can set the boundaries
        return meter.create_histogram(name, unit, description)


def _log(error: Exception) -> None:
    warn_once("metrics", "the metrics of journy_track could not be read or recorded: %s", type(error).__name__)
