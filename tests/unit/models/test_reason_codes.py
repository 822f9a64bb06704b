"""Tests of reason codes: each input in one reason, plain words, correct numbers."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.feature_services import churn_v1
from feature_repo.reason_texts import REASON_TEXTS
from holdfast.models.categories import InputCategories, category_code
from holdfast.models.reason_codes import select_reasons

INPUTS = [field.name for projection in churn_v1.feature_view_projections for field in projection.features]
OF_SUBSCRIPTIONS = ["subscription_term_days", "days_to_subscription_end", "renewals"]
NAN = float("nan")
CUSTOMER = {
    "purchase_days": 3.0,
    "total_amount": 120.5,
    "mean_purchase_amount": 40.1666,
    "purchase_days_30d": 0.0,
    "purchase_days_90d": 1.0,
    "purchase_days_180d": 3.0,
    "amount_30d": 0.0,
    "amount_90d": 20.0,
    "amount_180d": 120.5,
    "purchase_days_trend_90d": -1.0,
    "mean_gap_days": 30.6,
    "std_gap_days": 10.0,
    "max_gap_days": 41.0,
    "last_gap_days": 20.0,
    "days_since_last_purchase": 93.7,
    "tenure_days": 210.2,
    "lateness_ratio": 3.06,
    "silence_share": 0.45,
    "no_purchase_log_odds_40d": 1.2,
    "no_purchase_log_odds_60d": 0.8,
    "no_purchase_log_odds_90d": 0.4,
}
LOG_ODDS = [f"no_purchase_log_odds_{days}d" for days in (40, 60, 90)]
ONE_DAY = dict.fromkeys(["mean_gap_days", "std_gap_days", "max_gap_days", "last_gap_days", "lateness_ratio"], NAN)


def _text(name: str, values: Mapping[str, float]) -> str:
    """Return the reason text of input ``name``."""
    values = dict(values)
    [reason] = select_reasons(list(values), list(values.values()), [float(other == name) for other in values])
    return reason.text


def test_reason_texts_cover_each_input_exactly_once() -> None:
    assert sorted(name for reason_text in REASON_TEXTS for name in reason_text.inputs) == sorted(
        INPUTS + OF_SUBSCRIPTIONS
    )
    assert list(CUSTOMER) == INPUTS
    for reason_text in REASON_TEXTS:
        assert set(reason_text.required) <= set(reason_text.inputs)


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("days_since_last_purchase", {}, "last bought 93 days ago; usually every 31"),
        ("lateness_ratio", {}, "last bought 93 days ago; usually every 31"),
        ("days_since_last_purchase", ONE_DAY, "last bought 93 days ago; bought on one day only"),
        ("mean_gap_days", {"days_since_last_purchase": 1.99}, "last bought 1 day ago; usually every 31 days"),
        ("silence_share", {"days_since_last_purchase": 0.4}, "last bought less than a day ago; usually every 31 days"),
        ("mean_gap_days", {"mean_gap_days": 1.2}, "last bought 93 days ago; usually every day"),
        ("mean_gap_days", {"mean_gap_days": 2.0}, "last bought 93 days ago; usually every 2"),
        ("mean_gap_days", {"days_since_last_purchase": 1234.5}, "last bought 1,234 days ago; usually every 31"),
        ("std_gap_days", {}, "20 days between the last two purchases; the longest gap was 41"),
        ("max_gap_days", {"last_gap_days": 41.0}, "41 days between the last two purchases; never longer"),
        ("last_gap_days", {"last_gap_days": 1.0}, "1 day between the last two purchases; the longest gap was 41"),
        ("last_gap_days", {"purchase_days": 2.0, "max_gap_days": 20.0}, "20 days between the only two purchases"),
        ("std_gap_days", ONE_DAY, "bought on one day only"),
        ("purchase_days", {}, "3 purchase days in all"),
        ("purchase_days", {"purchase_days": 1.0}, "1 purchase day in all"),
        ("purchase_days_30d", {}, "1 purchase day in the last 90 days, 2 in the 90 days before"),
        (
            "purchase_days_90d",
            {"purchase_days_trend_90d": 1.0},
            "1 purchase day in the last 90 days, none in the 90 days before",
        ),
        (
            "purchase_days_180d",
            {"purchase_days_90d": 0.0},
            "no purchase in the last 90 days, 1 purchase day in the 90 days before",
        ),
        (
            "purchase_days_trend_90d",
            {"purchase_days_90d": 0.0, "purchase_days_trend_90d": 0.0},
            "no purchase in the last 180 days",
        ),
        ("total_amount", {}, "spent 120.50 in all, 40.17 on a usual purchase day"),
        ("total_amount", {"total_amount": 1234567.891}, "spent 1,234,567.89 in all, 40.17 on a usual purchase day"),
        (
            "mean_purchase_amount",
            {"total_amount": -5.0},
            "returned 5.00 more than was bought in all, 40.17 on a usual purchase day",
        ),
        ("amount_90d", {}, "spent 20.00 in the last 90 days, 100.50 in the 90 days before"),
        ("amount_90d", {"amount_90d": 0.0}, "spent nothing in the last 90 days, 120.50 in the 90 days before"),
        (
            "amount_30d",
            {"amount_90d": 0.1 + 0.2, "amount_180d": 0.3},
            "spent 0.30 in the last 90 days, nothing in the 90 days before",
        ),
        ("amount_180d", {"amount_90d": 1e-9, "amount_180d": -1e-9}, "spent nothing in the last 180 days"),
        (
            "amount_180d",
            {"amount_90d": -7.0},
            "returned 7.00 more than was bought in the last 90 days, spent 127.50 in the 90 days before",
        ),
        ("tenure_days", {}, "customer for 210 days"),
        ("tenure_days", {"tenure_days": 1.0}, "customer for 1 day"),
        ("tenure_days", {"tenure_days": 0.5}, "customer for less than a day"),
    ],
)
def test_reason_text_renders_expected_words(name: str, changes: dict[str, float], text: str) -> None:
    assert _text(name, CUSTOMER | changes) == text


def _contributions(**effects: float) -> list[float]:
    return [effects.get(name, 0.0) for name in INPUTS]


class TestSelectReasons:
    def test_select_reasons_returns_the_three_largest_in_order(self) -> None:
        found = select_reasons(
            INPUTS,
            list(CUSTOMER.values()),
            _contributions(
                days_since_last_purchase=0.5,
                lateness_ratio=0.25,
                total_amount=-1.0,
                purchase_days=0.125,
                tenure_days=-0.25,
            ),
        )
        assert [(item.inputs[0], item.effect, item.direction) for item in found] == [
            ("total_amount", -1.0, "lowers"),
            ("days_since_last_purchase", 0.75, "raises"),
            ("tenure_days", -0.25, "lowers"),
        ]
        assert found[1].inputs == (
            "days_since_last_purchase",
            "mean_gap_days",
            "lateness_ratio",
            "silence_share",
            *LOG_ODDS,
        )

    def test_select_reasons_contributions_of_one_reason_may_cancel_out(self) -> None:
        effects = _contributions(amount_30d=2.0, amount_90d=-2.0, purchase_days=0.1)
        assert [item.inputs for item in select_reasons(INPUTS, list(CUSTOMER.values()), effects)] == [
            ("purchase_days",)
        ]

    def test_select_reasons_zero_contributions_return_no_reasons(self) -> None:
        assert select_reasons(INPUTS, list(CUSTOMER.values()), _contributions()) == []
        assert select_reasons(INPUTS, list(CUSTOMER.values()), _contributions(tenure_days=1e-12)) == []

    def test_select_reasons_without_limit_effects_sum_to_contributions(self) -> None:
        effects = [0.1 * i - 0.85 for i in range(len(INPUTS))]
        found = select_reasons(INPUTS, list(CUSTOMER.values()), effects, limit=99)
        assert sorted(name for item in found for name in item.inputs) == sorted(INPUTS)
        assert sum(item.effect for item in found) == pytest.approx(sum(effects))


class TestOtherFeatureServices:
    """Feature services with more or fewer inputs."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (3.0, "visits is 3"),
            (-12345.0, "visits is -12,345"),
            (0.123456789, "visits is 0.123457"),
            (NAN, "visits is not known"),
            (1e300, "visits is 1e+300"),
        ],
    )
    def test_select_reasons_input_without_text_is_described(self, value: float, text: str) -> None:
        found = select_reasons(
            ["visits", *INPUTS], [value, *CUSTOMER.values()], [1.0, *_contributions(tenure_days=-2.0)]
        )
        assert [(item.text, item.inputs) for item in found] == [
            ("customer for 210 days", ("tenure_days",)),
            (text, ("visits",)),
        ]

    def test_select_reasons_required_input_not_in_service_describes_others(self) -> None:
        values = {name: CUSTOMER[name] for name in INPUTS if name not in ("max_gap_days", "amount_90d")}
        assert _text("std_gap_days", values) == "last_gap_days is 20; std_gap_days is 10"
        assert _text("amount_30d", values) == "amount_30d is 0; amount_180d is 120.5"

    def test_select_reasons_recency_alone_has_no_rhythm(self) -> None:
        assert _text("days_since_last_purchase", {"days_since_last_purchase": 93.0}) == "last bought 93 days ago"

    def test_select_reasons_unexpected_null_is_described(self) -> None:
        assert _text("tenure_days", CUSTOMER | {"tenure_days": NAN}) == "tenure_days is not known"


@st.composite
def _customers(draw: st.DrawFn) -> dict[str, float]:
    """Any customer that the transformations could describe, and some more."""
    counts, money, days = st.integers(0, 10_000).map(float), st.floats(-1e9, 1e9), st.floats(0, 20_000)
    lately, before = draw(counts), draw(counts)
    values = {name: draw(money if "amount" in name else counts if "purchase_days" in name else days) for name in INPUTS}
    values |= {"purchase_days": values["purchase_days"] + 1, "mean_purchase_amount": draw(st.floats(0.01, 1e9))}
    values |= {"purchase_days_90d": lately, "purchase_days_trend_90d": lately - before}
    gaps = {name: values[name] + 1 for name in ONE_DAY}
    return values | (gaps if draw(st.booleans()) else ONE_DAY)


@settings(max_examples=150, deadline=None)
@given(values=_customers(), effects=st.lists(st.floats(-5, 5), min_size=len(INPUTS), max_size=len(INPUTS)))
def test_select_reasons_any_customer_has_plain_words(values: dict[str, float], effects: list[float]) -> None:
    found = select_reasons(INPUTS, list(values.values()), effects)
    assert len(found) <= 3
    assert [abs(item.effect) for item in found] == sorted((abs(item.effect) for item in found), reverse=True)
    for item in found:
        assert item.effect == pytest.approx(sum(effects[INPUTS.index(name)] for name in item.inputs), abs=1e-12)
        assert item.direction == ("raises" if item.effect > 0 else "lowers")
        assert item.text[0].islower() or item.text[0].isdigit()
        assert not re.search(r"nan|None|inf\b|e\+|\b_|_|-\d|\b1 (purchase )?days|  |\b0\b(?!\.)", item.text), item.text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (category_code("France"), "country is France"),
        (category_code("Malta"), "country is Malta"),
        (category_code(""), "country is empty"),
        (category_code("Chile"), "country is new since the training"),
        (NAN, "country is not known"),
    ],
)
def test_select_reasons_category_has_its_text(code: float, text: str) -> None:
    categories = {"country": InputCategories(known=("", "France"), rare=("Malta",))}
    values = {**CUSTOMER, "country": code}
    effects = [float(name == "country") for name in values]
    [reason] = select_reasons(list(values), list(values.values()), effects, categories=categories)
    assert (reason.text, reason.inputs) == (text, ("country",))
