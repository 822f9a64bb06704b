"""Scores of spend predictions, with 95% intervals over customers and months.

The choice and the gates use the Tweedie deviance, which the expected spend minimizes. The mean absolute error is
reported only: the median minimizes it, which is 0 where most customers buy nothing, and a total of zeros is no plan.
"""

import numpy as np

from holdfast.core.types import Floats
from holdfast.training.bootstrap import CustomerBootstrap, percentile_interval
from holdfast.training.evaluation_report import Interval

SPEND_METRIC_LABELS = {
    "deviance": "Tweedie deviance",
    "mae": "mean absolute error",
    "total": "predicted / observed total",
    "spearman": "rank correlation",
}
_FLOOR = 1e-3  # share of the mean spend below which predictions count as this much: no model is sure of zero


def deviance(spend: Floats, predicted: Floats, mean: float) -> Floats:
    """Compute the Tweedie deviance of power 1.5 of each row.

    Args:
        spend: Observed spend, shape (rows,).
        predicted: Expected spend, shape (rows,).
        mean: Mean spend of the fitted rows, which sets the smallest prediction.

    Returns:
        Deviance, shape (rows,), in the square root of the currency.
    """
    expected = np.sqrt(np.maximum(predicted, max(_FLOOR * mean, 1e-12)))
    return 4 * (np.sqrt(spend) - expected) ** 2 / expected


def mean_interval(values: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """Compute the mean with its interval.

    Args:
        values: Values, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        The interval.
    """
    sums = bootstrap.weighted_sums(np.column_stack([values, np.ones_like(values)]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return percentile_interval(float(values.mean()), sums[:, 0] / sums[:, 1])


def total_interval(spend: Floats, predicted: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """Compute the ratio of predicted to observed total spend with its interval.

    Args:
        spend: Observed spend, shape (rows,).
        predicted: Expected spend, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        The interval; its ends are NaN without any spend.
    """
    sums = bootstrap.weighted_sums(np.column_stack([predicted, spend]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return percentile_interval(float(np.divide(predicted.sum(), spend.sum())), sums[:, 0] / sums[:, 1])


def spearman_interval(spend: Floats, predicted: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """Compute the rank correlation with its interval; resamples use the ranks of the sample.

    Args:
        spend: Observed spend, shape (rows,).
        predicted: Expected spend, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        The interval.
    """
    from scipy.stats import rankdata  # scipy.stats takes most of a second to import

    a, b = rankdata(spend), rankdata(predicted)
    a, b = a - a.mean(), b - b.mean()
    columns = np.column_stack([a * b, a * a, b * b, a, b, np.ones_like(a)])

    def correlation(sums: Floats) -> Floats:
        ab, aa, bb, sum_a, sum_b, count = sums.T
        with np.errstate(invalid="ignore", divide="ignore"):
            covariance = ab - sum_a * sum_b / count
            result: Floats = covariance / np.sqrt((aa - sum_a**2 / count) * (bb - sum_b**2 / count))
            return np.where(aa * bb > 0, result, 0.0)  # equal predictions rank no customer

    value = correlation(columns.sum(axis=0)[np.newaxis])[0]
    return percentile_interval(float(value), correlation(bootstrap.weighted_sums(columns)))


def measure_spend(spend: Floats, predicted: Floats, mean: float, bootstrap: CustomerBootstrap) -> dict[str, Interval]:
    """Compute every metric of ``SPEND_METRIC_LABELS``.

    Args:
        spend: Observed spend, shape (rows,).
        predicted: Expected spend, shape (rows,).
        mean: Mean spend of the fitted rows.
        bootstrap: Resamples of the rows.

    Returns:
        Metric to interval.
    """
    return {
        "deviance": mean_interval(deviance(spend, predicted, mean), bootstrap),
        "mae": mean_interval(np.abs(spend - predicted), bootstrap),
        "total": total_interval(spend, predicted, bootstrap),
        "spearman": spearman_interval(spend, predicted, bootstrap),
    }
