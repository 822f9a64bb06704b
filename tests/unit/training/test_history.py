"""Length of the history and gaps between purchases: known before a feature is built."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.labels import closed_cutoffs
from holdfast.training.history import ShopHistory, find_needed_end, fit_horizon, read_history
from holdfast.training.time_split import NotEnoughHistoryError, split_by_time
from tests.support.small_shop import AS_OF, KNOWN_AT, copy_shop, use_data_folder

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


class TestHorizon:
    @given(gaps=st.lists(st.integers(1, 900), min_size=1, max_size=60), horizon=st.integers(1, 400))
    def test_fit_horizon_proposal_covers_four_of_five_gaps(self, gaps: list[int], horizon: int) -> None:
        values = np.sort(np.array(gaps, dtype=np.float64))
        fit = fit_horizon(values, horizon)
        assert fit.proposed_days is not None and fit.proposed_days % 10 == 0
        assert fit.covered == pytest.approx((values <= horizon).mean())
        longest = np.quantile(values, 0.8)
        assert fit.proposed_days == 730 or fit.proposed_days >= longest > fit.proposed_days - 10 or longest < 10

    def test_fit_horizon_without_gaps_proposes_nothing(self) -> None:
        fit = fit_horizon(np.empty(0), 90)
        assert (fit.proposed_days, fit.is_bad) == (None, False)

    @pytest.mark.parametrize(
        ("gap", "horizon", "bad"), [(30, 90, False), (29, 91, True), (80, 90, False), (500, 90, True), (7, 31, True)]
    )
    def test_fit_horizon_far_from_the_gaps_is_bad(self, gap: int, horizon: int, bad: bool) -> None:
        assert fit_horizon(np.full(50, float(gap)), horizon).is_bad is bad


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopHistory]:
    folder: Path = tmp_path_factory.mktemp("history")
    with use_data_folder(copy_shop(folder)) as found:
        yield read_history(found, AS_OF, KNOWN_AT)


def test_read_history_counts_customers_and_gaps(shop: ShopHistory) -> None:
    assert shop.customers > 50
    assert shop.days > 300
    assert (np.diff(shop.gaps) >= 0).all() and shop.gaps.min() >= 1


def test_read_history_without_batches_is_empty(tmp_path: Path) -> None:
    with use_data_folder(tmp_path) as found:
        history = read_history(found, AS_OF, KNOWN_AT)
    assert (history.customers, history.days, len(history.gaps)) == (0, 0, 0)
