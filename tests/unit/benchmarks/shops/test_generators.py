"""Generators of shops: what defines each kind holds for any seed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.shops.generators import (
    _BREAK,
    COLUMNS,
    DAYS,
    FIRST_DAY,
    KINDS,
    bg_nbd_shop,
    break_shop,
    growing_shop,
    no_signal_shop,
    seasonal_shop,
    shrinking_shop,
    subscription_shop,
    twenty_customers,
)

SEEDS = settings(max_examples=5, deadline=None)
seeds = st.integers(0, 10_000)


def _days(shop: pd.DataFrame) -> np.ndarray:
    return ((shop["event_timestamp"] - FIRST_DAY) / pd.Timedelta(days=1)).to_numpy()


def _first_days(shop: pd.DataFrame) -> np.ndarray:
    return _days(shop.groupby("customer_id", as_index=False)["event_timestamp"].min())


def _active_churn(shop: pd.DataFrame, cutoff: float) -> pd.DataFrame:
    """Return recency, purchases and churn of the customers with a purchase in the 180 days before the cut-off."""
    table = shop.assign(day=_days(shop))
    before, after = table[table["day"] < cutoff], table[table["day"].between(cutoff, cutoff + 90)]
    rows = before.groupby("customer_id")["day"].agg(["max", "count"])
    rows = rows[rows["max"] >= cutoff - 180]
    return rows.assign(silence=cutoff - rows["max"], churned=~rows.index.isin(after["customer_id"]))


@pytest.mark.parametrize("name", KINDS)
@SEEDS
@given(seed=seeds)
def test_shop_is_a_function_of_the_seed(name: str, seed: int) -> None:
    shop = KINDS[name].generate(seed)
    pd.testing.assert_frame_equal(shop, KINDS[name].generate(seed))
    assert not shop.equals(KINDS[name].generate(seed + 1))
    assert shop.columns.tolist() == COLUMNS
    assert shop["event_timestamp"].is_monotonic_increasing
    assert (shop["amount"] > 0).all()
    assert 0 <= _days(shop).min() < _days(shop).max() < DAYS


@SEEDS
@given(seed=seeds)
def test_bg_nbd_shop_has_customers_who_leave_after_the_first_purchase(seed: int) -> None:
    shop = bg_nbd_shop(seed)
    old = shop[shop["customer_id"].isin(shop["customer_id"][_days(shop) < DAYS / 2])]
    single = (old.groupby("customer_id").size() == 1).mean()
    assert 0.2 < single < 0.45  # a / (a + b) = .24 leave at once, and some buy seldom


@SEEDS
@given(seed=seeds)
def test_seasonal_shop_sells_more_before_christmas(seed: int) -> None:
    shop = seasonal_shop(seed)
    month = shop["event_timestamp"].dt.month[shop["event_timestamp"].dt.year == 2022]
    assert month.isin([11, 12]).sum() > 2 * month.isin([5, 6]).sum()


@SEEDS
@given(seed=seeds)
def test_growing_and_shrinking_shops_change_their_number_of_new_customers(seed: int) -> None:
    for shop, low, high in ((growing_shop(seed), 2, 5), (shrinking_shop(seed), 1 / 5, 1 / 2)):
        first = _first_days(shop)
        assert low < ((first >= 365) & (first < 730)).sum() / (first < 365).sum() < high


@SEEDS
@given(seed=seeds)
def test_break_shop_has_a_higher_churn_after_the_break(seed: int) -> None:
    shop = break_shop(seed)
    before, after = (_active_churn(shop, day)["churned"].mean() for day in (_BREAK - 95, _BREAK + 100))
    assert after > before + 0.1


@SEEDS
@given(seed=seeds)
def test_subscription_shop_has_gaps_of_thirty_days(seed: int) -> None:
    shop = subscription_shop(seed)
    gaps = shop.assign(day=_days(shop)).groupby("customer_id")["day"].diff().dropna()
    assert gaps.median() == pytest.approx(30, abs=0.5)
    assert gaps.quantile(0.99) < 40


@SEEDS
@given(seed=seeds)
def test_no_signal_shop_churns_independently_of_the_past(seed: int) -> None:
    rows = _active_churn(no_signal_shop(seed, customers=3000), DAYS - 95)
    for past in ("silence", "count"):
        high = rows[past] > rows[past].median()
        difference = rows["churned"][high].mean() - rows["churned"][~high].mean()
        assert abs(difference) < 4 * np.sqrt(0.25 * (1 / high.sum() + 1 / (~high).sum()))
    assert rows["churned"].mean() == pytest.approx(np.exp(-0.9), abs=0.05)


@SEEDS
@given(seed=seeds)
def test_shops_with_signal_churn_more_after_a_longer_silence(seed: int) -> None:
    for name, kind in KINDS.items():
        if kind.has_signal and name != "twenty_customers":
            rows = _active_churn(kind.generate(seed), DAYS - 95)
            silent = rows["silence"] > rows["silence"].median()
            assert rows["churned"][silent].mean() > rows["churned"][~silent].mean() + 0.1, name


def test_twenty_customers_are_twenty() -> None:
    assert {twenty_customers(seed)["customer_id"].nunique() for seed in range(10)} == {20}
