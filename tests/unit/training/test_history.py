"""Length of the history and gaps between purchases: known before a feature is built."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.shops.generators import bg_nbd_shop, seasonal_shop, subscription_shop
from feature_repo.labels import closed_cutoffs
from holdfast.training.history import NO_GAPS, PurchaseGaps, ShopHistory, find_needed_end, fit_horizon, read_history
from holdfast.training.time_split import NotEnoughHistoryError, split_by_time
from tests.support.small_shop import AS_OF, KNOWN_AT, copy_shop, transactions, use_data_folder

FIRST = datetime(2004, 1, 15, 13, tzinfo=UTC)


@settings(deadline=None)
@given(
    hours=st.integers(0, 20 * 365 * 24),
    horizon=st.integers(1, 200),
    min_history=st.integers(0, 120),
)
def test_find_needed_end_is_the_earliest_with_which_a_split_exists(hours: int, horizon: int, min_history: int) -> None:
    first = FIRST + timedelta(hours=hours)
    needed = find_needed_end(first, horizon, min_history)

    def can_split(end: datetime) -> bool:
        cutoffs = closed_cutoffs(first, end, horizon, min_history)
        try:
            split_by_time(cutoffs, horizon, test_cutoffs=4, folds=5, min_fit_cutoffs=2)
        except NotEnoughHistoryError:
            return False
        return True

    assert can_split(needed)
    assert not can_split(needed - timedelta(seconds=1))


_GAPS_OF_CUSTOMERS = st.lists(st.lists(st.integers(1, 900), min_size=1, max_size=12), min_size=1, max_size=12)


def make_gaps(customers: Sequence[Sequence[float]]) -> PurchaseGaps:
    """Gaps of customers, each with a list of days."""
    rows = [(str(number), days) for number, gaps in enumerate(customers) for days in gaps]
    return PurchaseGaps.of([name for name, _ in rows], [float(days) for _, days in rows])


class TestHorizon:
    @given(_GAPS_OF_CUSTOMERS, st.integers(1, 400))
    def test_fit_horizon_proposal_covers_four_of_five_gaps_of_the_mean_customer(
        self, customers: list[list[int]], horizon: int
    ) -> None:
        def covered(days: int) -> float:
            return float(np.mean([np.mean(np.array(gaps) <= days) for gaps in customers]))

        fit = fit_horizon(make_gaps(customers), horizon)
        assert fit.covered == pytest.approx(covered(horizon))
        assert fit.proposed_days is not None and fit.proposed_days % 10 == 0
        assert fit.proposed_days == 730 or covered(fit.proposed_days) >= 0.8 - 1e-9
        assert fit.proposed_days == 10 or covered(fit.proposed_days - 10) < 0.8

    @given(_GAPS_OF_CUSTOMERS, st.integers(1, 50))
    def test_fit_horizon_customer_that_buys_more_often_the_same_way_changes_nothing(
        self, customers: list[list[int]], times: int
    ) -> None:
        often = [customers[0] * times, *customers[1:]]
        assert fit_horizon(make_gaps(often), 90).proposed_days == fit_horizon(make_gaps(customers), 90).proposed_days

    def test_fit_horizon_without_gaps_proposes_nothing(self) -> None:
        fit = fit_horizon(NO_GAPS, 90)
        assert (fit.proposed_days, fit.is_bad) == (None, False)

    @pytest.mark.parametrize(
        ("gap", "horizon", "bad"), [(30, 90, False), (29, 91, True), (80, 90, False), (500, 90, True), (7, 31, True)]
    )
    def test_fit_horizon_far_from_the_gaps_is_bad(self, gap: int, horizon: int, bad: bool) -> None:
        assert fit_horizon(make_gaps([[gap]] * 50), horizon).is_bad is bad

    @pytest.mark.parametrize("kind", [bg_nbd_shop, seasonal_shop, subscription_shop])
    def test_fit_horizon_active_customers_that_return_do_so_within_it(
        self, kind: Callable[[int], pd.DataFrame]
    ) -> None:
        """About four of five of them, at the cut-offs that have the rest of the data to return in."""
        rows = kind(3)
        rows = rows[rows["amount"] > 0].assign(day=pd.to_datetime(rows["event_timestamp"]).dt.floor("D"))
        days = rows[["customer_id", "day"]].drop_duplicates().sort_values(["customer_id", "day"])
        gaps = days.groupby("customer_id")["day"].diff().dt.days
        found = PurchaseGaps.of(days["customer_id"][gaps.notna()].to_numpy(), gaps[gaps.notna()].to_numpy())
        proposed = fit_horizon(found, 90).proposed_days
        assert proposed is not None
        first, last = days["day"].min(), days["day"].max()
        waits: list[int] = []
        for cutoff in pd.date_range(first + timedelta(days=60), first + (last - first) * 0.6, freq="MS"):
            before, after = days[days["day"] < cutoff], days[days["day"] >= cutoff]
            active = before[before["day"] >= cutoff - timedelta(days=180)]["customer_id"].unique()
            returned = after[after["customer_id"].isin(active)].groupby("customer_id")["day"].min()
            waits += (returned - cutoff).dt.days.tolist()
        assert np.mean(np.array(waits) <= proposed) > 0.72


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopHistory]:
    folder: Path = tmp_path_factory.mktemp("history")
    with use_data_folder(copy_shop(folder)) as found:
        yield read_history(found, AS_OF, KNOWN_AT)


def test_read_history_counts_customers_and_gaps(shop: ShopHistory) -> None:
    assert shop.customers > 50
    assert shop.days > 300
    days: dict[str, list[date]] = {}
    for row in transactions():
        if row.amount > 0 and row.event_timestamp < AS_OF and row.ingested_at <= KNOWN_AT:
            days.setdefault(row.customer_id, []).append(row.event_timestamp.date())
    ordered = [sorted(set(found)) for found in days.values()]
    expected = make_gaps([[(b - a).days for a, b in pairwise(found)] for found in ordered])
    assert shop.customers == len(ordered)
    np.testing.assert_array_equal(shop.gaps.days, expected.days)
    np.testing.assert_allclose(shop.gaps.weights, expected.weights)
    assert shop.gaps.count == expected.count


def test_read_history_without_batches_is_empty(tmp_path: Path) -> None:
    with use_data_folder(tmp_path) as found:
        history = read_history(found, AS_OF, KNOWN_AT)
    assert (history.customers, history.days, history.gaps.count) == (0, 0, 0)
