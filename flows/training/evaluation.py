"""Metrics, the choice between candidates, and the test period by month."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from flows.training.dataset import TrainingSet

Scores = npt.NDArray[np.float64]


def metrics(churned: npt.NDArray[np.bool_], scores: Scores) -> dict[str, float]:
    """ROC-AUC and PR-AUC (higher is better), Brier score and log loss (lower is better)."""
    return {
        "roc_auc": float(roc_auc_score(churned, scores)),
        "pr_auc": float(average_precision_score(churned, scores)),
        "brier": float(brier_score_loss(churned, scores)),
        "log_loss": float(log_loss(churned, scores)),
    }


def by_month(test: TrainingSet, scores: Mapping[str, Scores]) -> pd.DataFrame:
    """Rows, base rate and the metrics of each model at each test cut-off."""
    rows = []
    for cutoff in test.keys["cutoff"].unique():
        index = np.flatnonzero(test.keys["cutoff"] == cutoff)
        for name, values in scores.items():
            churned = test.y[index]
            rows.append(
                {
                    "cutoff": cutoff,
                    "model": name,
                    "rows": len(index),
                    "base_rate": float(churned.mean()),
                    **metrics(churned, values[index]),
                }
            )
    return pd.DataFrame(rows)


def roc_auc_difference(
    data: TrainingSet, left: Scores, right: Scores, seed: int, resamples: int = 100
) -> tuple[float, float]:
    """ROC-AUC of ``left`` less that of ``right``, and its standard error.

    The error is from a bootstrap over customers (Field and Welsh, 2007): a customer's rows at several cut-offs
    are not independent.
    """
    difference = roc_auc_score(data.y, left) - roc_auc_score(data.y, right)
    customers = pd.factorize(data.keys["customer_id"])[0]
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        times_drawn = np.bincount(
            generator.integers(0, customers.max() + 1, customers.max() + 1), minlength=customers.max() + 1
        )
        weight = times_drawn[customers]
        draws.append(
            roc_auc_score(data.y, left, sample_weight=weight) - roc_auc_score(data.y, right, sample_weight=weight)
        )
    return float(difference), float(np.std(draws, ddof=1))
