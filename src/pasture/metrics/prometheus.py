"""The text that Prometheus scrapes, made from totals. Counters start at 0 with the server.

Names follow Prometheus's conventions, times are in seconds. A histogram's counts are of a sketch: a value within
`RELATIVE_ERROR` of a bound may count on its other side.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from pasture.metrics import names
from pasture.metrics.names import Dimensions, Kind, Place
from pasture.metrics.sample import Sample

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_LABELS = ("account", "region", "function", "qualifier", "executed_version")
_RUNNING_LABELS = _LABELS[:-1]
_MAPPING_LABELS = ("account", "region", "mapping")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_PLAIN = (0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)

Totals = Mapping[Place, Mapping[str, Sample]]
Running = Sequence[tuple[tuple[str, str], Dimensions, int]]


def page(totals: Totals, running: Running, account: str | None) -> bytes:
    """Of one account, or of all."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(totals, running, account))
    return generate_latest(registry)


class _Collector:
    def __init__(self, totals: Totals, running: Running, account: str | None) -> None:
        self._totals = {place: by for place, by in totals.items() if account in {None, place.account}}
        self._running = [each for each in running if account in {None, each[0][0]}]

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        told = {name for by in self._totals.values() for name in by}
        for metric in names.METRICS.values():
            if metric.name in told:
                yield self._family(metric)
        yield self._concurrency()

    def _family(self, metric: names.Metric) -> Metric:
        is_time = metric.unit == "Milliseconds"
        name = f"pasture_lambda_{_snake(metric.name)}{'_seconds' if is_time else ''}"
        help_ = f"{metric.name} of AWS/Lambda."
        of_mapping = metric.reach is names.Reach.MAPPING
        labels = _MAPPING_LABELS if of_mapping else _LABELS
        samples = [
            ([place.account, place.region, place.mapping] if of_mapping else _labels(place), by[metric.name])
            for place, by in self._totals.items()
            if metric.name in by
        ]
        if metric.kind is Kind.VALUE:
            bounds, scale = (_SECONDS, 1_000) if is_time else (_PLAIN, 1)
            histogram = HistogramMetricFamily(name, help_, labels=labels)
            for values, sample in samples:
                histogram.add_metric(values, _buckets(sample, bounds, scale), sample.total / scale)
            return histogram
        if metric.kind is Kind.LEVEL:
            gauge = GaugeMetricFamily(name, help_, labels=labels)
            for values, sample in samples:
                gauge.add_metric(values, sample.average)
            return gauge
        counter = CounterMetricFamily(name, help_, labels=labels)
        for values, sample in samples:
            counter.add_metric(values, sample.total)
        return counter

    def _concurrency(self) -> Metric:
        gauge = GaugeMetricFamily(
            "pasture_lambda_concurrent_executions", "Invocations that run now.", labels=_RUNNING_LABELS
        )
        for owner, dimensions, now in self._running:
            known = dict(dimensions)
            gauge.add_metric([*owner, known["FunctionName"], _qualifier(known["Resource"])], now)
        return gauge


def _labels(place: Place) -> list[str]:
    return [place.account, place.region, place.function, _qualifier(place.resource), place.version]


def _qualifier(resource: str) -> str:
    """Empty for what was addressed without one."""
    return resource.partition(":")[2]


def _buckets(sample: Sample, bounds: Sequence[float], scale: int) -> list[tuple[str, float]]:
    return [*((str(float(bound)), sample.at_most(bound * scale)) for bound in bounds), ("+Inf", sample.count)]


def _snake(name: str) -> str:
    """`DeadLetterErrors` as `dead_letter_errors`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
