"""Time split: an embargo separates every fit from its validation and from the test."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feature_repo.labels import closed_cutoffs
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import NotEnoughHistoryError, TimeSplit, select_closed_cutoffs, split_by_time
from tests.support.strategies import EXAMPLES
from tests.support.training_sets import month_starts

DEFAULTS = TrainingSettings()
CDNOW_FIRST = datetime(1997, 1, 1, tzinfo=UTC)

Counts = tuple[int, int, int]


def _cdnow(as_of: datetime) -> TimeSplit:
    cutoffs = closed_cutoffs(CDNOW_FIRST, as_of, 90, DEFAULTS.min_history_days)
    return split_by_time(cutoffs, 90, DEFAULTS.test_cutoffs, DEFAULTS.folds, DEFAULTS.min_fit_cutoffs)


def _names(cutoffs: tuple[datetime, ...]) -> list[str]:
    return [f"{cutoff:%Y-%m}" for cutoff in cutoffs]


# Monthly, with gaps now and then.
_cutoffs = st.builds(
    lambda cutoffs, left_out: [cutoff for n, cutoff in enumerate(cutoffs) if n not in left_out],
    st.builds(month_starts, st.integers(0, 40), st.integers(1990, 2030)),
    st.sets(st.integers(0, 39), max_size=6),
)
_horizons = st.integers(1, 200)
_counts = st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(1, 4))


def _split_or_skip(cutoffs: list[datetime], horizon_days: int, counts: Counts) -> TimeSplit:
    try:
        return split_by_time(cutoffs, horizon_days, *counts)
    except NotEnoughHistoryError:
        assume(False)
        raise


def _developed(cutoffs: list[datetime], tested: int, horizon: timedelta) -> list[datetime]:
    """Return the development cut-offs for a given number of test cut-offs."""
    return [cutoff for cutoff in cutoffs if cutoff + horizon <= cutoffs[-tested]]


def _validation_cutoffs(development: list[datetime], horizon: timedelta, least: int) -> list[datetime]:
    """Return the cut-offs with enough closed cut-offs before them for validation."""
    return [
        cutoff for cutoff in development if sum(before + horizon <= cutoff for before in development) >= least
    ]  # fmt: skip


class TestEmbargo:
    @given(_cutoffs, _horizons, _counts)
    @EXAMPLES
    def test_split_by_time_any_history_embargo_before_validation_and_test(
        self, cutoffs: list[datetime], horizon_days: int, counts: Counts
    ) -> None:
        split, horizon = _split_or_skip(cutoffs, horizon_days, counts), timedelta(days=horizon_days)
        pairs = [(split.development, split.test), *((fold.fit, (fold.validation,)) for fold in split.folds)]
        for fitted, evaluated in pairs:
            assert all(before + horizon <= after for before, after in product(fitted, evaluated))

    def test_split_by_time_horizon_ends_at_next_cutoff_no_overlap(self) -> None:
        january, february, march = month_starts(3)
        split = split_by_time([january, february, march], 28, 1, 1, 1)  # February has 28 days
        assert split.development == (january, february)
        assert (split.folds[0].fit, split.folds[0].validation) == ((january,), february)
        later = split_by_time([january, february, march], 29, 1, 1, 1)
        assert (later.development, later.folds) == ((january,), ())

    @given(_cutoffs, _horizons, st.integers(0, 1500))
    @EXAMPLES
    def test_select_closed_cutoffs_any_time_whole_horizon_required(
        self, cutoffs: list[datetime], horizon_days: int, day: int
    ) -> None:
        assume(cutoffs)
        time = cutoffs[0] + timedelta(days=day)
        closed = select_closed_cutoffs(cutoffs, time, horizon_days)
        assert list(closed) == [cutoff for cutoff in cutoffs if (time - cutoff).days >= horizon_days]


class TestUse:
    @given(_cutoffs, _horizons, _counts)
    @EXAMPLES
    def test_split_by_time_any_history_latest_cutoffs_tested_and_all_usable_used(
        self, cutoffs: list[datetime], horizon_days: int, counts: Counts
    ) -> None:
        split, horizon = _split_or_skip(cutoffs, horizon_days, counts), timedelta(days=horizon_days)
        tested, folds, least = counts
        assert 1 <= len(split.test) <= tested
        assert len(split.folds) <= folds
        assert list(split.test) == cutoffs[-len(split.test) :]
        assert list(split.development) == _developed(cutoffs, len(split.test), horizon) != []
        validation = _validation_cutoffs(list(split.development), horizon, least)
        assert [fold.validation for fold in split.folds] == validation[-folds:]
        for fold in split.folds:
            assert list(fold.fit) == [cutoff for cutoff in split.development if cutoff + horizon <= fold.validation]
            assert len(fold.fit) >= least
        assert split.cutoffs == [*split.development, *split.embargo, *split.test] == cutoffs
        assert all(cutoff + horizon > split.test[0] for cutoff in split.embargo)

    @given(_cutoffs, _horizons, _counts)
    @EXAMPLES
    def test_split_by_time_earlier_start_adds_development_cutoffs(
        self, cutoffs: list[datetime], horizon_days: int, counts: Counts
    ) -> None:
        split = _split_or_skip(cutoffs, horizon_days, counts)
        assume(split.folds)
        earlier = [cutoffs[0] - timedelta(days=365), *cutoffs]
        longer = split_by_time(earlier, horizon_days, *counts)
        assert longer.test[-len(split.test) :] == split.test
        assert longer.development[0] == earlier[0]


class TestShortHistory:
    @given(_cutoffs, _horizons, _counts)
    @EXAMPLES
    def test_split_by_time_enough_history_full_lengths(
        self, cutoffs: list[datetime], horizon_days: int, counts: Counts
    ) -> None:
        tested, folds, least = counts
        horizon = timedelta(days=horizon_days)
        assume(len(cutoffs) >= tested)
        assume(len(_validation_cutoffs(_developed(cutoffs, tested, horizon), horizon, least)) >= folds)
        split = split_by_time(cutoffs, horizon_days, *counts)
        assert (len(split.test), len(split.folds)) == (tested, folds)

    @given(_cutoffs, _horizons, _counts)
    @EXAMPLES
    def test_split_by_time_short_history_test_shrinks_only_to_allow_fold(
        self, cutoffs: list[datetime], horizon_days: int, counts: Counts
    ) -> None:
        split, horizon = _split_or_skip(cutoffs, horizon_days, counts), timedelta(days=horizon_days)
        tested, _, least = counts
        for longer in range(len(split.test) + 1, min(tested, len(cutoffs)) + 1):
            development = _developed(cutoffs, longer, horizon)
            assert not (_validation_cutoffs(development, horizon, least) if split.folds else development)

    @given(_cutoffs, _horizons, _counts)
    @EXAMPLES
    def test_split_by_time_without_folds_only_if_no_test_length_allows_fold(
        self, cutoffs: list[datetime], horizon_days: int, counts: Counts
    ) -> None:
        split, horizon = _split_or_skip(cutoffs, horizon_days, counts), timedelta(days=horizon_days)
        if not split.folds:
            assert not _validation_cutoffs(_developed(cutoffs, 1, horizon), horizon, counts[2])

    @given(_cutoffs, _horizons, _counts)
    @EXAMPLES
    def test_split_by_time_without_closed_cutoff_before_last_raises(
        self, cutoffs: list[datetime], horizon_days: int, counts: Counts
    ) -> None:
        if cutoffs and cutoffs[0] + timedelta(days=horizon_days) <= cutoffs[-1]:
            split_by_time(cutoffs, horizon_days, *counts)
        else:
            with pytest.raises(NotEnoughHistoryError):
                split_by_time(cutoffs, horizon_days, *counts)

    def _shapes(self, horizon_days: int = 90) -> Iterator[tuple[int, int, int, int]]:
        for count in range(1, 18):
            try:
                split = split_by_time(month_starts(count), horizon_days, 4, 5, 2)
            except NotEnoughHistoryError:
                continue
            yield count, len(split.folds), len(split.development), len(split.test)

    def test_split_by_time_more_months_longer_split(self) -> None:
        """Draw cut-offs, folds, cut-offs to fit on, and test cut-offs."""
        assert list(self._shapes()) == [
            (4, 0, 1, 1), (5, 0, 1, 2), (6, 0, 1, 3), (7, 0, 1, 4), (8, 0, 1, 4),
            (9, 1, 6, 1), (10, 1, 6, 2), (11, 1, 6, 3), (12, 1, 6, 4),
            (13, 2, 7, 4), (14, 3, 8, 4), (15, 4, 9, 4), (16, 5, 10, 4), (17, 5, 11, 4),
        ]  # fmt: skip


class TestCdnow:
    def test_split_by_time_cdnow_equals_documented_split(self) -> None:
        split = _cdnow(datetime(1998, 7, 1, tzinfo=UTC))
        assert _names(split.test) == ["1998-01", "1998-02", "1998-03", "1998-04"]
        assert _names(split.development)[-1] == "1997-10"
        assert [_names((*fold.fit, fold.validation)) for fold in split.folds] == [
            ["1997-02", "1997-03", "1997-06"],
            ["1997-02", "1997-03", "1997-04", "1997-07"],
            ["1997-02", "1997-03", "1997-04", "1997-05", "1997-08"],
            ["1997-02", "1997-03", "1997-04", "1997-05", "1997-06", "1997-09"],
            ["1997-02", "1997-03", "1997-04", "1997-05", "1997-06", "1997-07", "1997-10"],
        ]

    def test_split_by_time_cdnow_four_months_less_has_test(self) -> None:
        split = _cdnow(datetime(1998, 3, 1, tzinfo=UTC))
        assert _names(split.test) == ["1997-09", "1997-10", "1997-11", "1997-12"]
        assert [fold.validation.month for fold in split.folds] == [6]

    def test_split_by_time_cdnow_too_early_raises(self) -> None:
        with pytest.raises(NotEnoughHistoryError) as error:
            _cdnow(datetime(1997, 6, 30, tzinfo=UTC))
        for part in ("known outcomes: 3", "after 90 days", "an embargo of as many days", "HOLDFAST_HORIZON_DAYS"):
            assert part in str(error.value)


def test_split_by_time_without_cutoffs_raises() -> None:
    with pytest.raises(NotEnoughHistoryError, match=r"^Monthly cut-offs with known outcomes: 0"):
        split_by_time([], 90, 4, 5, 2)
