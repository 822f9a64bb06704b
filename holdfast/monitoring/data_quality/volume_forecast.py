"""How many rows a day should have, from the same weekday of the weeks before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class VolumeForecast:
    """A count to come: negative binomial of this mean and variance; Poisson where they are equal.

    The variance of counts of people is some multiple of the mean, the overdispersion (McCullagh and Nelder,
    *Generalized Linear Models*, 1989, 6.2.3); the negative binomial is the usual distribution of such counts.
    """

    mean: float
    variance: float

    def p_value(self, count: int) -> float:
        """How probable a count as far from the mean is, on either side."""
        few, many = self._law.cdf(count), self._law.sf(count - 1)
        return float(min(1.0, 2 * min(few, many)))

    def interval(self, probability: float) -> tuple[float, float]:
        """Between which counts the count is with this probability."""
        tail = (1 - probability) / 2
        return float(self._law.ppf(tail)), float(self._law.ppf(1 - tail))

    @property
    def _law(self) -> Any:
        if self.variance <= self.mean * (1 + 1e-9):
            return stats.poisson(self.mean)
        return stats.nbinom(self.mean**2 / (self.variance - self.mean), self.mean / self.variance)


def forecast_volume(counts: pd.Series, days: Sequence[date], weeks: int, min_days: int) -> VolumeForecast | None:
    """The rows of consecutive ``days`` together, from the ``weeks`` before the first of them; None from too few days.

    ``counts``: rows by day (``date``), every day from the first on. The mean of a day is that of its weekday; the
    overdispersion is Pearson's, over all weekdays; the variance has a share for what the mean itself is not sure of.
    """
    history = counts[(counts.index >= days[0] - weeks * 7 * _DAY) & (counts.index < days[0])]
    if len(history) < max(min_days, 14):
        return None
    weekdays = np.array([day.weekday() for day in history.index])
    observed = history.to_numpy(dtype=float)
    # Half a row more: a weekday on which nothing was sold has a mean, too.
    means = np.array(
        [(observed[weekdays == weekday].sum() + 0.5) / (weekdays == weekday).sum() for weekday in range(7)]
    )
    spread = float(((observed - means[weekdays]) ** 2 / means[weekdays]).sum() / (len(observed) - 7))
    wanted = [day.weekday() for day in days]
    unsure = np.mean([1 / (weekdays == weekday).sum() for weekday in wanted])
    mean = float(means[wanted].sum())
    return VolumeForecast(mean, mean * max(1.0, spread) * float(1 + unsure))
