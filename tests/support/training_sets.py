"""Synthetic training sets."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from holdfast.models.contract import Feature
from holdfast.training.dataset import TrainingSet
from holdfast.training.time_split import TimeSplit, split_by_time


def month_starts(count: int, year: int = 2023) -> list[datetime]:
    """Return the first of ``count`` months from January of ``year``."""
    return [datetime(year + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(count)]


def make_training_set(churned: Any, customers: Iterable[Any], cutoffs: Iterable[Any], **columns: Any) -> TrainingSet:
    """Build a training set from columns of the same length; customer ids are ``str(customer)``."""
    keys = pd.DataFrame(
        {
            "customer_id": [str(customer) for customer in customers],
            "cutoff": pd.Series(list(cutoffs)).astype("datetime64[us, UTC]"),
        }
    )
    x = np.column_stack([np.asarray(values, dtype=np.float64) for values in columns.values()] or [np.zeros(len(keys))])
    inputs = [Feature("synthetic", name, "Float64", True) for name in columns or ["nothing"]]
    return TrainingSet(keys, x, np.asarray(churned, dtype=bool), inputs)


def synthetic_training_set(customers: int, months: int, curvature: float = 0.0, seed: int = 0) -> TrainingSet:
    """Draw a training set with every customer at every cut-off and three inputs.

    The log-odds of churn increase with the first input and, ``curvature`` times as much, with the absolute value of the
    last, which a linear model cannot represent. The second input is noise; the last has nulls.
    """
    rng = np.random.default_rng(seed)
    rows = customers * months
    linear, noise, curve = rng.normal(size=(3, rows))
    log_odds = linear + curvature * (np.abs(curve) - 0.8)
    missing = np.where(rng.random(rows) < 0.1, np.nan, curve)
    return make_training_set(
        rng.random(rows) < expit(log_odds),
        np.tile(np.arange(customers), months),
        np.repeat(np.array(month_starts(months), dtype=object), customers).tolist(),
        days_since_last_purchase=linear,
        noise=noise,
        curve=missing,
    )


def default_split(data: TrainingSet) -> TimeSplit:
    """Split the cut-offs of a training set with the default settings and an embargo of 90 days."""
    return split_by_time([cutoff.to_pydatetime() for cutoff in sorted(data.keys["cutoff"].unique())], 90, 4, 5, 2)
