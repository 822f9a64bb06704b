"""Cut-offs of a shop with a month that was never exported, and with a stray row."""

import contextlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.settings import Settings
from feature_repo.transformations import BUILDERS
from holdfast.batch_scoring.outcomes import find_outcome_gap, is_mature
from holdfast.ingestion.history_extent import DataGap
from holdfast.reporting.history_report import find_short_history
from holdfast.training.dataset import find_labeled_cutoffs
from holdfast.training.history import ShopHistory, find_needed_end, read_history
from holdfast.training.label_query import current_label
from holdfast.training.labeled_cutoffs import LONGEST_FEATURE_WINDOW, MaxCutoffsError, select_labeled_cutoffs
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import NotEnoughHistoryError, split_by_time
from tests.support.feature_oracle import Transaction
from tests.support.small_shop import AS_OF, FIRST, ingest, transactions
from tests.unit.reporting.test_run_report import make_options

ARRIVAL, LATER = datetime(2025, 6, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
GAP_START, GAP_END = datetime(2023, 6, 1, tzinfo=UTC), datetime(2023, 7, 1, tzinfo=UTC)
MONTHS = [datetime(2023 + number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in range(2, 16)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The small shop without June 2023, and with one row of 2025."""
    data = tmp_path_factory.mktemp("gap") / "data"
    rows = [row for row in transactions() if not GAP_START <= row.event_timestamp < GAP_END]
    ingest(data, [*rows, Transaction("c001", datetime(2025, 3, 5, tzinfo=UTC), 9.0, ARRIVAL)], ARRIVAL)
    return Settings(data=data)


class TestLabeledCutoffs:
    @pytest.mark.parametrize("as_of", [AS_OF, LATER])
    def test_find_labeled_cutoffs_missing_month_leaves_out_what_needs_it(self, shop: Settings, as_of: datetime) -> None:
        found = find_labeled_cutoffs(shop, as_of, LATER, 30)
        left_out = [
            month
            for month in MONTHS
            if month - timedelta(days=180) < GAP_END and month + timedelta(days=90) > GAP_START
        ]
        assert list(found.left_out) == left_out == MONTHS[1:10]
        assert found.used == [month for month in MONTHS if month not in left_out]
        assert set(found.left_out.values()) == {DataGap(GAP_START, GAP_END, 0)}

    def test_find_labeled_cutoffs_before_the_first_transaction_are_none(self, shop: Settings) -> None:
        found = find_labeled_cutoffs(shop, FIRST - timedelta(days=1), LATER, 30)
        assert found.used == []
        with pytest.raises(NotEnoughHistoryError, match=r"^Monthly cut-offs .*: 0\. .* use a later as_of"):
            found.split(TrainingSettings())

    def test_split_of_the_remaining_cutoffs_has_no_other(self, shop: Settings) -> None:
        found = find_labeled_cutoffs(shop, AS_OF, ARRIVAL, 30)
        split = split_by_time(found.used, 90, 4, 5, 2)
        assert set(split.cutoffs) <= set(found.used) and not set(split.cutoffs) & set(found.left_out)

    def test_describe_names_gap_cutoffs_and_what_remains(self, shop: Settings) -> None:
        (note,) = find_labeled_cutoffs(shop, AS_OF, ARRIVAL, 30).describe()
        assert note.startswith("Gap in the data: 2023-06-01 to 2023-06-30 (30 days).")
        assert "cut-offs 2023-04-01 to 2023-12-01 (9), whose" in note
        assert note.endswith("Cut-offs that remain: 5.")

    def test_select_labeled_cutoffs_short_activity_window_counts_feature_windows(self) -> None:
        gap = DataGap(GAP_START, GAP_END, 0)
        found = [select_labeled_cutoffs(FIRST, AS_OF, [gap], 90, days, 30) for days in (30, 180, 240)]
        assert found[0] == found[1]
        assert len(found[2].left_out) == len(found[1].left_out) + 2

    @given(st.integers(2, 40), st.integers(1, 400), st.integers(0, 2000), st.integers(2, 15))
    def test_split_too_few_cutoffs_by_setting_names_how_many_suffice(
        self, months: int, horizon: int, first: int, limit: int
    ) -> None:
        start = FIRST + timedelta(days=first)
        end = start + timedelta(days=31 * months)
        labeled = select_labeled_cutoffs(start, end, [], horizon, 180, 0)

        def has_split(max_cutoffs: int) -> bool:
            try:
                return bool(labeled.split(TrainingSettings(max_cutoffs=max_cutoffs)))
            except (NotEnoughHistoryError, MaxCutoffsError):
                return False

        if has_split(limit) or not has_split(1000):
            with contextlib.suppress(NotEnoughHistoryError):
                labeled.split(TrainingSettings(max_cutoffs=limit))
            return
        with pytest.raises(MaxCutoffsError) as raised:
            labeled.split(TrainingSettings(max_cutoffs=limit))
        needed = int(re.findall(r"Set max_cutoffs to (\d+)", str(raised.value))[0])
        assert has_split(needed) and not has_split(needed - 1)

    def test_longest_feature_window_is_that_of_the_transformations(self) -> None:
        import inspect

        days = re.findall(r"\b(\d+)(?=[,)])", inspect.getsource(BUILDERS["customer_recent_activity"]))
        assert max(int(text) for text in days if int(text) < 1000) == LONGEST_FEATURE_WINDOW


class TestOutcomes:
    @pytest.mark.parametrize(
        ("cohort", "mature"),
        [
            ("2023-03-01", True),  # the horizon ends on 30 May
            ("2023-03-10", False),
            ("2023-06-15", False),
            ("2023-06-28", False),
            ("2023-07-05", True),
            ("2024-04-02", True),
            ("2024-04-15", False),  # beyond the end of the data, whatever row there is of 2025
        ],
    )
    def test_is_mature_horizon_with_gap_has_no_outcomes(self, shop: Settings, cohort: str, mature: bool) -> None:
        time = datetime.fromisoformat(cohort).replace(tzinfo=UTC)
        assert is_mature(shop, current_label(shop), time, LATER, ARRIVAL) is mature

    def test_is_mature_cohort_of_a_month_needs_every_horizon(self, shop: Settings) -> None:
        start, end = datetime(2023, 2, 20, tzinfo=UTC), datetime(2023, 3, 20, tzinfo=UTC)
        assert is_mature(shop, current_label(shop), start, AS_OF, ARRIVAL)
        assert not is_mature(shop, current_label(shop), start, AS_OF, ARRIVAL, end)
        gap = find_outcome_gap(shop, current_label(shop), start, end, AS_OF, ARRIVAL)
        assert gap is not None and gap.rows == 0


class TestShortHistory:
    def test_find_needed_end_with_gap_is_the_earliest_with_which_a_split_exists(self) -> None:
        for start in range(0, 400, 13):
            gap = DataGap(FIRST + timedelta(days=start), FIRST + timedelta(days=start + 40), 0)
            needed = find_needed_end(FIRST, 90, 30, 180, [gap])

            def split(end: datetime, gap: DataGap = gap) -> object:
                return split_by_time(select_labeled_cutoffs(FIRST, end, [gap], 90, 180, 30).used, 90, 4, 5, 2)

            assert split(needed)
            with pytest.raises(NotEnoughHistoryError):
                split(needed - timedelta(seconds=1))

    def test_find_short_history_gap_is_the_reason(self, shop: Settings) -> None:
        as_of = datetime(2024, 2, 1, tzinfo=UTC)
        history = read_history(shop, as_of, ARRIVAL)
        assert (history.end, len(history.data_gaps)) == (as_of, 1)
        report = find_short_history(history, TrainingSettings(), None, shop, make_options())
        assert report is not None and report.outcome == "too little history"
        assert "need the days of a gap in the data cannot be used: 2023-0" in report.text
        whole = ShopHistory(history.customers, history.first, history.end, history.gaps)
        assert find_short_history(whole, TrainingSettings(), None, shop, make_options()) is None

    def test_split_by_time_error_has_the_notes(self) -> None:
        with pytest.raises(NotEnoughHistoryError, match=r"HORIZON_DAYS\. Gap in the data"):
            split_by_time(MONTHS[:2], 90, 4, 5, 2, ["Gap in the data"])
