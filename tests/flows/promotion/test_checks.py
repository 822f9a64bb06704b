"""The checks alone, at their limits."""

import math

import pytest
from pydantic import ValidationError

from flows.promotion.checks import Check, PromotionSettings, promotion_checks

METRICS = {
    "test.model.roc_auc": 0.75,
    "test.recency.roc_auc": 0.5,
    "test.model.brier": 0.125,
    "test.base_rate.brier": 0.25,
}


def _verdicts(metrics: dict[str, float], **thresholds: float) -> list[bool]:
    return [check.passed for check in promotion_checks(metrics, PromotionSettings(**thresholds))]


def test_values_and_limits() -> None:
    checks = promotion_checks(METRICS, PromotionSettings())
    assert [(check.value, check.at_least) for check in checks] == [(0.75, 0.6), (0.25, 0.02), (0.125, 0.0)]
    assert len({check.name for check in checks}) == 3


def test_a_limit_that_is_met_exactly_is_met() -> None:
    limits = {"min_roc_auc": 0.75, "min_roc_auc_over_recency": 0.25, "min_brier_below_base_rate": 0.125}
    assert _verdicts(METRICS, **limits) == [True, True, True]
    for position, (name, value) in enumerate(limits.items()):
        expected = [True] * 3
        expected[position] = False
        assert _verdicts(METRICS, **limits | {name: math.nextafter(value, 1)}) == expected


@pytest.mark.parametrize(
    ("missing", "verdicts"),
    [
        ("test.model.roc_auc", [False, False, True]),
        ("test.recency.roc_auc", [True, False, True]),
        ("test.model.brier", [True, True, False]),
        ("test.base_rate.brier", [True, True, False]),
    ],
)
def test_what_is_missing_or_not_a_number_fails(missing: str, verdicts: list[bool]) -> None:
    assert _verdicts({name: value for name, value in METRICS.items() if name != missing}) == verdicts
    assert _verdicts(METRICS | {missing: math.nan}) == verdicts


def test_a_lower_brier_score_is_the_better_one() -> None:
    assert _verdicts(METRICS | {"test.model.brier": 0.26}) == [True, True, False]


@pytest.mark.parametrize("limit", [-0.1, 1.1])
def test_a_limit_that_nothing_or_all_would_pass_is_refused(limit: float) -> None:
    with pytest.raises(ValidationError):
        PromotionSettings(min_roc_auc=limit)


def test_a_check_without_a_value_fails_whatever_the_limit() -> None:
    assert not Check("name", None, -math.inf).passed
