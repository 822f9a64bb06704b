"""Guardrails of a rollout step: measures with their limits and confidence bounds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from holdfast.core.formatting import format_count
from holdfast.core.types import Floats
from holdfast.monitoring.drift.psi import measure_psi

DESCRIPTIONS = {
    "errors": "the share of requests that failed",
    "failures": "the number of requests that it could not score, so that the champion did",
    "latency": "the share of its responses that were too slow compared with the champion's",
    "rank correlation": "the rank correlation with the champion's scores of the same customers",
    "difference": "the mean difference from the champion's scores of the same customers",
    "decisions": "the change of the share of customers predicted to churn, at the champion's threshold",
    "relative difference": "the mean difference from the champion's predictions of the same customers, in their mean",
    "total": "the change of the sum of the predictions of the same customers, in the champion's sum",
    "missing": "the share of customers without a prediction among those that the champion predicts",
    "psi": "the PSI of its scores against those of its own test",
    "as registered": "the largest difference from the registered model's scores of the same inputs",
}
_SLOW_SHARE = 0.05
MIN_ROWS = 10  # customers, or requests of one version; fewer have no verdict
_MIN_ROWS_FOR_PSI = 50
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Guardrail:
    """A measure with its limit and verdict.

    Attributes:
        rows: Number of customers or requests behind the value.
        verdict: "unknown" if there are too few rows, or nothing to compare with.
    """

    name: str
    value: float
    limit: float
    rows: int
    verdict: Literal["good", "breached", "unknown"]

    @property
    def description(self) -> str:
        """Return what is measured."""
        return DESCRIPTIONS[self.name]

    @property
    def summary(self) -> str:
        """Return the measure with value and limit in plain text."""
        return f"{self.description} is {self.value:.3g}, the limit {self.limit:.3g} ({format_count(self.rows, 'row')})"


def check_share(name: str, hits: float, of: float, limit: float, certainty: float) -> Guardrail:
    """Check a share by its one-sided exact lower bound (Clopper and Pearson, 1934).

    Args:
        name: Name of the guardrail.
        hits: Number of hits.
        of: Number of trials.
        limit: Limit of the share.
        certainty: Confidence of the bound, 0.5 to 1.

    Returns:
        The guardrail, breached if the bound is above the limit.
    """
    from scipy.stats import binomtest  # scipy.stats takes most of a second to import

    n, k = round(of), round(min(hits, of))
    if n == 0:
        return Guardrail(name, math.nan, limit, 0, "unknown")
    low = binomtest(k, n).proportion_ci(confidence_level=2 * certainty - 1, method="exact").low
    return Guardrail(name, k / n, limit, n, "breached" if low > limit else "good")


def check_latency(
    own: Mapping[float, float], others: Mapping[float, float], ratio: float, floor_ms: float, certainty: float
) -> Guardrail:
    """Check the share of requests slower than ``ratio`` times the other version's p95; the limit is 5%.

    "Slow" starts at the first bucket bound at or above that time, so two equally fast versions are never breached.

    Args:
        own: Upper bound of a bucket in seconds to the number of requests within it.
        others: The same of the other version.
        ratio: Allowed ratio to the other version's p95.
        floor_ms: Time up to which no request is slow, ms.
        certainty: Confidence of the bound, 0.5 to 1.

    Returns:
        The guardrail; unknown if a version has fewer than ``MIN_ROWS`` requests.
    """
    own_count, other_count = own.get(math.inf, 0), others.get(math.inf, 0)
    if own_count < MIN_ROWS or other_count < MIN_ROWS:
        return Guardrail("latency", math.nan, _SLOW_SHARE, round(own_count), "unknown")
    p95 = min(bound for bound, count in others.items() if count >= (1 - _SLOW_SHARE) * other_count)
    bound = min((one for one in own if one >= max(p95 * ratio, floor_ms / 1000)), default=math.inf)
    return check_share("latency", own_count - own.get(bound, own_count), own_count, _SLOW_SHARE, certainty)


def check_rank_correlation(challenger: Floats, champion: Floats, limit: float, certainty: float) -> Guardrail:
    """Check Spearman's correlation of two versions' scores by its one-sided upper bound.

    The bound is Fisher's transformation with the variance 1.06 / (n - 3) (Fieller, Hartley and Pearson, *Tests for rank
    correlation coefficients I*, 1957). Constant scores of the challenger rank no customers: the correlation is 0.

    Args:
        challenger: Scores, shape (customers,).
        champion: Scores of the same customers.
        limit: Lower limit of the correlation.
        certainty: Confidence of the bound, 0.5 to 1.

    Returns:
        The guardrail, breached if the bound is below the limit.
    """
    from scipy.stats import spearmanr

    name, n = "rank correlation", len(challenger)
    if n < MIN_ROWS or np.ptp(champion) < _TOLERANCE:
        return Guardrail(name, math.nan, limit, n, "unknown")
    rho = 0.0 if np.ptp(challenger) < _TOLERANCE else float(spearmanr(challenger, champion).statistic)
    inside = min(max(rho, _TOLERANCE - 1), 1 - _TOLERANCE)
    high = math.tanh(math.atanh(inside) + float(ndtri(certainty)) * math.sqrt(1.06 / (n - 3)))
    return Guardrail(name, rho, limit, n, "breached" if high < limit else "good")


def check_mean(name: str, values: Floats, limit: float, certainty: float) -> Guardrail:
    """Check an absolute mean by its one-sided lower bound (normal approximation).

    Args:
        name: Name of the guardrail.
        values: Values, shape (customers,).
        limit: Limit of the absolute mean.
        certainty: Confidence of the bound, 0.5 to 1.

    Returns:
        The guardrail, breached if the bound is above the limit.
    """
    n = len(values)
    if n < MIN_ROWS:
        return Guardrail(name, math.nan, limit, n, "unknown")
    mean = abs(float(values.mean()))
    low = mean - float(ndtri(certainty)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Guardrail(name, mean, limit, n, "breached" if low > limit else "good")


def check_psi(tested: Floats, scores: Floats, limit: float, certainty: float) -> Guardrail:
    """Check the PSI of a version's scores against the scores of its test set.

    Args:
        tested: Scores of the test set, shape (rows,).
        scores: Scores of the step, shape (customers,).
        limit: Limit of the PSI.
        certainty: Confidence of the chi-squared test.

    Returns:
        The guardrail, breached if the PSI is above the limit and significant.
    """
    if len(scores) < _MIN_ROWS_FOR_PSI or not len(tested):
        return Guardrail("psi", math.nan, limit, len(scores), "unknown")
    found = measure_psi("psi", tested, scores)
    beyond = found.psi > limit and found.p_value < 1 - certainty
    return Guardrail("psi", found.psi, limit, len(scores), "breached" if beyond else "good")


def check_exact(name: str, value: float, limit: float, rows: int) -> Guardrail:
    """Check a number that is not an estimate; NaN is a breach.

    Args:
        name: Name of the guardrail.
        value: The number.
        limit: Its limit.
        rows: Number of customers or requests behind the value.

    Returns:
        The guardrail.
    """
    return Guardrail(name, value, limit, rows, "good" if value <= limit else "breached")
