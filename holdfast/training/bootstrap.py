"""95% intervals from a bootstrap over customers (Field and Welsh, 2007).

A customer's rows at several cut-offs are not independent, so whole customers are drawn. Two models compared on the
same draws give the interval of their difference.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.core.types import Bools, Floats
from holdfast.training.evaluation_report import Interval

CALIBRATION_BINS = 10
_CHUNK = 10  # few enough to stay in the processor's cache
_CELLS = 4_000_000  # of an array of some resamples by all rows: 32 MB of float64


class CustomerBootstrap:
    """Resamples of customers: how often each row counts in each of them.

    A byte is kept per customer and resample. What is as long as the rows is made for some resamples at a time: a month
    of requests has thirty rows of a customer.
    """

    def __init__(self, customers: Sequence[str] | npt.NDArray[Any], resamples: int, seed: int) -> None:
        codes, known = pd.factorize(np.asarray(customers, dtype=object))
        self._codes, self._customers = codes, len(known)
        self.resamples, self._seed = resamples, seed

    @cached_property
    def _counts(self) -> npt.NDArray[np.uint8]:
        """How often each customer is drawn, shape (resamples, customers)."""
        generator = np.random.default_rng(self._seed)
        counts = np.empty((self.resamples, self._customers), dtype=np.uint8)
        for row in counts:
            drawn = generator.integers(0, self._customers, self._customers)
            row[:] = np.bincount(drawn, minlength=self._customers)
        return counts

    @property
    def weights(self) -> npt.NDArray[np.uint8]:
        """How often each row is drawn, shape (resamples, rows), all at once: see :meth:`weight_chunks`."""
        return self._counts.take(self._codes, axis=1)

    def subset(self, rows: Bools) -> "CustomerBootstrap":
        """The same resamples of some of the rows, ``rows`` of shape (rows,)."""
        part = copy(self)
        part._counts, part._codes = self._counts, self._codes[rows]  # drawn once for all parts
        return part

    def weight_chunks(self, order: npt.NDArray[np.intp] | None = None) -> Iterator[Floats]:
        """The weights as float64, some resamples at a time, the rows in ``order``."""
        step = chunk_size(_CHUNK, len(self._codes))
        for start in range(0, self.resamples, step):
            part = self._counts[start : start + step]
            # One is ordered by rows, the other by resamples: what sums them up rounds accordingly.
            yield (part.take(self._codes, axis=1) if order is None else part[:, self._codes[order]]).astype(np.float64)


def chunk_size(most: int, rows: int) -> int:
    """Of how many resamples arrays (resamples, rows) are made at once: ``most``, or fewer of many rows."""
    return max(1, min(most, _CELLS // max(rows, 1)))


def percentile_interval(value: float, draws: Floats) -> Interval:
    """``value`` with the 2.5th and 97.5th percentile of ``draws``; draws that could not be computed are left out.

    A value of which most draws cannot be computed (a slice of one class) has no interval: its ends are NaN.
    """
    usable = draws[np.isfinite(draws)]
    if len(usable) < len(draws) / 2:
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.percentile(usable, [2.5, 97.5])
    return Interval(value=float(value), low=float(low), high=float(high))


def roc_auc_draws(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> Floats:
    """ROC-AUC of each resample, ties counted half; shape (resamples,). NaN where a resample has one class."""

    def auc(positive: Floats, negative: Floats) -> Floats:
        below = np.cumsum(negative, axis=1)
        below -= negative / 2
        return np.einsum("ij,ij->i", positive, below) / (positive.sum(axis=1) * negative.sum(axis=1))

    return _ranked(churned, scores, bootstrap, auc)


def pr_auc_draws(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> Floats:
    """Average precision of each resample, shape (resamples,)."""

    def average_precision(positive: Floats, negative: Floats) -> Floats:
        found = np.cumsum(positive, axis=1)
        called = found + np.cumsum(negative, axis=1)
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return (positive * precision).sum(axis=1) / positive.sum(axis=1)

    return _ranked(churned, -scores, bootstrap, average_precision)


def mean_draws(values: Floats, bootstrap: CustomerBootstrap) -> Floats:
    """The mean of a per-row value in each resample, shape (resamples,)."""
    return np.concatenate([weights @ values / weights.sum(axis=1) for weights in bootstrap.weight_chunks()])


def calibration_error_draws(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> Floats:
    """Expected calibration error of each resample over the same bins, shape (resamples,)."""
    bins = calibration_bins(scores)
    surplus = np.zeros((len(scores), bins.max() + 1))
    surplus[np.arange(len(scores)), bins] = churned - scores
    return np.concatenate([np.abs(w @ surplus).sum(axis=1) / w.sum(axis=1) for w in bootstrap.weight_chunks()])


def calibration_bins(scores: Floats) -> npt.NDArray[np.intp]:
    """Ten bins of equally many rows; equal scores share a bin."""
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]))
    return np.searchsorted(edges, scores, side="right")


def expected_calibration_error(churned: Bools, scores: Floats) -> float:
    """Mean distance of predicted from observed churn over ten bins of equally many rows (Naeini et al., 2015)."""
    bins = calibration_bins(scores)
    return float(np.abs(np.bincount(bins, weights=churned - scores)).sum() / len(scores))


def _ranked(
    churned: Bools, scores: Floats, bootstrap: CustomerBootstrap, measure: Callable[[Floats, Floats], Floats]
) -> Floats:
    """``measure`` of the weights of churners and others at each distinct score, ascending."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    churn = churned[order].astype(np.float64)
    draws = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for weights in bootstrap.weight_chunks(order):
            positive = weights * churn
            negative = weights - positive
            if len(starts) < len(order):
                positive, negative = (np.add.reduceat(part, starts, axis=1) for part in (positive, negative))
            draws.append(measure(positive, negative))
    return np.concatenate(draws)
