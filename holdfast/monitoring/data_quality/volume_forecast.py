"""Forecast of the daily number of rows from the same weekday of earlier weeks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from holdfast.core.types import Floats, Ints

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class VolumeForecast:
    """Distribution of a count: negative binomial with this mean and variance, Poisson if both are equal.

    The variance of counts of people is a multiple of the mean, the overdispersion (McCullagh and Nelder, *Generalized
    Linear Models*, 1989, 6.2.3); the negative binomial is the usual distribution of such counts.
    """

    mean: float
    variance: float

    def p_value(self, count: int) -> float:
        """Compute the two-sided p-value of an observed count.

        Args:
            count: Observed rows.

        Returns:
            The p-value.
        """
        return float(min(1.0, 2 * min(self._distribution.cdf(count), self._distribution.sf(count - 1))))

    def p_value_of_fewer(self, count: int) -> float:
        """Compute the one-sided p-value of a count that is too low.

        Args:
            count: Observed rows.

        Returns:
            The p-value.
        """
        return float(self._distribution.cdf(count))

    def interval(self, probability: float) -> tuple[float, float]:
        """Compute the prediction interval.

        Args:
            probability: Coverage.

        Returns:
            Lower and upper bound, with equal tails.
        """
        tail = (1 - probability) / 2
        return float(self._distribution.ppf(tail)), float(self._distribution.ppf(1 - tail))

    @property
    def _distribution(self) -> Any:
        if self.variance <= self.mean * (1 + 1e-9):
            return stats.poisson(self.mean)
        return stats.nbinom(self.mean**2 / (self.variance - self.mean), self.mean / self.variance)


def forecast_volume(
    counts: pd.Series, days: Sequence[date], weeks: int, min_days: int, limit_largest: bool = False
) -> VolumeForecast | None:
    """Forecast the rows of consecutive days together.

    The mean of a day is the mean of its weekday; the overdispersion is Pearson's, over all weekdays; the variance
    includes the uncertainty of the mean.

    Args:
        counts: Rows by day (``date``), with every day since the first one.
        days: Consecutive days to forecast.
        weeks: Weeks of history before the first of ``days``.
        min_days: Minimum days of history, at least 14.
        limit_largest: Count the largest day of each weekday as its second largest, so that a single load of a whole
            table is no expectation (winsorization). Needs three days of each weekday.

    Returns:
        The forecast; None with less history.
    """
    history = counts[(counts.index >= days[0] - weeks * 7 * _DAY) & (counts.index < days[0])]
    if len(history) < max(min_days, 14):
        return None
    weekdays = np.array([day.weekday() for day in history.index])
    observed = history.to_numpy(dtype=float)
    if limit_largest:
        observed = _limit_largest(observed, weekdays)
    # Half a row more, so that the mean of a weekday without sales is positive.
    means = np.array(
        [(observed[weekdays == weekday].sum() + 0.5) / (weekdays == weekday).sum() for weekday in range(7)]
    )
    overdispersion = float(((observed - means[weekdays]) ** 2 / means[weekdays]).sum() / (len(observed) - 7))
    if limit_largest:
        overdispersion /= _limited_variance(len(observed) // 7)
    forecast_weekdays = [day.weekday() for day in days]
    uncertainty = np.mean([1 / (weekdays == weekday).sum() for weekday in forecast_weekdays])
    mean = float(means[forecast_weekdays].sum())
    return VolumeForecast(mean, mean * max(1.0, overdispersion) * float(1 + uncertainty))


def _limit_largest(observed: Floats, weekdays: Ints) -> Floats:
    """Limit the largest value of each weekday to its second largest."""
    limits = np.array([np.sort(observed[weekdays == weekday])[-2] for weekday in range(7)])
    return np.minimum(observed, limits[weekdays])


@lru_cache
def _limited_variance(days: int) -> float:
    """Compute the part of the variance that a sample of a normal distribution has left, its largest value limited."""
    samples = np.sort(np.random.default_rng(0).normal(size=(20_000, days)))
    samples[:, -1] = samples[:, -2]
    return float(samples.var(axis=1, ddof=1).mean())
