"""Performance of policies, compared with scikit-learn and direct computation."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from holdfast.backtesting.performance import MaturedCohort, compute_difference, compute_means, evaluate_policies
from holdfast.backtesting.policies import Policy
from holdfast.training.settings import TrainingSettings, ValueSettings

MOMENTS = [datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
TRAINING = TrainingSettings(resamples=100, value=ValueSettings(kept_customer=30, offer_cost=2, response_rate=0.1))
THRESHOLD = 2 / 3
Tables = dict[Policy, dict[datetime, pd.DataFrame]]


def _cohort(moment: datetime, size: int = 300) -> MaturedCohort:
    rng = np.random.default_rng(moment.month)
    customers = sorted(f"c{number:04d}" for number in rng.choice(400, size, replace=False))
    return MaturedCohort(moment, moment + timedelta(days=90), customers, rng.random(size) < 0.6)


def _table(cohort: MaturedCohort, skill: float, seed: int = 0) -> pd.DataFrame:
    noise = np.random.default_rng(seed).random(len(cohort.customers))
    scores = skill * cohort.churned + (1 - skill) * noise
    return pd.DataFrame(
        {"customer_id": cohort.customers, "churn_probability": scores, "will_churn": scores >= THRESHOLD}
    )


COHORTS = [_cohort(moment) for moment in MOMENTS]


def _tables(skill: float, moments: list[datetime] = MOMENTS) -> dict[datetime, pd.DataFrame]:
    return {cohort.as_of: _table(cohort, skill) for cohort in COHORTS if cohort.as_of in moments}


def test_cohort_measures_equal_direct_computation() -> None:
    judged = evaluate_policies(COHORTS, {"never": _tables(0.3)}, TRAINING)["never"]
    for cohort, item in zip(COHORTS, judged, strict=True):
        table, told = _table(cohort, 0.3), item.outcome()
        scores, offered = table["churn_probability"], table["will_churn"]
        assert (told.as_of, told.matured_at, told.customers) == (cohort.as_of, cohort.matured_at, 300)
        assert told.base_rate == cohort.churned.mean()
        assert told.measures["roc_auc"].value == pytest.approx(roc_auc_score(cohort.churned, scores))
        assert told.measures["brier"].value == pytest.approx(brier_score_loss(cohort.churned, scores))
        assert told.measures["bias"].value == pytest.approx(scores.mean() - cohort.churned.mean())
        money = (0.1 * 30 * (offered & cohort.churned) - 2 * offered).sum() / 300
        assert told.measures["earned"].value == pytest.approx(money)
        for name, found in told.measures.items():
            assert found.low < found.high, name
            assert found.low <= found.value <= found.high or name == "ece", name


def test_means_average_the_cohorts() -> None:
    judged = evaluate_policies(COHORTS, {"never": _tables(0.3)}, TRAINING)["never"]
    told = compute_means(judged)
    assert told is not None
    assert (told.cohorts, told.rows) == (3, 900)
    outcomes = [item.outcome() for item in judged]
    for name, found in told.measures.items():
        assert found.value == pytest.approx(np.mean([outcome.measures[name].value for outcome in outcomes]))
        spread = [outcome.measures[name].high - outcome.measures[name].low for outcome in outcomes]
        assert found.high - found.low < max(spread), f"{name}: three cohorts say more than one"


def test_difference_to_itself_is_zero() -> None:
    judged = evaluate_policies(COHORTS, {"never": _tables(0.3), "always": _tables(0.3)}, TRAINING)
    told = compute_difference(judged["always"], judged["never"])
    assert told is not None
    assert {(item.low, item.value, item.high) for item in told.measures.values()} == {(0, 0, 0)}


def test_paired_difference_has_a_narrower_interval() -> None:
    """The interval of a difference on the same customers is narrower than that of each policy."""
    judged = evaluate_policies(COHORTS, {"never": _tables(0.30), "always": _tables(0.34)}, TRAINING)
    told, alone = compute_difference(judged["always"], judged["never"]), compute_means(judged["always"])
    assert told is not None
    assert alone is not None
    assert told.measures["roc_auc"].low > 0
    widths = [item.measures["roc_auc"].high - item.measures["roc_auc"].low for item in (told, alone)]
    assert widths[0] < widths[1]


def test_difference_uses_common_cohorts_only() -> None:
    tables: Tables = {"never": _tables(0.3, MOMENTS[1:]), "always": _tables(0.3, MOMENTS[:2]), "drift": {}}
    judged = evaluate_policies(COHORTS, tables, TRAINING)
    told = compute_difference(judged["always"], judged["never"])
    assert told is not None
    assert told.cohorts == 1
    assert told.measures["roc_auc"].value == 0
    assert compute_difference(judged["drift"], judged["never"]) is None
    assert compute_means(judged["drift"]) is None


def test_cohort_where_all_churned_has_no_roc_auc() -> None:
    everybody = MaturedCohort(MOMENTS[0], MOMENTS[0] + timedelta(days=90), ["a", "b"], np.array([True, True]))
    judged = evaluate_policies([everybody], {"never": {MOMENTS[0]: _table(everybody, 0.3)}}, TRAINING)["never"]
    assert judged[0].outcome().measures.keys() == {"brier", "bias", "earned", "ece"}
    told = compute_means(judged)
    assert told is not None
    assert "roc_auc" not in told.measures


def test_different_customers_raise() -> None:
    tables: Tables = {"never": _tables(0.3), "always": {MOMENTS[0]: _table(COHORTS[0], 0.3).iloc[1:]}}
    with pytest.raises(RuntimeError, match="Policy always scored other customers at 2024-01-01"):
        evaluate_policies(COHORTS, tables, TRAINING)


def test_without_matured_cohort_there_are_no_means() -> None:
    assert evaluate_policies([], {"never": _tables(0.3)}, TRAINING) == {"never": []}
