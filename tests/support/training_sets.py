"""Synthetic training sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from holdfast.models.categories import encode_categories
from holdfast.models.contract import Feature
from holdfast.models.label import RECENCY_FEATURE
from holdfast.training.dataset import PurchaseHistory, TrainingSet
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


def shop_training_set(customers: int, months: int, seed: int = 0) -> TrainingSet:
    """Simulate purchases, and draw a training set with the purchase history and inputs of a purchase model.

    Customers purchase at rates that vary, become inactive with probability 0.15 after each purchase, and are labeled at
    every cut-off up to 400 days after their last purchase. Of two further inputs one is noise and one has nulls.
    """
    rng = np.random.default_rng(seed)
    cutoffs = month_starts(months)
    start = cutoffs[0] - timedelta(days=400)
    purchases = []
    for _ in range(customers):
        days, gap = [int(rng.integers(0, 400))], 1 / rng.gamma(1.5, 1 / 25)
        while rng.random() > 0.15 and days[-1] < 400 + 31 * (months + 4):
            days.append(days[-1] + 1 + int(rng.exponential(gap)))
        purchases.append(np.array(days))
    rows, histories = [], {}
    for cutoff in cutoffs:
        now = (cutoff - start).days
        known = [(customer, days[days < now], days[days >= now]) for customer, days in enumerate(purchases)]
        histories[cutoff] = PurchaseHistory(
            *np.array([(len(past) - 1, past[-1] - past[0], now - past[0]) for _, past, _ in known], dtype=float).T
        )
        for customer, past, future in known:
            if now - past[-1] <= 400:
                churned = not (future < now + 90).any()
                rows.append((churned, customer, cutoff, len(past), now - past[0], now - past[-1]))
    churned, ids, at, days, tenure, silence = zip(*rows, strict=True)
    noise, curve = rng.normal(size=(2, len(rows)))
    data = make_training_set(
        churned, ids, at, purchase_days=days, tenure_days=tenure, days_since_last_purchase=silence,
        noise=noise, curve=np.where(rng.random(len(rows)) < 0.1, np.nan, curve),
    )  # fmt: skip
    inputs = [replace(feature, increasing=feature.name == RECENCY_FEATURE) for feature in data.inputs]
    return replace(data, inputs=inputs, histories=histories)


def default_split(data: TrainingSet) -> TimeSplit:
    """Split the cut-offs of a training set with the default settings and an embargo of 90 days."""
    return split_by_time([cutoff.to_pydatetime() for cutoff in sorted(data.keys["cutoff"].unique())], 90, 4, 5, 2)


def add_text_input(data: TrainingSet, name: str, values: Sequence[str | None]) -> TrainingSet:
    """Add a categorical input after the others."""
    texts = tuple(sorted({value for value in values if value is not None}))
    return replace(
        data,
        x=np.column_stack([data.x, encode_categories(values)]),
        inputs=[*data.inputs, Feature("synthetic", name, "String", True)],
        texts={**data.texts, name: texts},
    )


def country_training_set(
    customers: int, months: int, effects: Mapping[str | None, float], seed: int = 0, noise: Sequence[str] = ()
) -> TrainingSet:
    """Draw a training set of a number and a country, which has the given effect on the log-odds of churn.

    Each customer has one country at all cut-offs. With ``noise`` there is a second text, without an effect.
    """
    rng = np.random.default_rng(seed)
    countries = [*effects]
    chosen = [countries[i] for i in rng.integers(0, len(countries), customers)] * months
    number = rng.normal(size=customers * months)
    log_odds = 0.5 * number + np.array([effects[country] for country in chosen])
    data = make_training_set(
        rng.random(len(chosen)) < expit(log_odds),
        np.tile(np.arange(customers), months),
        np.repeat(np.array(month_starts(months), dtype=object), customers).tolist(),
        days_since_last_purchase=number,
    )
    data = add_text_input(data, "country", chosen)
    return add_text_input(data, "noise", rng.choice(noise, len(chosen)).tolist()) if noise else data
