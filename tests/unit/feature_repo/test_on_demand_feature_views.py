"""Tests of on-demand features against the oracle, with missing history, and over time."""

import builtins
import math
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.on_demand_feature_views import customer_request_time
from feature_repo.timestamps import DAY_US
from tests.support import feature_oracle
from tests.support.feature_oracle import MICROSECOND, Values, microseconds
from tests.support.strategies import EXAMPLES, as_ofs, bits

OUTPUTS = [field.name for field in customer_request_time.features]


class History(NamedTuple):
    """A customer's first and last purchase, mean gap, and the time of the request."""

    as_of: datetime
    first: datetime
    last: datetime
    mean_gap_days: float | None


def request_time(rows: list[dict[str, Any]]) -> list[Values]:
    """The function as Feast calls it, lists by column, on rows."""
    columns = ("as_of_us", "first_purchase_us", "last_purchase_us", "mean_gap_days")
    outputs = customer_request_time.feature_transformation.udf({c: [row[c] for row in rows] for c in columns})
    assert {len(values) for values in outputs.values()} == {len(rows)}
    return [{name: values[i] for name, values in outputs.items()} for i in range(len(rows))]


def inputs(history: History) -> dict[str, Any]:
    return {
        "as_of_us": microseconds(history.as_of),
        "first_purchase_us": microseconds(history.first),
        "last_purchase_us": microseconds(history.last),
        "mean_gap_days": history.mean_gap_days,
    }


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Purchases before the request, by a microsecond or by decades; a single one has no gap."""
    as_of = draw(as_ofs)
    spans = st.one_of(st.integers(1, 3), st.integers(1, 5_000 * DAY_US))
    last = as_of - draw(spans) * MICROSECOND
    first = last - draw(st.one_of(st.just(0), spans)) * MICROSECOND
    gaps = st.floats(1.0, 5_000.0) if first < last else st.none()
    return History(as_of, first, last, draw(gaps))


class TestValues:
    @EXAMPLES
    @given(batch=st.lists(histories(), min_size=1, max_size=5))
    def test_customer_request_time_any_history_equals_oracle(self, batch: list[History]) -> None:
        results = request_time([inputs(history) for history in batch])
        for history, row in zip(batch, results, strict=True):
            expected = feature_oracle.request_time(history.first, history.last, history.mean_gap_days, history.as_of)
            assert list(row) == OUTPUTS
            exact = ["days_since_last_purchase", "tenure_days"]
            assert bits([{name: row[name] for name in exact}]) == bits([{name: expected[name] for name in exact}])
            for name in ("lateness_ratio", "silence_share"):  # a quotient of rounded values
                value, wanted = row[name], expected[name]
                assert (value is None) == (wanted is None)
                assert value is None or abs(value - wanted) <= 2 * math.ulp(wanted)

    @EXAMPLES
    @given(batch=st.lists(histories(), min_size=1, max_size=5))
    def test_customer_request_time_batch_equals_single_customers(self, batch: list[History]) -> None:
        rows = [inputs(history) for history in batch]
        assert bits(request_time(rows)) == bits(row for one in rows for row in request_time([one]))

    @EXAMPLES
    @given(history=histories())
    def test_customer_request_time_float_inputs_return_the_same_bits(self, history: History) -> None:
        row = inputs(history)
        floats = {name: None if value is None else float(value) for name, value in row.items()}
        assert bits(request_time([floats])) == bits(request_time([row]))

    def test_customer_request_time_example(self) -> None:
        row = {"as_of_us": 40 * DAY_US, "first_purchase_us": 0, "last_purchase_us": 30 * DAY_US}
        assert request_time([row | {"mean_gap_days": 4.0}]) == [
            {
                "days_since_last_purchase": 10.0,
                "tenure_days": 40.0,
                "lateness_ratio": 2.5,
                "silence_share": 0.25,
            }
        ]

    def test_customer_request_time_at_first_purchase_is_zero(self) -> None:
        row = dict.fromkeys(["as_of_us", "first_purchase_us", "last_purchase_us"], 5 * DAY_US)
        assert request_time([row | {"mean_gap_days": None}]) == [
            {
                "days_since_last_purchase": 0.0,
                "tenure_days": 0.0,
                "lateness_ratio": None,
                "silence_share": 0.0,
            }
        ]

    def test_customer_request_time_single_purchase_has_silence_share_one(self) -> None:
        row = {"as_of_us": 9 * DAY_US, "first_purchase_us": DAY_US, "last_purchase_us": DAY_US}
        (result,) = request_time([row | {"mean_gap_days": None}])
        assert result["silence_share"] == 1.0


class TestMissing:
    COMPLETE = {  # noqa: RUF012
        "as_of_us": 40 * DAY_US,
        "first_purchase_us": 0,
        "last_purchase_us": 30 * DAY_US,
        "mean_gap_days": 4.0,
    }

    def test_customer_request_time_missing_gap_makes_lateness_null_only(self) -> None:
        complete, without = request_time([self.COMPLETE, self.COMPLETE | {"mean_gap_days": None}])
        assert without == complete | {"lateness_ratio": None}

    def test_customer_request_time_nan_gap_makes_lateness_null(self) -> None:
        complete, without = request_time([self.COMPLETE, self.COMPLETE | {"mean_gap_days": math.nan}])
        lateness = without.pop("lateness_ratio")
        assert lateness is None or math.isnan(lateness)
        assert without == {name: complete[name] for name in without}

    @pytest.mark.parametrize(
        "missing",
        [["first_purchase_us"], ["last_purchase_us"], ["first_purchase_us", "last_purchase_us"]],
        ids="+".join,
    )
    def test_customer_request_time_no_history_is_null(self, missing: list[str]) -> None:
        row = self.COMPLETE | dict.fromkeys(missing)
        assert request_time([row, self.COMPLETE, row | {"mean_gap_days": None}]) == [
            dict.fromkeys(OUTPUTS),
            *request_time([self.COMPLETE]),
            dict.fromkeys(OUTPUTS),
        ]

    def test_customer_request_time_unequal_lengths_raise(self) -> None:
        columns: dict[str, list[Any]] = {name: [value, value] for name, value in self.COMPLETE.items()}
        with pytest.raises(ValueError, match="zip"):
            customer_request_time.feature_transformation.udf(columns | {"mean_gap_days": [4.0]})


class TestTimePasses:
    @EXAMPLES
    @given(history=histories(), later_us=st.one_of(st.integers(0, 5), st.integers(0, 3_000 * DAY_US)))
    def test_customer_request_time_later_request_decreases_nothing(self, history: History, later_us: int) -> None:
        now, later = request_time(
            [inputs(history), inputs(history._replace(as_of=history.as_of + later_us * MICROSECOND))]
        )
        for name in ("days_since_last_purchase", "tenure_days", "lateness_ratio"):
            assert now[name] is None or later[name] >= now[name], name
        # The quotient of two rounded values may step back by its rounding.
        share = "silence_share"
        assert later[share] >= now[share] - 2 * math.ulp(now[share])

    @EXAMPLES
    @given(history=histories())
    def test_customer_request_time_silence_share_is_from_zero_to_one(self, history: History) -> None:
        (row,) = request_time([inputs(history)])
        assert 0.0 <= row["silence_share"] <= 1.0

    @EXAMPLES
    @given(history=histories(), days=st.integers(1, 3_000))
    def test_customer_request_time_one_day_later_adds_one_day(self, history: History, days: int) -> None:
        now, later = request_time(
            [inputs(history), inputs(history._replace(as_of=history.as_of + timedelta(days=days)))]
        )
        for name in ("days_since_last_purchase", "tenure_days"):
            assert later[name] - now[name] == pytest.approx(days, rel=1e-12)


def test_customer_request_time_source_is_self_contained() -> None:
    """Feast stores the function by value, so a global it used would be frozen at apply."""
    names = customer_request_time.feature_transformation.udf.__code__.co_names
    attributes = {"append"}
    assert set(names) - attributes <= set(dir(builtins))
