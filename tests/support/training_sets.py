"""Training sets made up for one purpose, small enough to see through."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from holdfast.models.contract import Feature
from holdfast.training.dataset import TrainingSet
from holdfast.training.time_split import TimeSplit, split_by_time


def monthly(count: int, year: int = 2023) -> list[datetime]:
    """The first of each month."""
    return [datetime(year + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(count)]


def training_set(churned: Any, customers: Iterable[Any], cutoffs: Iterable[Any], **columns: Any) -> TrainingSet:
    """Rows of these columns, all of the same length; a customer is named after its number."""
    keys = pd.DataFrame(
        {
            "customer_id": [str(customer) for customer in customers],
            "cutoff": pd.Series(list(cutoffs)).astype("datetime64[us, UTC]"),
        }
    )
    x = np.column_stack([np.asarray(values, dtype=np.float64) for values in columns.values()] or [np.zeros(len(keys))])
    inputs = [Feature("made_up", name, "Float64", True) for name in columns or ["nothing"]]
    return TrainingSet(keys, x, np.asarray(churned, dtype=bool), inputs)


def months_of(customers: int, months: int, bent: float = 0.0, seed: int = 0) -> TrainingSet:
    """Every customer at every cut-off with three inputs, nulls in the last; the second is noise.

    Log-odds of churn go up with the first input and, ``bent`` times as much, with the distance of the last from zero:
    what a straight line cannot say.
    """
    rng = np.random.default_rng(seed)
    rows = customers * months
    straight, noise, curve = rng.normal(size=(3, rows))
    log_odds = straight + bent * (np.abs(curve) - 0.8)
    missing = np.where(rng.random(rows) < 0.1, np.nan, curve)
    return training_set(
        rng.random(rows) < expit(log_odds),
        np.tile(np.arange(customers), months),
        np.repeat(np.array(monthly(months), dtype=object), customers).tolist(),
        days_since_last_purchase=straight,
        noise=noise,
        curve=missing,
    )


def split_of(data: TrainingSet) -> TimeSplit:
    """The split of its cut-offs with the default settings and an embargo of 90 days."""
    return split_by_time([cutoff.to_pydatetime() for cutoff in sorted(data.keys["cutoff"].unique())], 90, 4, 5, 2)
