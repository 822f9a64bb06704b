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
LOG_ODDS = [name for name in OUTPUTS if name.startswith("no_purchase_log_odds")]


class History(NamedTuple):
    """A customer's purchase days, first and last purchase, mean gap, and the time of the request."""

    as_of: datetime
    purchase_days: int
    first: datetime
    last: datetime
    mean_gap_days: float | None


def request_time(rows: list[dict[str, Any]]) -> list[Values]:
    """The function as Feast calls it, lists by column, on rows."""
    columns = ("as_of_us", "purchase_days", "first_purchase_us", "last_purchase_us", "mean_gap_days")
    outputs = customer_request_time.feature_transformation.udf({c: [row[c] for row in rows] for c in columns})
    assert {len(values) for values in outputs.values()} == {len(rows)}
    return [{name: values[i] for name, values in outputs.items()} for i in range(len(rows))]


def inputs(history: History) -> dict[str, Any]:
    return {
        "as_of_us": microseconds(history.as_of),
        "purchase_days": history.purchase_days,
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
    days = st.one_of(st.integers(1, 9), st.integers(1, 100_000)) if first < last else st.just(1)
    return History(as_of, draw(days), first, last, draw(gaps))


class TestValues:
    @EXAMPLES
    @given(batch=st.lists(histories(), min_size=1, max_size=5))
    def test_customer_request_time_any_history_equals_oracle(self, batch: list[History]) -> None:
        results = request_time([inputs(history) for history in batch])
        for history, row in zip(batch, results, strict=True):
            expected = feature_oracle.request_time(*history[1:], history.as_of)
            assert list(row) == OUTPUTS
            exact = ["days_since_last_purchase", "tenure_days"]
            assert bits([{name: row[name] for name in exact}]) == bits([{name: expected[name] for name in exact}])
            for name in ("lateness_ratio", "silence_share"):  # a quotient of rounded values
                value, wanted = row[name], expected[name]
                assert (value is None) == (wanted is None)
                assert value is None or abs(value - wanted) <= 2 * math.ulp(wanted)
            for name in LOG_ODDS:
                assert row[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-9), name

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

    EXAMPLE = {  # noqa: RUF012
        "as_of_us": 40 * DAY_US,
        "purchase_days": 2,
        "first_purchase_us": 0,
        "last_purchase_us": 30 * DAY_US,
        "mean_gap_days": 4.0,
    }

    def test_customer_request_time_example(self) -> None:
        (result,) = request_time([self.EXAMPLE])
        # Odds of silence for 90 days: ((40 + alpha + 90) ** -n + 0.8 / 3.5 * (30 + alpha) ** -n)
        # over ((40 + alpha) ** -n - (40 + alpha + 90) ** -n), with n = r + 1.
        odds = [
            (far**-n + 0.8 / 3.5 * last**-n) / (near**-n - far**-n)
            for n, last, near, far in ((1.25, 40, 50, 140), (1.5, 60, 70, 160), (2, 120, 130, 220))
        ]
        assert result == {
            "days_since_last_purchase": 10.0,
            "tenure_days": 40.0,
            "lateness_ratio": 2.5,
            "silence_share": 0.25,
        } | {name: pytest.approx(math.log(value), rel=1e-12) for name, value in zip(LOG_ODDS, odds, strict=True)}

    def test_customer_request_time_at_first_purchase_is_zero(self) -> None:
        row = dict.fromkeys(["as_of_us", "first_purchase_us", "last_purchase_us"], 5 * DAY_US)
        (result,) = request_time([row | {"purchase_days": 1, "mean_gap_days": None}])
        assert {name: result[name] for name in OUTPUTS if name not in LOG_ODDS} == {
            "days_since_last_purchase": 0.0,
            "tenure_days": 0.0,
            "lateness_ratio": None,
            "silence_share": 0.0,
        }
        # ((alpha + 90) ** -r + 0.8 / 2.5 * alpha ** -r) / (alpha ** -r - (alpha + 90) ** -r) with r = 1, alpha = 90.
        assert math.exp(result["no_purchase_log_odds_90d"]) == pytest.approx((1 / 180 + 0.32 / 90) / (1 / 180))

    def test_customer_request_time_single_purchase_has_silence_share_one(self) -> None:
        row = {"as_of_us": 9 * DAY_US, "first_purchase_us": DAY_US, "last_purchase_us": DAY_US}
        (result,) = request_time([row | {"purchase_days": 1, "mean_gap_days": None}])
        assert result["silence_share"] == 1.0

    def test_customer_request_time_one_purchase_day_uses_first_purchase_only(self) -> None:
        """Two purchases on one day are no repeat purchase."""
        row = self.EXAMPLE | {"purchase_days": 1, "mean_gap_days": None}
        early, late = request_time([row, row | {"last_purchase_us": DAY_US // 2}])
        assert [early[name] for name in LOG_ODDS] == [late[name] for name in LOG_ODDS]

    @pytest.mark.parametrize("days", [1, 10, 1_000, 1_000_000, 10**9])
    @pytest.mark.parametrize("silence", [0, 1, 40])
    def test_customer_request_time_any_number_of_purchases_is_bounded(self, days: int, silence: int) -> None:
        (result,) = request_time([self.EXAMPLE | {"purchase_days": days, "last_purchase_us": (40 - silence) * DAY_US}])
        assert all(-10 <= result[name] <= 10 for name in LOG_ODDS)

    def test_customer_request_time_clock_behind_the_purchase_is_finite(self) -> None:
        (result,) = request_time([self.EXAMPLE | {"as_of_us": -400 * DAY_US}])
        assert all(math.isfinite(result[name]) for name in LOG_ODDS)


class TestMissing:
    COMPLETE = {  # noqa: RUF012
        "as_of_us": 40 * DAY_US,
        "purchase_days": 2,
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
        [["purchase_days"], ["first_purchase_us"], ["last_purchase_us"], ["first_purchase_us", "last_purchase_us"]],
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
    @given(history=histories(), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
    def test_customer_request_time_earlier_last_purchase_decreases_no_log_odds(
        self, history: History, shares: tuple[float, float]
    ) -> None:
        span = history.as_of - history.first
        recent, earlier = request_time(
            [inputs(history._replace(last=history.first + span * share)) for share in sorted(shares, reverse=True)]
        )
        for name in LOG_ODDS:
            assert earlier[name] >= recent[name] - 1e-9, name

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
    of_lists, of_math = {"append", "items"}, {"math", "log", "log1p", "exp", "expm1"}  # imported inside
    assert set(names) - of_lists - of_math <= set(dir(builtins))
