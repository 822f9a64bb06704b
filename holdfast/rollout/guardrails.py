"""Numbers that a step is judged by, each with what it may be and how sure it is."""

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
    """A number beside its limit. ``rows`` is what it rests on; "unknown": too little, or nothing to hold it against."""

    name: str
    value: float
    limit: float
    rows: int
    verdict: Literal["good", "breached", "unknown"]

    @property
    def description(self) -> str:
        """What it is, in words."""
        return DESCRIPTIONS[self.name]

    @property
    def summary(self) -> str:
        """With its value, in words."""
        return f"{self.description} is {self.value:.3g}, the limit {self.limit:.3g} ({self.rows} rows)"


def check_share(name: str, hits: float, of: float, limit: float, certainty: float) -> Guardrail:
    """A share that must not surely be above ``limit``: one-sided exact bound (Clopper and Pearson, 1934)."""
    n, k = round(of), round(min(hits, of))
    if n == 0:
        return Guardrail(name, math.nan, limit, 0, "unknown")
    low = binomtest(k, n).proportion_ci(confidence_level=2 * certainty - 1, method="exact").low
    return Guardrail(name, k / n, limit, n, "breached" if low > limit else "good")


def check_latency(
    own: Mapping[float, float], others: Mapping[float, float], ratio: float, floor_ms: float, certainty: float
) -> Guardrail:
    """Share of requests slower than ``ratio`` times the other version's p95: surely above 5% is too slow.

    Both map the upper bounds of buckets, in seconds, to how many requests were answered within them. What counts as
    slow is above the first bound at or beyond that time, so who is as quick as the other never is.
    """
    mine, theirs = own.get(math.inf, 0), others.get(math.inf, 0)
    if mine < MIN_ROWS or theirs < MIN_ROWS:
        return Guardrail("latency", math.nan, SLOW_SHARE, round(mine), "unknown")
    p95 = min(bound for bound, count in others.items() if count >= (1 - SLOW_SHARE) * theirs)
    bound = min((one for one in own if one >= max(p95 * ratio, floor_ms / 1000)), default=math.inf)
    return check_share("latency", mine - own.get(bound, mine), mine, SLOW_SHARE, certainty)


def check_rank_correlation(tried: Floats, champion: Floats, limit: float, certainty: float) -> Guardrail:
    """Spearman's correlation of two versions' scores of the same customers, which must not surely be below ``limit``.

    By Fisher's transformation with the variance 1.06 / (n - 3) (Fieller, Hartley and Pearson, *Tests for rank
    correlation coefficients I*, 1957). Who says the same of everybody ranks nobody: that is 0.
    """
    name, n = "rank correlation", len(tried)
    if n < MIN_ROWS or np.ptp(champion) < _SAME:
        return Guardrail(name, math.nan, limit, n, "unknown")
    rho = 0.0 if np.ptp(tried) < _SAME else float(spearmanr(tried, champion).statistic)
    inside = min(max(rho, _SAME - 1), 1 - _SAME)
    high = math.tanh(math.atanh(inside) + float(norm.ppf(certainty)) * math.sqrt(1.06 / (n - 3)))
    return Guardrail(name, rho, limit, n, "breached" if high < limit else "good")


def check_mean(name: str, values: Floats, limit: float, certainty: float) -> Guardrail:
    """The absolute mean of ``values``, which must not surely be above ``limit`` (normal approximation)."""
    n = len(values)
    if n < MIN_ROWS:
        return Guardrail(name, math.nan, limit, n, "unknown")
    mean = abs(float(values.mean()))
    low = mean - float(norm.ppf(certainty)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Guardrail(name, mean, limit, n, "breached" if low > limit else "good")


def check_psi(tested: Floats, said: Floats, limit: float, certainty: float) -> Guardrail:
    """PSI of what a version says against what it said in its test; by the chi-squared law it must be no chance."""
    if len(said) < _FEW_FOR_PSI or not len(tested):
        return Guardrail("psi", math.nan, limit, len(said), "unknown")
    found = measure_psi("psi", tested, said)
    beyond = found.psi > limit and found.p_value < 1 - certainty
    return Guardrail("psi", found.psi, limit, len(said), "breached" if beyond else "good")


def check_exact(name: str, value: float, limit: float, rows: int) -> Guardrail:
    """A number that is no estimate; what is no number at all is a breach."""
    return Guardrail(name, value, limit, rows, "good" if value <= limit else "breached")
