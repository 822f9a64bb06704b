"""Drift rule: no drift for equal or aged populations, drift for shifts of stated sizes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from holdfast.core.types import Floats
from holdfast.monitoring.drift.aging import age_customers
from holdfast.monitoring.drift.psi import PsiResult
from holdfast.monitoring.drift.rule import FeatureDrift, compare_with_reference, mark_drifted
from holdfast.monitoring.settings import DriftRules
from tests.support.drift_populations import TRAINED, customers, reference, request_time_functions

RULES = DriftRules()


def false_alarms(draws: int, seed: int) -> int:
    """Count the runs that find drift without a change, with 200 to 2,000 customers."""
    rng = np.random.default_rng(seed)
    known = reference(rng)
    return sum(
        any(
            item.drifted
            for item in mark_drifted(
                compare_with_reference(known, customers(rng, int(rng.integers(200, 2001))), TRAINED), RULES
            )
        )
        for _ in range(draws)
    )


def test_drift_rule_same_distribution_has_no_alarm() -> None:
    assert false_alarms(60, seed=1) == 0


@pytest.mark.long
def test_drift_rule_false_alarm_rate_is_at_most_one_percent() -> None:
    assert false_alarms(1000, seed=2) <= 10


def test_drift_rule_correction_alone_limits_false_alarms() -> None:
    """The PSI limit is below the noise of few customers, so only the p-values decide."""
    rng = np.random.default_rng(4)
    known, rules = reference(rng, 1500, 1500), RULES.model_copy(update={"max_psi": 1e-6})
    runs = [mark_drifted(compare_with_reference(known, customers(rng, 200), TRAINED), rules) for _ in range(60)]
    assert all(run[0].psi > rules.max_psi for run in runs)
    assert sum(any(item.drifted for item in run) for run in runs) <= 1


def _shifted(column: Floats) -> Floats:
    return column + 0.6 * np.nanstd(column)


def _spread(column: Floats) -> Floats:
    return np.nanmean(column) + 2 * (column - np.nanmean(column))


def _newly_missing(column: Floats) -> Floats:
    return np.where(np.arange(len(column)) % 10 == 0, np.nan, column)


def _constant(column: Floats) -> Floats:
    return np.full(len(column), np.nanmedian(column))


def _empty(column: Floats) -> Floats:
    return np.full(len(column), np.nan)


@pytest.mark.parametrize("rows", [200, 1000])
@pytest.mark.parametrize("change", [_shifted, _spread, _newly_missing, _constant, _empty])
def test_drift_rule_finds_changed_feature_only(change: Callable[[Floats], Floats], rows: int) -> None:
    """Changes: mean + 0.6 standard deviations, double spread, 10% newly missing, constant, all missing."""
    rng = np.random.default_rng(3)
    known, found = reference(rng), []
    for _ in range(12):
        current = customers(rng, rows)
        current[:, 0] = change(current[:, 0])
        found.append(
            [item.name for item in mark_drifted(compare_with_reference(known, current, TRAINED), RULES) if item.drifted]
        )
    assert all(names in ([], ["f0"]) for names in found)
    assert sum(names == ["f0"] for names in found) >= 11, found


def test_drift_rule_needs_drift_from_both_references() -> None:
    rng = np.random.default_rng(0)
    known = reference(rng)
    other_training = replace(known, training=known.training + 3)
    current = customers(rng, 500)
    assert not any(
        item.drifted for item in mark_drifted(compare_with_reference(other_training, current, TRAINED), RULES)
    )
    assert not any(
        item.drifted for item in mark_drifted(compare_with_reference(other_training, current + 3, TRAINED), RULES)
    )
    assert any(
        item.drifted for item in mark_drifted(compare_with_reference(other_training, current - 3, TRAINED), RULES)
    )


def test_drift_rule_aged_customers_have_not_drifted() -> None:
    rng = np.random.default_rng(0)
    log_odds = "no_purchase_log_odds_60d"
    names = ["days_since_last_purchase", "tenure_days", "silence_share", "purchase_days", log_odds]
    functions = request_time_functions()

    def base(rows: int, older: float) -> Floats:
        recency, tenure = rng.uniform(0, 90, rows), rng.uniform(100, 190, rows) + older
        days = rng.integers(2, 9, rows)
        with_tenure = np.column_stack([recency, tenure, recency / tenure, days, np.zeros(rows)])
        return age_customers(names, with_tenure, 0, functions)

    rows = {"training": base(3000, -60), "training_population": base(3000, 0)}
    known = replace(reference(rng), names=names, on_demand=functions, **rows)

    def drifted_names(older: float, days: int) -> list[str]:
        results = mark_drifted(compare_with_reference(known, base(1000, older), TRAINED + timedelta(days=days)), RULES)
        return [item.name for item in results if item.drifted]

    assert drifted_names(older=56, days=56) == []
    assert drifted_names(older=0, days=56) == []  # new customers keep the mean tenure constant
    assert "tenure_days" in drifted_names(older=56, days=0)
    assert "tenure_days" in drifted_names(older=112, days=56)
    assert log_odds in drifted_names(older=400, days=0)
    assert log_odds not in drifted_names(older=400, days=400)


def test_feature_drift_uses_smaller_psi_and_larger_p_value() -> None:
    item = FeatureDrift("1", "f", 200, PsiResult("f", 0.9, 1e-9), PsiResult("f", 0.3, 0.02))
    assert (item.psi, item.p_value) == (0.3, 0.02)
    assert [one.drifted for one in mark_drifted([item], RULES)] == [False]
    significant = FeatureDrift("1", "f", 200, PsiResult("f", 0.9, 1e-9), PsiResult("f", 0.3, 1e-4))
    assert [one.drifted for one in mark_drifted([significant], RULES)] == [True]
    assert [one.drifted for one in mark_drifted([significant] * 200, RULES)] == [False] * 200
