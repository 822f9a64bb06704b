"""Counters, histograms and gauges that a request adds to in memory, and that are carried over to Prometheus apart.

The values of the Prometheus client are memory-mapped files: adding to them costs a request more than its prediction.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.core.types import Floats

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_NAMESPACE = "holdfast"


class BufferedCounter:
    """A counter that is added to in memory."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._added: dict[tuple[str, ...], float] = {}
        self._reached = 0.0
        self._lock = threading.Lock()
        self._counter: Counter | None = None

    def add(self, *labels: str, amount: float = 1) -> None:
        """Add ``amount`` to the series of ``labels``."""
        with self._lock:
            self._added[labels] = self._added.get(labels, 0) + amount

    def reached(self, total: float) -> None:
        """Add what is missing to ``total``, for a number that somebody else counts, perhaps anew."""
        self.add(amount=total - (self._reached if total >= self._reached else 0))
        self._reached = total

    def publish(self) -> None:
        """Carry over to Prometheus what was added since."""
        from prometheus_client import Counter

        if self._counter is None:
            self._counter = Counter(self._name, self._documentation, self._labels, namespace=_NAMESPACE)
        with self._lock:
            added, self._added = self._added, {}
        for labels, amount in added.items():
            (self._counter.labels(*labels) if labels else self._counter).inc(amount)


class BufferedHistogram:
    """A histogram that is added to in memory."""

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._bounds = list(bounds)
        self._added: dict[tuple[str, ...], list[Any]] = {}
        self._lock = threading.Lock()
        self._histogram: Histogram | None = None

    def observe(self, value: float, *labels: str) -> None:
        """Add one value."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            added = self._series(labels)
            added[0][place] += 1
            added[1] += value

    def observe_all(self, values: Floats, *labels: str) -> None:
        """Add many values."""
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._bounds) + 1).tolist()
        with self._lock:
            added = self._series(labels)
            added[0] = [old + new for old, new in zip(added[0], counts, strict=True)]
            added[1] += float(values.sum())

    def _series(self, labels: tuple[str, ...]) -> list[Any]:
        return self._added.setdefault(labels, [[0] * (len(self._bounds) + 1), 0.0])

    def publish(self) -> None:
        """Carry over to Prometheus what was added since."""
        from prometheus_client import Histogram

        if self._histogram is None:
            self._histogram = Histogram(
                self._name, self._documentation, self._labels, namespace=_NAMESPACE, buckets=self._bounds
            )
        with self._lock:
            added, self._added = self._added, {}
        for labels, (counts, total) in added.items():
            series: Any = self._histogram.labels(*labels) if labels else self._histogram
            # The client takes values one by one; these are the numbers it would add them to.
            series._sum.inc(total)
            for bucket, count in zip(series._buckets, counts, strict=True):
                if count:
                    bucket.inc(count)


class BufferedGauge:
    """A gauge: one number, or one per label; none before it is known.

    ``mode`` says how several workers' numbers become one.
    """

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = (), mode: Any = "livemax") -> None:
        self._name, self._documentation, self._labels, self._mode = name, documentation, labels, mode
        self._values: dict[tuple[str, ...], float] = {}
        self._gauge: Gauge | None = None

    def set(self, value: float, *labels: str) -> None:
        """The number now."""
        self._values[labels] = value

    def set_only(self, value: float, *labels: str) -> None:
        """The number now; the series of all other labels are 0."""
        self._values = dict.fromkeys(self._values, 0.0) | {labels: value}

    def set_all(self, value: float, series: Iterable[tuple[str, ...]]) -> None:
        """The number of each of these series now; those of all other labels are 0."""
        self._values = dict.fromkeys(self._values, 0.0) | dict.fromkeys(series, value)

    def clear(self) -> None:
        """Every series is 0 now."""
        self._values = dict.fromkeys(self._values, 0.0)

    def publish(self) -> None:
        """Carry the numbers over to Prometheus."""
        from prometheus_client import Gauge

        if not self._values:
            return
        if self._gauge is None:
            self._gauge = Gauge(
                self._name, self._documentation, self._labels, namespace=_NAMESPACE, multiprocess_mode=self._mode
            )
        for labels, value in list(self._values.items()):
            (self._gauge.labels(*labels) if labels else self._gauge).set(value)
