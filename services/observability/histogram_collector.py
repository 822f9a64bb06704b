"""Histogram to which counts per bucket are added, as a custom collector of prometheus_client.

Import this module only when metrics are published: prometheus_client decides at its import whether values are
shared between processes, and BentoML sets that variable while it starts.
"""

import itertools
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, values
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_TYPE = "histogram"


class HistogramCollector(Collector):
    """Histogram that takes many values at once; ``prometheus_client.Histogram`` takes one value per call.

    The numbers are ``values.ValueClass`` objects, as in that class: with several processes these are memory-mapped
    files that /metrics adds up over all processes.
    """

    def __init__(
        self, name: str, documentation: str, bounds: Sequence[float], labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._name, self._documentation, self._label_names = name, documentation, tuple(labels)
        self._bounds = [*map(floatToGoString, bounds), "+Inf"]
        self._series: dict[tuple[str, ...], tuple[list[values.ValueClass], values.ValueClass]] = {}
        if not labels:  # without labels a histogram is exported before its first value
            self._series[()] = self._create_series(())
        registry.register(self)

    def add(self, counts: Sequence[int], total: float, labels: tuple[str, ...]) -> None:
        """Add values that are counted by bucket already.

        Args:
            counts: Values per bucket, not cumulative; the last bucket has no upper bound.
            total: Sum of the values.
            labels: Label values of the series.
        """
        if labels not in self._series:
            self._series[labels] = self._create_series(labels)
        buckets, sum_value = self._series[labels]
        sum_value.inc(total)
        for bucket, count in zip(buckets, counts, strict=True):
            if count:
                bucket.inc(count)

    def collect(self) -> Iterable[Metric]:
        """Collect the histogram for the registry of a single process.

        Yields:
            The metric family.
        """
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._label_names)
        for labels, (buckets, sum_value) in list(self._series.items()):
            cumulative = itertools.accumulate(bucket.get() for bucket in buckets)
            family.add_metric(labels, list(zip(self._bounds, cumulative, strict=True)), sum_value.get())
        yield family

    def _create_series(self, labels: tuple[str, ...]) -> tuple[list[values.ValueClass], values.ValueClass]:
        sum_value = self._create_value("_sum", self._label_names, labels)
        names = (*self._label_names, "le")
        return [self._create_value("_bucket", names, (*labels, bound)) for bound in self._bounds], sum_value

    def _create_value(self, suffix: str, names: tuple[str, ...], labels: tuple[str, ...]) -> values.ValueClass:
        return values.ValueClass(_TYPE, self._name, self._name + suffix, names, labels, self._documentation)
