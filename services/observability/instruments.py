"""Counters, histograms and gauges that are buffered in memory and published to Prometheus apart from requests.

The values of the Prometheus client are memory-mapped files: adding to these within a request costs more than its
prediction.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.core.types import Floats

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge

    from services.observability.histogram_collector import HistogramCollector

_NAMESPACE = "holdfast"


class BufferedCounter:
    """Counter that is buffered in memory."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._buffer: dict[tuple[str, ...], float] = {}
        self._total = 0.0
        self._lock = threading.Lock()
        self._counter: Counter | None = None

    def add(self, *labels: str, amount: float = 1) -> None:
        """Add to one series.

        Args:
            *labels: Label values of the series.
            amount: Amount to add.
        """
        with self._lock:
            self._buffer[labels] = self._buffer.get(labels, 0) + amount

    def set_total(self, total: float) -> None:
        """Add the increase of a count that another object holds; a lower total means that it restarted from 0.

        Args:
            total: Current value of that count.
        """
        self.add(amount=total - (self._total if total >= self._total else 0))
        self._total = total

    def publish(self) -> None:
        """Move the buffered amounts to Prometheus."""
        from prometheus_client import Counter

        if self._counter is None:
            self._counter = Counter(self._name, self._documentation, self._labels, namespace=_NAMESPACE)
        with self._lock:
            buffer, self._buffer = self._buffer, {}
        for labels, amount in buffer.items():
            (self._counter.labels(*labels) if labels else self._counter).inc(amount)

    def clear(self) -> None:
        """Discard what is not published yet."""
        with self._lock:
            self._buffer, self._total = {}, 0.0


class BufferedHistogram:
    """Histogram that is buffered in memory."""

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._bounds = list(bounds)
        self._buffer: dict[tuple[str, ...], list[Any]] = {}
        self._lock = threading.Lock()
        self._histogram: HistogramCollector | None = None

    def observe(self, value: float, *labels: str) -> None:
        """Add one value.

        Args:
            value: Value to add.
            *labels: Label values of the series.
        """
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            series = self._series(labels)
            series[0][bucket] += 1
            series[1] += value

    def observe_all(self, values: Floats, *labels: str) -> None:
        """Add many values.

        Args:
            values: Values to add, shape (n,).
            *labels: Label values of the series.
        """
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._bounds) + 1).tolist()
        with self._lock:
            series = self._series(labels)
            series[0] = [old + new for old, new in zip(series[0], counts, strict=True)]
            series[1] += float(values.sum())

    def _series(self, labels: tuple[str, ...]) -> list[Any]:
        return self._buffer.setdefault(labels, [[0] * (len(self._bounds) + 1), 0.0])

    def publish(self) -> None:
        """Move the buffered values to Prometheus."""
        from prometheus_client import REGISTRY

        from services.observability.histogram_collector import HistogramCollector

        if self._histogram is None:
            name = f"{_NAMESPACE}_{self._name}"
            self._histogram = HistogramCollector(name, self._documentation, self._bounds, self._labels, REGISTRY)
        with self._lock:
            buffer, self._buffer = self._buffer, {}
        for labels, (counts, total) in buffer.items():
            self._histogram.add(counts, total, labels)

    def clear(self) -> None:
        """Discard what is not published yet."""
        with self._lock:
            self._buffer = {}


class BufferedGauge:
    """Gauge with one value per series; it is not exported before its first value.

    Args:
        name: Name without the namespace.
        documentation: Help text.
        labels: Label names.
        mode: How prometheus_client combines the values of several processes.
    """

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = (), mode: Any = "livemax") -> None:
        self._name, self._documentation, self._labels, self._mode = name, documentation, labels, mode
        self._values: dict[tuple[str, ...], float] = {}
        self._gauge: Gauge | None = None

    def set(self, value: float, *labels: str) -> None:
        """Set the value of one series.

        Args:
            value: New value.
            *labels: Label values of the series.
        """
        self._values[labels] = value

    def replace(self, value: float, *series: tuple[str, ...]) -> None:
        """Set the value of some series, and 0 for all others.

        Args:
            value: New value.
            *series: Label values of each series.
        """
        self._values = dict.fromkeys(self._values, 0.0) | dict.fromkeys(series, value)

    def clear(self) -> None:
        """Set every series to 0."""
        self._values = dict.fromkeys(self._values, 0.0)

    def publish(self) -> None:
        """Copy the values to Prometheus."""
        from prometheus_client import Gauge

        if not self._values:
            return
        if self._gauge is None:
            self._gauge = Gauge(
                self._name, self._documentation, self._labels, namespace=_NAMESPACE, multiprocess_mode=self._mode
            )
        for labels, value in list(self._values.items()):
            (self._gauge.labels(*labels) if labels else self._gauge).set(value)
