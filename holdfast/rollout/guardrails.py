"""Guardrail metrics of a rollout step with confidence bounds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import binomtest, norm, spearmanr

from holdfast.core.types import Floats
from holdfast.monitoring.drift.psi import measure_psi

DESCRIPTIONS = {
    "errors": "the share of requests that failed",
    "failures": "how often it could not score, and the champion had to",
    "latency": "the share of its answers that were too slow beside the champion's",
    "rank correlation": "the rank correlation with the champion's scores of the same customers",
    "difference": "the mean difference from the champion's scores of the same customers",
    "decisions": "the change of the share of customers told to churn, at the champion's threshold",
    "psi": "the PSI of its scores against those of its own test",
    "as registered": "the largest difference from what the registered model says of the same inputs",
}
SLOW_SHARE = 0.05
MIN_ROWS = 10  # customers, or requests of one version: fewer tell nothing
_FEW_FOR_PSI = 50
_SAME = 1e-9


@dataclass(frozen=True)
class Guardrail:
    """Metric beside its limit.

    Attributes:
        name: Key of ``DESCRIPTIONS``.
        value: Value of the metric, NaN if it cannot be computed.
        limit: Limit of the metric.
        rows: Number of rows behind the value.
        verdict: "unknown" with too few rows, or without a reference.
    """

    name: str
    value: float
    limit: float
    rows: int
    verdict: Literal["good", "breached", "unknown"]

    @property
    def description(self) -> str:
        """Return the description of the metric."""
        return DESCRIPTIONS[self.name]

    @property
    def summary(self) -> str:
        """Return description, value and limit as text."""
        return f"{self.description} is {self.value:.3g}, the limit {self.limit:.3g} ({self.rows} rows)"


def check_share(name: str, hits: float, of: float, limit: float, certainty: float) -> Guardrail:
    """Compare a share with a limit by a one-sided exact bound (Clopper and Pearson, 1934).

    Args:
        name: Name of the guardrail.
        hits: Number of hits.
        of: Number of trials.
        limit: Largest allowed share.
        certainty: Confidence of the one-sided bound.

    Returns:
        Breached if the lower bound is above the limit.
    """
    n, k = round(of), round(min(hits, of))
    if n == 0:
        return Guardrail(name, math.nan, limit, 0, "unknown")
    low = binomtest(k, n).proportion_ci(confidence_level=2 * certainty - 1, method="exact").low
    return Guardrail(name, k / n, limit, n, "breached" if low > limit else "good")


def check_latency(
    own: Mapping[float, float], others: Mapping[float, float], ratio: float, floor_ms: float, certainty: float
) -> Guardrail:
    """Compare latencies: a breach is a share of surely more than 5% of requests above ``ratio`` times the reference
    p95.

    The latency limit is rounded up to the next bucket bound, so equal latencies never breach.

    Args:
        own: Latencies of the version: upper bucket bound in seconds to cumulative number of requests.
        others: Latencies of the reference version, in the same form.
        ratio: Allowed ratio to the p95 of the reference.
        floor_ms: Latency that is never too slow, in milliseconds.
        certainty: Confidence of the one-sided bound.

    Returns:
        The guardrail on the share of slow requests.
    """
    mine, theirs = own.get(math.inf, 0), others.get(math.inf, 0)
    if mine < MIN_ROWS or theirs < MIN_ROWS:
        return Guardrail("latency", math.nan, SLOW_SHARE, round(mine), "unknown")
    p95 = min(bound for bound, count in others.items() if count >= (1 - SLOW_SHARE) * theirs)
    bound = min((one for one in own if one >= max(p95 * ratio, floor_ms / 1000)), default=math.inf)
    return check_share("latency", mine - own.get(bound, mine), mine, SLOW_SHARE, certainty)


def check_rank_correlation(tried: Floats, champion: Floats, limit: float, certainty: float) -> Guardrail:
    """Compare Spearman's correlation of two versions' scores with a lower limit.

    Uses Fisher's transformation with variance 1.06 / (n - 3) (Fieller, Hartley and Pearson, *Tests for rank correlation
    coefficients I*, 1957). Constant scores have correlation 0.

    Args:
        tried: Scores of the challenger, shape (customers,).
        champion: Scores of the champion for the same customers, shape (customers,).
        limit: Smallest allowed correlation.
        certainty: Confidence of the one-sided bound.

    Returns:
        Breached if the upper bound is below the limit.
    """
    name, n = "rank correlation", len(tried)
    if n < MIN_ROWS or np.ptp(champion) < _SAME:
        return Guardrail(name, math.nan, limit, n, "unknown")
    rho = 0.0 if np.ptp(tried) < _SAME else float(spearmanr(tried, champion).statistic)
    inside = min(max(rho, _SAME - 1), 1 - _SAME)
    high = math.tanh(math.atanh(inside) + float(norm.ppf(certainty)) * math.sqrt(1.06 / (n - 3)))
    return Guardrail(name, rho, limit, n, "breached" if high < limit else "good")


def check_mean(name: str, values: Floats, limit: float, certainty: float) -> Guardrail:
    """Compare an absolute mean with a limit (normal approximation).

    Args:
        name: Name of the guardrail.
        values: Values, shape (customers,).
        limit: Largest allowed absolute mean.
        certainty: Confidence of the one-sided bound.

    Returns:
        Breached if the lower bound is above the limit.
    """
    n = len(values)
    if n < MIN_ROWS:
        return Guardrail(name, math.nan, limit, n, "unknown")
    mean = abs(float(values.mean()))
    low = mean - float(norm.ppf(certainty)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Guardrail(name, mean, limit, n, "breached" if low > limit else "good")


def check_psi(tested: Floats, said: Floats, limit: float, certainty: float) -> Guardrail:
    """Compare the PSI between test scores and production scores with a limit, with a chi-squared test.

    Args:
        tested: Scores of the version in its test, shape (rows,).
        said: Scores of the version in production, shape (customers,).
        limit: Largest allowed PSI.
        certainty: Confidence of the test.

    Returns:
        Breached if the PSI is above the limit and significant.
    """
    if len(said) < _FEW_FOR_PSI or not len(tested):
        return Guardrail("psi", math.nan, limit, len(said), "unknown")
    found = measure_psi("psi", tested, said)
    beyond = found.psi > limit and found.p_value < 1 - certainty
    return Guardrail("psi", found.psi, limit, len(said), "breached" if beyond else "good")


def check_exact(name: str, value: float, limit: float, rows: int) -> Guardrail:
    """Compare a value without sampling error with a limit.

    Args:
        name: Name of the guardrail.
        value: Value; NaN is a breach.
        limit: Largest allowed value.
        rows: Number of rows behind the value.

    Returns:
        The guardrail.
    """
    return Guardrail(name, value, limit, rows, "good" if value <= limit else "breached")
