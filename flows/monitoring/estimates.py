"""How good scores can be expected to turn out, before anybody knows: from the scores alone, if they are calibrated.

Confidence-based performance estimation, as in NannyML (https://nannyml.readthedocs.io, "Estimation of performance of
the monitored model"): of customers with a calibrated probability p, a share p will churn (Guo et al., *On Calibration
of Modern Neural Networks*, 2017, for what calibrated means). So the confusion to expect, and each measure made of it,
follow from the scores. A change in what the scores mean does not show: that is seen when cohorts mature.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from flows.training.bootstrap import interval
from flows.training.evaluation import Interval
from flows.training.settings import ValueSettings

Floats = npt.NDArray[np.float64]
_CHUNK = 50


def expected(scores: Floats, offered: Floats, value: ValueSettings, resamples: int, seed: int) -> dict[str, Interval]:
    """``roc_auc``, ``brier`` and ``earned`` (profit per customer) to expect of calibrated ``scores``, shape (rows,).

    ``offered`` is 1.0 where an offer is made, NaN where that is not known: then there is no ``earned``. The intervals
    hold 95% of what outcomes drawn from the scores give: the customers are given, what they will do is not.
    """
    generator = np.random.default_rng(seed)
    ranks = rankdata(scores)
    draws: list[dict[str, Floats]] = []
    for start in range(0, resamples, _CHUNK):
        churned = generator.random((min(_CHUNK, resamples - start), len(scores))) < scores
        draws.append(_measures(churned, scores, offered, ranks, value))
    found = {}
    for name, point in _expected(scores, offered, value).items():
        told = interval(point, np.concatenate([part[name] for part in draws]))
        if np.isfinite([told.value, told.low, told.high]).all():
            found[name] = told
    return found


def _expected(scores: Floats, offered: Floats, value: ValueSettings) -> dict[str, float]:
    """Every customer counts as a churner with weight p, and as one who stays with weight 1 - p."""
    churners, stayers = scores.sum(), (1 - scores).sum()
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])  # equal scores are ties
    positive, negative = (np.add.reduceat(weights[order], starts) for weights in (scores, 1 - scores))
    below = np.cumsum(negative) - negative / 2
    # A pair is of two customers: what is half a tie of each with himself is taken out again.
    pairs = (positive * below).sum() - (scores * (1 - scores)).sum() / 2
    all_pairs = churners * stayers - (scores * (1 - scores)).sum()
    gain = value.response_rate * value.kept_customer * scores - value.offer_cost
    return {
        "roc_auc": float(pairs / all_pairs) if all_pairs > 0 else float("nan"),
        "brier": float((scores * (1 - scores)).mean()),
        "earned": float((offered * gain).mean()),
    }


def _measures(
    churned: npt.NDArray[np.bool_], scores: Floats, offered: Floats, ranks: Floats, value: ValueSettings
) -> dict[str, Floats]:
    """The same of drawn outcomes, (draws, rows); each of shape (draws,)."""
    outcome = churned.astype(np.float64)
    churners = outcome.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # draws of one class
        area = (outcome @ ranks - churners * (churners + 1) / 2) / (churners * (outcome.shape[1] - churners))
    gain = value.response_rate * value.kept_customer * outcome - value.offer_cost
    return {"roc_auc": area, "brier": ((outcome - scores) ** 2).mean(axis=1), "earned": (gain * offered).mean(axis=1)}
