"""95% intervals from a bootstrap over customers and months (Owen, 2007: the pigeonhole bootstrap).

A customer's rows at several cut-offs are not independent, and neither are the rows of one month: whole customers and
whole months are drawn, each with replacement, and a row counts the product of both. Rows of one month need the draws
of the customers only (Field and Welsh, 2007). The scores of two models on the same draws give the interval of their
difference. A few months give a rough interval: it covers their spread, not more than that.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.core.types import Bools, Floats
from holdfast.training.evaluation_report import Interval

_CALIBRATION_BINS = 10
_CHUNK = 10  # resamples at a time, which fit into the processor's cache
_CELLS = 4_000_000  # of an array (resamples of a chunk, rows): 32 MB of float64


class CustomerBootstrap:
    """Resamples of customers, and of months where given, as the weight of each row in each resample.

    Counts take one byte per customer and resample. Arrays as long as the rows are made in chunks of resamples: a month
    of requests has thirty rows per customer.

    Args:
        customers: Customer of each row, shape (rows,).
        resamples: Number of resamples.
        seed: Seed of the draws.
        months: Month of each row, shape (rows,), drawn independently of the customers; None for rows of one month.
    """

    def __init__(
        self,
        customers: Sequence[str] | npt.NDArray[Any],
        resamples: int,
        seed: int,
        months: Sequence[Any] | pd.Series | None = None,
    ) -> None:
        codes, known = pd.factorize(np.asarray(customers, dtype=object))
        self._codes, self._customers = codes, len(known)
        self._month_codes: npt.NDArray[np.intp] | None = None
        if months is not None:
            self._month_codes, known_months = pd.factorize(pd.Series(months))
            self._months = len(known_months)
        self.resamples, self._seed = resamples, seed

    @cached_property
    def _counts(self) -> npt.NDArray[np.uint8]:
        """Count the draws of each customer, shape (resamples, customers)."""
        generator = np.random.default_rng(self._seed)
        counts = np.empty((self.resamples, self._customers), dtype=np.uint8)
        for row in counts:
            drawn = generator.integers(0, self._customers, self._customers)
            row[:] = np.bincount(drawn, minlength=self._customers)
        return counts

    @cached_property
    def month_counts(self) -> npt.NDArray[np.uint8]:
        """Count the draws of each month in the order of the rows, shape (resamples, months)."""
        generator = np.random.default_rng([self._seed, self._months])
        # One draw fewer than months: the variance of a mean is then not too small (McCarthy and Snowden, 1985).
        number = max(1, self._months - 1)
        drawn = generator.multinomial(number, np.full(self._months, 1 / self._months), size=self.resamples)
        return drawn.astype(np.uint8)

    @property
    def weights(self) -> npt.NDArray[np.uint8]:
        """Return the customer's draws of each row, shape (resamples, rows); :meth:`weight_chunks` takes less memory."""
        return self._counts.take(self._codes, axis=1)

    def subset(self, rows: Bools) -> "CustomerBootstrap":
        """Select rows of the same resamples.

        Args:
            rows: True for the rows to select, shape (rows,).

        Returns:
            The same draws for the selected rows.
        """
        part = copy(self)
        part._counts, part._codes = self._counts, self._codes[rows]  # drawn once for all subsets
        if self._month_codes is not None:
            part.month_counts, part._month_codes = self.month_counts, self._month_codes[rows]
        return part

    def one_month(self, rows: Bools) -> "CustomerBootstrap":
        """Select rows of one month of the same resamples of customers; months are not drawn.

        Args:
            rows: True for the rows to select, shape (rows,).

        Returns:
            The same draws of customers for the selected rows.
        """
        part = self.subset(rows)
        part._month_codes = None
        return part

    def weighted_sums(self, values: Floats) -> Floats:
        """Sum values per row with the weights of each resample.

        Rows of one customer and month have one weight, so their values are summed once for all resamples.

        Args:
            values: Values, shape (rows, columns).

        Returns:
            Sums, shape (resamples, columns).
        """
        columns = values.shape[1]
        single = self._month_codes is None
        months = np.ones((self.resamples, 1)) if single else self.month_counts.astype(np.float64)
        cells = self._codes if self._month_codes is None else self._month_codes * self._customers + self._codes
        size = self._customers * months.shape[1]
        by_cell = np.stack([np.bincount(cells, column, size) for column in values.T])
        by_customer = np.ascontiguousarray(by_cell.reshape(-1, self._customers).T)
        sums = np.empty((self.resamples, columns))
        step = chunk_size(self.resamples, self._customers)
        for start in range(0, self.resamples, step):
            part = slice(start, start + step)
            drawn = self._counts[part].astype(np.float64) @ by_customer
            sums[part] = (drawn.reshape(-1, columns, months.shape[1]) * months[part, np.newaxis, :]).sum(axis=2)
        return sums

    def weight_chunks(self, order: npt.NDArray[np.intp] | None = None) -> Iterator[Floats]:
        """Iterate over the weights in chunks of resamples.

        Args:
            order: Order of the rows, shape (rows,); None for their own order.

        Yields:
            Weights, shape (resamples of the chunk, rows).
        """
        step = chunk_size(_CHUNK, len(self._codes))
        for start in range(0, self.resamples, step):
            part = self._counts[start : start + step]
            # The memory order differs (by rows or by resamples), and so does the rounding of sums.
            weights = (part.take(self._codes, axis=1) if order is None else part[:, self._codes[order]]).astype(
                np.float64
            )
            if self._month_codes is not None:
                codes = self._month_codes if order is None else self._month_codes[order]
                weights *= self.month_counts[start : start + step].take(codes, axis=1)
            yield weights


def bootstrap_rows(keys: pd.DataFrame, resamples: int, seed: int) -> CustomerBootstrap:
    """Draw customers and months of rows.

    Args:
        keys: Columns customer_id and cutoff, a row per row.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        Resamples of the rows.
    """
    return CustomerBootstrap(keys["customer_id"].to_numpy(), resamples, seed, keys["cutoff"])


def chunk_size(max_resamples: int, rows: int) -> int:
    """Compute the number of resamples whose arrays (resamples, rows) are made at once.

    Args:
        max_resamples: Upper limit.
        rows: Number of rows.

    Returns:
        ``max_resamples``, or fewer for many rows.
    """
    return max(1, min(max_resamples, _CELLS // max(rows, 1)))


def percentile_interval(value: float, draws: Floats) -> Interval:
    """Build a 95% interval from the 2.5th and 97.5th percentiles of bootstrap draws.

    Args:
        value: Value of the sample.
        draws: Values of the resamples, shape (resamples,); NaN values are left out.

    Returns:
        Interval; its ends are NaN when most draws are NaN (a slice of one class).
    """
    usable = draws[np.isfinite(draws)]
    if len(usable) < len(draws) / 2:
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.percentile(usable, [2.5, 97.5])
    return Interval(value=float(value), low=float(low), high=float(high))


def roc_auc_draws(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> Floats:
    """Compute the ROC-AUC of each resample, with ties counted half.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Scores, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        ROC-AUC, shape (resamples,); NaN where a resample has one class.
    """

    def auc(positive: Floats, negative: Floats) -> Floats:
        below = np.cumsum(negative, axis=1)
        below -= negative / 2
        return np.einsum("ij,ij->i", positive, below) / (positive.sum(axis=1) * negative.sum(axis=1))

    return _rank_statistic(churned, scores, bootstrap, auc)


def pr_auc_draws(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> Floats:
    """Compute the average precision of each resample.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Scores, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        Average precision, shape (resamples,).
    """

    def average_precision(positive: Floats, negative: Floats) -> Floats:
        found = np.cumsum(positive, axis=1)
        called = found + np.cumsum(negative, axis=1)
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return (positive * precision).sum(axis=1) / positive.sum(axis=1)

    return _rank_statistic(churned, -scores, bootstrap, average_precision)


def mean_draws(values: Floats, bootstrap: CustomerBootstrap) -> Floats:
    """Compute the mean of a value per row in each resample.

    Args:
        values: Values, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        Means, shape (resamples,).
    """
    sums = bootstrap.weighted_sums(np.column_stack([values, np.ones(len(values))]))
    with np.errstate(invalid="ignore"):  # a resample without the group's rows has no mean
        return sums[:, 0] / sums[:, 1]


def average_months(draws: Floats, counts: npt.NDArray[Any]) -> Floats:
    """Average a value per month over the months of each resample.

    Args:
        draws: Values, shape (resamples, months); NaN where a resample has no value for a month.
        counts: Draws of each month, shape (resamples, months).

    Returns:
        Means over the drawn months with a value, shape (resamples,); NaN without one.
    """
    weights = counts * np.isfinite(draws)
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(draws) * weights).sum(axis=1) / weights.sum(axis=1)


@dataclass(frozen=True)
class MeanDifference:
    """Difference of two means, with its standard error and 95% interval from the same resamples."""

    mean: float
    standard_error: float
    interval: Interval

    def __str__(self) -> str:
        return f"log loss {self.mean:+.4f}, standard error {self.standard_error:.4f}"


def compare_means(left: Floats, right: Floats, bootstrap: CustomerBootstrap) -> MeanDifference:
    """Compare the means of two losses per row.

    Args:
        left: Log loss of each row, shape (rows,).
        right: Log loss of each row by another model, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        Mean of ``left`` minus that of ``right``.
    """
    difference = left - right
    draws = mean_draws(difference, bootstrap)
    mean = float(difference.mean())
    return MeanDifference(mean, float(np.nanstd(draws)), percentile_interval(mean, draws))


def calibration_error_draws(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> Floats:
    """Compute the expected calibration error of each resample over the same bins.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        Calibration errors, shape (resamples,).
    """
    bins = calibration_bins(scores)
    columns = np.zeros((len(scores), bins.max() + 2))
    columns[np.arange(len(scores)), bins] = churned - scores
    columns[:, -1] = 1.0
    sums = bootstrap.weighted_sums(columns)
    with np.errstate(invalid="ignore"):
        return np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1]


def calibration_bins(scores: Floats) -> npt.NDArray[np.intp]:
    """Assign scores to ten bins of equally many rows; equal scores share a bin.

    Args:
        scores: Scores, shape (rows,).

    Returns:
        Bin of each row, shape (rows,).
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _CALIBRATION_BINS + 1)[1:-1]))
    return np.searchsorted(edges, scores, side="right")


def expected_calibration_error(churned: Bools, scores: Floats) -> float:
    """Compute the expected calibration error over ten bins of equally many rows (Naeini et al., 2015).

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).

    Returns:
        Mean distance of predicted from observed churn.
    """
    bins = calibration_bins(scores)
    return float(np.abs(np.bincount(bins, weights=churned - scores)).sum() / len(scores))


def _rank_statistic(
    churned: Bools, scores: Floats, bootstrap: CustomerBootstrap, statistic: Callable[[Floats, Floats], Floats]
) -> Floats:
    """Apply ``statistic`` to the weights of churners and others at each distinct score, ascending."""
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
            draws.append(statistic(positive, negative))
    return np.concatenate(draws)
