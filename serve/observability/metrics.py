"""The `sluice_` metrics in a Prometheus registry."""

from collections.abc import Callable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from serve.observability.metric_table import EVENTS, READINGS, Event, Reading, Sources


class Metrics:
    """One per registry: Prometheus refuses a second metric of the same name."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry  # the default one holds vLLM's own metrics, names unchanged
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for event in EVENTS:
            self._register(event)
        self._readings = _Readings()
        registry.register(self._readings)

    def _register(self, event: Event) -> None:
        if event.kind == "histogram":
            self._histograms[event.name] = Histogram(
                event.name, event.help, buckets=event.buckets, registry=self.registry
            )
            return
        counter = Counter(event.name, event.help, event.labels, registry=self.registry)
        for values in event.start:  # a series that appears with its first event has no rate for it
            counter.labels(*values)
        self._counters[event.name] = counter

    def count(self, event: Event, *labels: str, by: float = 1) -> None:
        """Count an event under the values of its labels; from any thread."""
        counter = self._counters[event.name]
        (counter.labels(*labels) if labels else counter).inc(by)

    def observe(self, event: Event, value: float) -> None:
        """Add a value to a histogram."""
        self._histograms[event.name].observe(value)

    def read_from(self, source: Callable[[], Sources]) -> None:
        """Read gauges from `source` with each scrape, on the thread that scrapes."""
        self._readings.source = source


class _Readings(Collector):
    """The table's readings; nothing is exported while there is no source."""

    def __init__(self) -> None:
        self.source: Callable[[], Sources] | None = None

    def describe(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The families without values, so that a name is never registered twice."""
        return map(_family, READINGS)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Every reading of one snapshot."""
        if self.source is None:
            return
        sources = self.source()
        for reading in READINGS:
            family = _family(reading)
            for value, number in reading.values(sources).items():
                family.add_metric([value] if reading.labels else [], number)
            yield family


def _family(reading: Reading) -> CounterMetricFamily | GaugeMetricFamily:
    family = CounterMetricFamily if reading.kind == "counter" else GaugeMetricFamily
    return family(reading.name, reading.help, labels=reading.labels)
