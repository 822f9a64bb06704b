"""Confidence-based performance estimation (CBPE): expected metrics from calibrated scores, before outcomes are known.

The method is that of NannyML (https://nannyml.readthedocs.io, "Estimation of performance of the monitored model"): of
customers with a calibrated probability p, a share p will churn (Guo et al., *On Calibration of Modern Neural Networks*,
2017, define calibration). The expected confusion matrix, and each metric of it, follow from the scores. CBPE cannot
detect a change of the relation between scores and outcomes; only matured cohorts show it.

NannyML itself is not used, because it treats rows as independent. A cohort of requests has several rows per customer
with nearly the same horizon, so its intervals need one draw per customer (cluster).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import chunk_size, percentile_interval
from holdfast.training.evaluation_report import Interval
from holdfast.training.settings import ValueSettings

_Codes = npt.NDArray[np.intp]
_CHUNK = 50


def estimate_performance(
    scores: Floats, offered: Floats, customers: npt.NDArray[Any], value: ValueSettings, resamples: int, seed: int
) -> dict[str, Interval]:
    """Estimate ROC-AUC, Brier score and profit per customer of calibrated scores.

    The intervals contain 95% of the metrics of outcomes drawn from the scores: the customers are fixed, their outcomes
    are random. One uniform number is drawn per customer, and each row whose score is above the number is a churner,
    because horizons that start on consecutive days overlap almost completely.

    Args:
        scores: Calibrated probabilities of churn, shape (rows,).
        offered: 1.0 if an offer is made, 0.0 if not, NaN if unknown, shape (rows,).
        customers: Customer of each row, shape (rows,).
        value: Cost and value of an offer.
        resamples: Number of draws.
        seed: Seed of the draws.

    Returns:
        Intervals of ``roc_auc``, ``brier`` and ``earned`` (profit per customer), without those that are undefined:
        ``earned`` if an offer is unknown.
    """
    from scipy.stats import rankdata  # scipy.stats takes most of a second to import

    codes, distinct = pd.factorize(customers)
    generator = np.random.default_rng(seed)
    ranks = rankdata(scores)
    draws: list[dict[str, Floats]] = []
    step = chunk_size(_CHUNK, len(scores))
    for start in range(0, resamples, step):
        uniform = generator.random((min(step, resamples - start), len(distinct)))
        draws.append(_compute_drawn(uniform.take(codes, axis=1) < scores, scores, offered, ranks, value))
    intervals = {}
    for name, point in _compute_expected(scores, offered, codes, value).items():
        interval = percentile_interval(point, np.concatenate([part[name] for part in draws]))
        if np.isfinite([interval.value, interval.low, interval.high]).all():
            intervals[name] = interval
    return intervals


def _compute_expected(scores: Floats, offered: Floats, codes: _Codes, value: ValueSettings) -> dict[str, float]:
    """Compute the expected metrics: a row is a churner with weight p, and a stayer with weight 1 - p."""
    churners, stayers = np.bincount(codes, weights=scores), np.bincount(codes, weights=1 - scores)
    # Pairs of two rows of the same customer are subtracted.
    pairs = _ranked_pairs(scores, np.zeros_like(codes)) - _ranked_pairs(scores, codes)
    all_pairs = churners.sum() * stayers.sum() - (churners * stayers).sum()
    gain = value.response_rate * value.kept_customer * scores - value.offer_cost
    return {
        "roc_auc": float(pairs / all_pairs) if all_pairs > 0 else float("nan"),
        "brier": float((scores * (1 - scores)).mean()),
        "earned": float((offered * gain).mean()),
    }


def _ranked_pairs(scores: Floats, groups: _Codes) -> float:
    """Sum the weights of pairs (churner, lower-ranked stayer) inside groups; ties and a row with itself count half."""
    order = np.lexsort((scores, groups))
    scores, groups = scores[order], groups[order]
    is_group_start = np.r_[True, np.diff(groups) != 0]
    starts = np.flatnonzero(is_group_start | np.r_[True, np.diff(scores) != 0])  # start of each run of equal scores
    positive, negative = (np.add.reduceat(weights, starts) for weights in (scores, 1 - scores))
    below = np.cumsum(negative) - negative / 2
    firsts = np.flatnonzero(is_group_start[starts])
    others = (below - negative / 2)[firsts]  # weight of earlier groups
    return float((positive * (below - np.repeat(others, np.diff(np.r_[firsts, len(starts)])))).sum())


def _compute_drawn(
    churned: Bools, scores: Floats, offered: Floats, ranks: Floats, value: ValueSettings
) -> dict[str, Floats]:
    """Compute the metrics of drawn outcomes, shape (draws, rows); each metric has shape (draws,)."""
    outcome = churned.astype(np.float64)
    churners = outcome.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # draws with one class
        area = (outcome @ ranks - churners * (churners + 1) / 2) / (churners * (outcome.shape[1] - churners))
    gain = value.response_rate * value.kept_customer * outcome - value.offer_cost
    return {"roc_auc": area, "brier": ((outcome - scores) ** 2).mean(axis=1), "earned": (gain * offered).mean(axis=1)}
