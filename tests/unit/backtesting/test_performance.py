"""Performance of policies, compared with scikit-learn and direct computation."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from holdfast.backtesting.performance import MaturedCohort, compute_difference, compute_means, evaluate_policies
from holdfast.backtesting.policies import Policy
from holdfast.training.settings import TrainingSettings, ValueSettings

TIMES = [datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
TRAINING = TrainingSettings(resamples=100, value=ValueSettings(kept_customer=30, offer_cost=2, response_rate=0.1))
THRESHOLD = 2 / 3
Tables = dict[Policy, dict[datetime, pd.DataFrame]]


def _cohort(time: datetime, size: int = 300) -> MaturedCohort:
    rng = np.random.default_rng(time.month)
    customers = sorted(f"c{number:04d}" for number in rng.choice(400, size, replace=False))
    return MaturedCohort(time, time + timedelta(days=90), customers, rng.random(size) < 0.6)


def _table(cohort: MaturedCohort, skill: float, seed: int = 0) -> pd.DataFrame:
    noise = np.random.default_rng(seed).random(len(cohort.customers))
    scores = skill * cohort.outcomes + (1 - skill) * noise
    return pd.DataFrame(
        {"customer_id": cohort.customers, "churn_probability": scores, "will_churn": scores >= THRESHOLD}
    )


COHORTS = [_cohort(time) for time in TIMES]


def _tables(skill: float, moments: list[datetime] = TIMES) -> dict[datetime, pd.DataFrame]:
    return {cohort.as_of: _table(cohort, skill) for cohort in COHORTS if cohort.as_of in moments}


def test_evaluate_policies_each_cohort_equals_direct_computation() -> None:
    performances = evaluate_policies(COHORTS, {"never": _tables(0.3)}, TRAINING)["never"]
    for cohort, item in zip(COHORTS, performances, strict=True):
        table, summary = _table(cohort, 0.3), item.outcome()
        scores, offered = table["churn_probability"], table["will_churn"]
        assert (summary.as_of, summary.matured_at, summary.customers) == (cohort.as_of, cohort.matured_at, 300)
        assert summary.base_rate == cohort.outcomes.mean()
        assert summary.measures["roc_auc"].value == pytest.approx(roc_auc_score(cohort.outcomes, scores))
        assert summary.measures["brier"].value == pytest.approx(brier_score_loss(cohort.outcomes, scores))
        assert summary.measures["bias"].value == pytest.approx(scores.mean() - cohort.outcomes.mean())
        money = (0.1 * 30 * (offered & cohort.outcomes) - 2 * offered).sum() / 300
        assert summary.measures["earned"].value == pytest.approx(money)
        for name, found in summary.measures.items():
            assert found.low < found.high, name
            assert found.low <= found.value <= found.high or name == "ece", name


def test_compute_means_three_cohorts_average() -> None:
    performances = evaluate_policies(COHORTS, {"never": _tables(0.3)}, TRAINING)["never"]
    summary = compute_means(performances)
    assert summary is not None
    assert (summary.cohorts, summary.rows) == (3, 900)
    outcomes = [item.outcome() for item in performances]
    for name, found in summary.measures.items():
        assert found.value == pytest.approx(np.mean([outcome.measures[name].value for outcome in outcomes]))
        spread = [outcome.measures[name].high - outcome.measures[name].low for outcome in outcomes]
        assert found.high - found.low < max(spread), f"{name}: three cohorts give a narrower interval than one"


def test_compute_difference_same_scores_zero() -> None:
    performances = evaluate_policies(COHORTS, {"never": _tables(0.3), "always": _tables(0.3)}, TRAINING)
    difference = compute_difference(performances["always"], performances["never"])
    assert difference is not None
    assert {(item.low, item.value, item.high) for item in difference.measures.values()} == {(0, 0, 0)}


def test_compute_difference_similar_policies_narrower_than_means() -> None:
    """The interval of a difference on the same customers is narrower than that of each policy."""
    performances = evaluate_policies(COHORTS, {"never": _tables(0.30), "always": _tables(0.34)}, TRAINING)
    difference = compute_difference(performances["always"], performances["never"])
    means = compute_means(performances["always"])
    assert difference is not None
    assert means is not None
    assert difference.measures["roc_auc"].low > 0
    widths = [item.measures["roc_auc"].high - item.measures["roc_auc"].low for item in (difference, means)]
    assert widths[0] < widths[1]


def test_compute_difference_partly_common_cohorts_uses_common_only() -> None:
    tables: Tables = {"never": _tables(0.3, TIMES[1:]), "always": _tables(0.3, TIMES[:2]), "drift": {}}
    performances = evaluate_policies(COHORTS, tables, TRAINING)
    difference = compute_difference(performances["always"], performances["never"])
    assert difference is not None
    assert difference.cohorts == 1
    assert difference.measures["roc_auc"].value == 0
    assert compute_difference(performances["drift"], performances["never"]) is None
    assert compute_means(performances["drift"]) is None


def test_evaluate_policies_all_churned_cohort_has_no_roc_auc() -> None:
    everybody = MaturedCohort(TIMES[0], TIMES[0] + timedelta(days=90), ["a", "b"], np.array([True, True]))
    performances = evaluate_policies([everybody], {"never": {TIMES[0]: _table(everybody, 0.3)}}, TRAINING)["never"]
    assert performances[0].outcome().measures.keys() == {"brier", "bias", "earned", "ece"}
    summary = compute_means(performances)
    assert summary is not None
    assert "roc_auc" not in summary.measures


def test_evaluate_policies_different_customers_raise() -> None:
    tables: Tables = {"never": _tables(0.3), "always": {TIMES[0]: _table(COHORTS[0], 0.3).iloc[1:]}}
    with pytest.raises(RuntimeError, match="Policy always scored other customers at 2024-01-01"):
        evaluate_policies(COHORTS, tables, TRAINING)


def test_compute_means_without_matured_cohort_none() -> None:
    assert evaluate_policies([], {"never": _tables(0.3)}, TRAINING) == {"never": []}
