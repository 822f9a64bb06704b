"""No label that judges a model has been seen by it: an embargo between every fit and every judgement."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feature_repo.labels import closed_cutoffs
from flows.training.settings import TrainingSettings
from flows.training.split import NotEnoughHistoryError, TimeSplit, split_by_time
from tests.feature_repo.strategies import EXAMPLES

DEFAULTS = TrainingSettings()
CDNOW_FIRST = datetime(1997, 1, 1, tzinfo=UTC)


def _monthly(count: int, year: int = 1997) -> list[datetime]:
    return [datetime(year + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(count)]


def _cdnow(as_of: datetime) -> TimeSplit:
    cutoffs = closed_cutoffs(CDNOW_FIRST, as_of, 90, DEFAULTS.min_history_days)
    return split_by_time(cutoffs, 90, DEFAULTS.test_cutoffs, DEFAULTS.validation_cutoffs, DEFAULTS.min_fit_cutoffs)


def _names(cutoffs: tuple[datetime, ...]) -> list[str]:
    return [f"{cutoff:%Y-%m}" for cutoff in cutoffs]


_cutoffs = st.builds(_monthly, st.integers(0, 40), st.integers(1990, 2030))
_counts = st.tuples(st.integers(1, 8), st.integers(1, 4), st.integers(1, 4))


@given(_cutoffs, st.integers(1, 200), _counts)
@EXAMPLES
def test_an_embargo_holds_between_whatever_fits_and_whatever_judges(
    cutoffs: list[datetime], horizon_days: int, counts: tuple[int, int, int]
) -> None:
    try:
        split = split_by_time(cutoffs, horizon_days, *counts)
    except NotEnoughHistoryError:
        assume(False)
    horizon = timedelta(days=horizon_days)
    for fitted, judged in ((split.fit, split.validation), (split.development, split.test)):
        assert all(before + horizon <= after for before, after in product(fitted, judged))
    for part in (split.fit, split.validation, split.development, split.test):
        assert list(part) == sorted(set(part))
        assert set(part) <= set(cutoffs)
    assert set(split.fit) | set(split.validation) <= set(split.development)
    assert not set(split.fit) & set(split.validation)
    assert not set(split.development) & set(split.test)
    tested, validated, least = counts
    assert 1 <= len(split.test) <= tested
    assert 1 <= len(split.validation) <= validated
    assert len(split.fit) >= least
    # The latest test, those right before the embargo validate, and nothing that may be used is left out.
    assert list(split.test) == cutoffs[-len(split.test) :]
    assert split.validation == split.development[-len(split.validation) :]
    assert set(split.development) == {cutoff for cutoff in cutoffs if cutoff + horizon <= split.test[0]}
    assert set(split.fit) == {cutoff for cutoff in split.development if cutoff + horizon <= split.validation[0]}


@given(_cutoffs, st.integers(1, 200), _counts)
@EXAMPLES
def test_it_gives_up_only_when_one_test_and_one_validation_cutoff_are_too_many(
    cutoffs: list[datetime], horizon_days: int, counts: tuple[int, int, int]
) -> None:
    horizon, least = timedelta(days=horizon_days), counts[2]
    development = [cutoff for cutoff in cutoffs if cutoff + horizon <= cutoffs[-1]]
    fit = [cutoff for cutoff in development if cutoff + horizon <= development[-1]]
    if len(fit) >= least:
        split_by_time(cutoffs, horizon_days, *counts)
    else:
        with pytest.raises(NotEnoughHistoryError):
            split_by_time(cutoffs, horizon_days, *counts)


@given(_cutoffs, st.integers(1, 200), _counts)
@EXAMPLES
def test_nothing_shrinks_while_there_is_enough(
    cutoffs: list[datetime], horizon_days: int, counts: tuple[int, int, int]
) -> None:
    tested, validated, least = counts
    assume(len(cutoffs) >= tested)
    horizon = timedelta(days=horizon_days)
    development = [cutoff for cutoff in cutoffs if cutoff + horizon <= cutoffs[-tested]]
    assume(len(development) >= validated)
    fit = [cutoff for cutoff in development if cutoff + horizon <= development[-validated]]
    assume(len(fit) >= least)
    split = split_by_time(cutoffs, horizon_days, *counts)
    assert (len(split.test), len(split.validation), len(split.fit)) == (tested, validated, len(fit))


class TestCdnow:
    def test_all_of_it(self) -> None:
        split = _cdnow(datetime(1998, 7, 1, tzinfo=UTC))
        assert _names(split.test) == ["1997-11", "1997-12", "1998-01", "1998-02", "1998-03", "1998-04"]
        assert _names(split.validation) == ["1997-07", "1997-08"]
        assert _names(split.fit) == ["1997-02", "1997-03", "1997-04"]

    def test_four_months_less_still_test(self) -> None:
        split = _cdnow(datetime(1998, 3, 1, tzinfo=UTC))
        assert _names(split.test)[-1] == "1997-12"
        assert 1 <= len(split.test) < 6
        assert len(split.fit) >= 2

    def test_too_early_says_what_to_do(self) -> None:
        with pytest.raises(NotEnoughHistoryError) as error:
            _cdnow(datetime(1997, 10, 1, tzinfo=UTC))
        for part in ("6 monthly cut-offs", "90-day horizon", "embargo of 90 days", "HOLDFAST_HORIZON_DAYS"):
            assert part in str(error.value)


def test_no_cutoffs_are_not_enough() -> None:
    with pytest.raises(NotEnoughHistoryError, match=r"^0 monthly cut-offs"):
        split_by_time([], 90, 6, 2, 2)


def test_a_horizon_that_ends_at_the_next_cutoff_does_not_overlap_it() -> None:
    cutoffs = _monthly(3, 2023)
    assert split_by_time(cutoffs, 28, 1, 1, 1).fit == (cutoffs[0],)
    february_to_march = split_by_time(cutoffs[:3], 28, 1, 1, 1)
    assert february_to_march.validation == (cutoffs[1],)
    with pytest.raises(NotEnoughHistoryError):
        split_by_time(cutoffs, 29, 1, 1, 1)
