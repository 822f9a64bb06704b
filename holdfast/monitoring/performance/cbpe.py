"""How good scores can be expected to turn out, before anybody knows: from the scores alone, if they are calibrated.

Confidence-based performance estimation, as in NannyML (https://nannyml.readthedocs.io, "Estimation of performance of
the monitored model"): of customers with a calibrated probability p, a share p will churn (Guo et al., *On Calibration
of Modern Neural Networks*, 2017, for what calibrated means). So the confusion to expect, and each measure made of it,
follow from the scores. A change in what the scores mean does not show: that is seen when cohorts mature.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import chunk_size, percentile_interval
from holdfast.training.evaluation_report import Interval
from holdfast.training.settings import ValueSettings

Codes = npt.NDArray[np.intp]
_CHUNK = 50


def estimate_performance(
    scores: Floats, offered: Floats, customers: npt.NDArray[Any], value: ValueSettings, resamples: int, seed: int
) -> dict[str, Interval]:
    """``roc_auc``, ``brier`` and ``earned`` (profit per customer) to expect of calibrated ``scores``, shape (rows,).

    ``offered`` is 1.0 where an offer is made, NaN where that is not known: then there is no ``earned``. The intervals
    hold 95% of what outcomes drawn from the scores give: the customers are given, what they will do is not.
    ``customers``, (rows,), says whose row it is. Horizons from one day and from the next are nearly the same days, so
    one number is drawn per customer, and he churns in those of his rows whose score is above it.
    """
    codes, known = pd.factorize(customers)
    generator = np.random.default_rng(seed)
    ranks = rankdata(scores)
    draws: list[dict[str, Floats]] = []
    step = chunk_size(_CHUNK, len(scores))
    for start in range(0, resamples, step):
        drawn = generator.random((min(step, resamples - start), len(known)))
        draws.append(_measures(drawn.take(codes, axis=1) < scores, scores, offered, ranks, value))
    found = {}
    for name, point in _expected(scores, offered, codes, value).items():
        told = percentile_interval(point, np.concatenate([part[name] for part in draws]))
        if np.isfinite([told.value, told.low, told.high]).all():
            found[name] = told
    return found


def _expected(scores: Floats, offered: Floats, codes: Codes, value: ValueSettings) -> dict[str, float]:
    """Every row counts as a churner with weight p, and as one who stays with weight 1 - p."""
    churners, stayers = np.bincount(codes, weights=scores), np.bincount(codes, weights=1 - scores)
    # A pair is of two customers: those that each makes with himself are taken out again.
    pairs = _ranked_pairs(scores, np.zeros_like(codes)) - _ranked_pairs(scores, codes)
    all_pairs = churners.sum() * stayers.sum() - (churners * stayers).sum()
    gain = value.response_rate * value.kept_customer * scores - value.offer_cost
    return {
        "roc_auc": float(pairs / all_pairs) if all_pairs > 0 else float("nan"),
        "brier": float((scores * (1 - scores)).mean()),
        "earned": float((offered * gain).mean()),
    }


def _ranked_pairs(scores: Floats, groups: Codes) -> float:
    """Pairs of a churner and a lower one who stays, both of one group; ties, each row with itself too, count half."""
    order = np.lexsort((scores, groups))
    scores, groups = scores[order], groups[order]
    opens = np.r_[True, np.diff(groups) != 0]
    starts = np.flatnonzero(opens | np.r_[True, np.diff(scores) != 0])  # equal scores are ties
    positive, negative = (np.add.reduceat(weights, starts) for weights in (scores, 1 - scores))
    below = np.cumsum(negative) - negative / 2
    firsts = np.flatnonzero(opens[starts])
    others = (below - negative / 2)[firsts]  # of the groups before
    return float((positive * (below - np.repeat(others, np.diff(np.r_[firsts, len(starts)])))).sum())


def _measures(
    churned: Bools, scores: Floats, offered: Floats, ranks: Floats, value: ValueSettings
) -> dict[str, Floats]:
    """The same of drawn outcomes, (draws, rows); each of shape (draws,)."""
    outcome = churned.astype(np.float64)
    churners = outcome.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # draws of one class
        area = (outcome @ ranks - churners * (churners + 1) / 2) / (churners * (outcome.shape[1] - churners))
    gain = value.response_rate * value.kept_customer * outcome - value.offer_cost
    return {"roc_auc": area, "brier": ((outcome - scores) ** 2).mean(axis=1), "earned": (gain * offered).mean(axis=1)}
