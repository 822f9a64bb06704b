"""Tests of churn labels and closed cut-offs against the oracle."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from feature_repo.labels import churn_labels, closed_cutoffs
from tests.support import feature_oracle
from tests.support.feature_oracle import MICROSECOND, Transaction
from tests.support.strategies import CUSTOMERS, EXAMPLES, FEWER_EXAMPLES, amounts, as_ofs, instants, table

CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
HORIZON, ACTIVITY = 90, 180

Label = Callable[..., list[tuple[str, datetime, bool]]]


def cutoff_table(cutoffs: Iterable[datetime]) -> ir.Table:
    return ibis.memtable(pa.table({"cutoff": pa.array(list(cutoffs), pa.timestamp("us", "UTC"))}))


@pytest.fixture(scope="module")
def connection() -> Backend:
    return ibis.duckdb.connect()


@pytest.fixture(scope="module")
def label(connection: Backend) -> Label:
    """Labels plain rows: sorted (customer, cut-off, churned)."""

    def run(
        rows: Iterable[Transaction],
        cutoffs: Iterable[datetime] = (CUTOFF,),
        horizon_days: int = HORIZON,
        activity_days: int = ACTIVITY,
    ) -> list[tuple[str, datetime, bool]]:
        result = connection.to_pyarrow(churn_labels(table(rows), cutoff_table(cutoffs), horizon_days, activity_days))
        return sorted((row["customer_id"], row["cutoff"], row["churned"]) for row in result.to_pylist())

    return run


def bought(time: datetime, amount: float = 1.0, customer: str = "a") -> Transaction:
    return Transaction(customer, time, amount, ingested_at=time)


RECENTLY = bought(CUTOFF - timedelta(days=10))


@st.composite
def label_cases(draw: st.DrawFn) -> tuple[list[Transaction], list[datetime], int, int]:
    """Transactions at and around the edges of up to three cut-offs, some of them given twice."""
    horizon_days, activity_days = draw(st.integers(1, 120)), draw(st.integers(1, 200))
    cutoffs = draw(st.lists(as_ofs, min_size=1, max_size=3))
    if draw(st.booleans()):  # close enough for their windows to overlap
        cutoffs.append(cutoffs[0] + timedelta(days=draw(st.integers(0, 60))))
    edges = [cutoff + timedelta(days=days) for cutoff in cutoffs for days in (-activity_days, 0, horizon_days)]
    near = st.builds(
        lambda cutoff, days: cutoff + timedelta(days=days), st.sampled_from(cutoffs), st.integers(-220, 140)
    )
    rows = st.builds(
        bought,
        time=st.one_of(instants(edges), near),
        amount=amounts,
        customer=st.sampled_from(CUSTOMERS),
    )
    return draw(st.lists(rows, max_size=20)), cutoffs, horizon_days, activity_days


LabelCase = tuple[list[Transaction], list[datetime], int, int]


class TestChurnLabels:
    @EXAMPLES
    @given(case=label_cases())
    def test_churn_labels_any_shop_equals_oracle(self, label: Label, case: LabelCase) -> None:
        expected = feature_oracle.churn_labels(*case)
        assert label(*case) == sorted((*key, churned) for key, churned in expected.items())

    @FEWER_EXAMPLES
    @given(case=label_cases(), data=st.data())
    def test_churn_labels_order_of_rows_and_cutoffs_has_no_effect(
        self, label: Label, case: LabelCase, data: st.DataObject
    ) -> None:
        rows, cutoffs, *days = case
        rows, cutoffs = data.draw(st.permutations(rows)), data.draw(st.permutations(cutoffs))
        assert label(rows, cutoffs, *days) == label(*case)

    @pytest.mark.parametrize(
        ("time", "churned"),
        [
            (CUTOFF - MICROSECOND, True),
            (CUTOFF, False),
            (CUTOFF + timedelta(days=HORIZON) - MICROSECOND, False),
            (CUTOFF + timedelta(days=HORIZON), True),
        ],
    )
    def test_churn_labels_horizon_is_half_open(self, label: Label, time: datetime, churned: bool) -> None:
        assert label([RECENTLY, bought(time)]) == [("a", CUTOFF, churned)]

    @pytest.mark.parametrize(
        ("time", "active"),
        [
            (CUTOFF - timedelta(days=ACTIVITY) - MICROSECOND, False),
            (CUTOFF - timedelta(days=ACTIVITY), True),
            (CUTOFF - MICROSECOND, True),
            (CUTOFF, False),
        ],
    )
    def test_churn_labels_only_active_customers_are_labeled(self, label: Label, time: datetime, active: bool) -> None:
        assert label([bought(time)]) == ([("a", CUTOFF, True)] if active else [])

    def test_churn_labels_purchase_after_cutoff_does_not_make_active(self, label: Label) -> None:
        assert label([bought(CUTOFF - timedelta(days=400)), bought(CUTOFF + timedelta(days=5))]) == []

    def test_churn_labels_return_is_not_a_purchase(self, label: Label) -> None:
        assert label([RECENTLY, bought(CUTOFF + timedelta(days=5), -1.0)]) == [("a", CUTOFF, True)]
        assert label([bought(CUTOFF - timedelta(days=5), -1.0)]) == []

    def test_churn_labels_customer_and_cutoff_occur_once(self, label: Label) -> None:
        rows = [bought(CUTOFF + timedelta(days=days), customer=c) for days in range(-9, 9) for c in "ab"]
        assert label(rows, [CUTOFF, CUTOFF]) == [("a", CUTOFF, False), ("b", CUTOFF, False)]

    def test_churn_labels_one_customer_at_several_cutoffs(self, label: Label) -> None:
        cutoffs = [CUTOFF, datetime(2024, 4, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)]
        rows = [bought(datetime(2024, 2, 20, tzinfo=UTC)), bought(datetime(2024, 3, 20, tzinfo=UTC))]
        assert label(rows, cutoffs) == [("a", cutoffs[0], False), ("a", cutoffs[1], True)]

    def test_churn_labels_no_transactions_return_no_labels(self, connection: Backend) -> None:
        result = connection.to_pyarrow(churn_labels(table([]), cutoff_table([CUTOFF]), HORIZON, ACTIVITY))
        assert result.num_rows == 0
        assert {field.name: field.type for field in result.schema} == {
            "customer_id": pa.string(),
            "cutoff": pa.timestamp("us", tz="UTC"),
            "churned": pa.bool_(),
        }


def utc(year: int, month: int, day: int = 1) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


class TestClosedCutoffs:
    @EXAMPLES
    @given(
        first_event=as_ofs,
        days=st.integers(0, 900),
        nudge=st.sampled_from([-MICROSECOND, timedelta(0), MICROSECOND]),
        horizon_days=st.integers(1, 200),
        min_history_days=st.integers(1, 200),
    )
    def test_closed_cutoffs_any_range_equals_oracle(
        self, first_event: datetime, days: int, nudge: timedelta, horizon_days: int, min_history_days: int
    ) -> None:
        as_of = first_event + timedelta(days=days) + nudge
        expected = feature_oracle.closed_cutoffs(first_event, as_of, horizon_days, min_history_days)
        assert closed_cutoffs(first_event, as_of, horizon_days, min_history_days) == expected

    def test_closed_cutoffs_horizon_that_closes_at_as_of_is_closed(self) -> None:
        as_of = utc(2024, 3) + timedelta(days=90)
        assert closed_cutoffs(utc(2024, 1, 15), as_of, 90) == [utc(2024, 3)]
        assert closed_cutoffs(utc(2024, 1, 15), as_of - MICROSECOND, 90) == []

    def test_closed_cutoffs_history_of_exactly_the_minimum_is_enough(self) -> None:
        first_event = utc(2024, 3) - timedelta(days=30)
        assert closed_cutoffs(first_event, utc(2024, 4), 1) == [utc(2024, 3)]
        assert closed_cutoffs(first_event + MICROSECOND, utc(2024, 4), 1) == []
        assert closed_cutoffs(first_event, utc(2024, 4), 1, min_history_days=31) == []

    def test_closed_cutoffs_december_is_followed_by_january(self) -> None:
        expected = [utc(2023, 11), utc(2023, 12), utc(2024, 1), utc(2024, 2)]
        assert closed_cutoffs(utc(2023, 9, 20), utc(2024, 2, 15), 1) == expected

    def test_closed_cutoffs_first_event_in_december(self) -> None:
        assert closed_cutoffs(utc(2023, 12, 31), utc(2024, 2, 2), 1) == [utc(2024, 2)]

    @pytest.mark.parametrize(("year", "closes"), [(2023, utc(2023, 3, 31)), (2024, utc(2024, 3, 30))])
    def test_closed_cutoffs_leap_day_is_a_day_of_the_horizon(self, year: int, closes: datetime) -> None:
        first_event = utc(year - 1, 12, 31)
        assert closed_cutoffs(first_event, closes, 58) == [utc(year, 2)]
        assert closed_cutoffs(first_event, closes - MICROSECOND, 58) == []

    @pytest.mark.parametrize("as_of", [utc(2024, 1, 15), utc(2023, 1), utc(2024, 2), utc(2024, 5, 29)])
    def test_closed_cutoffs_no_closed_horizon_returns_nothing(self, as_of: datetime) -> None:
        assert closed_cutoffs(utc(2024, 1, 15), as_of, 90) == []

    def test_closed_cutoffs_are_in_utc(self) -> None:
        (cutoff,) = closed_cutoffs(utc(2024, 1, 15), utc(2024, 3, 2), 1)
        assert cutoff.tzinfo is UTC
