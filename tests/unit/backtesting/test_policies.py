"""Decision and reason of each policy."""

import pytest

from holdfast.backtesting.policies import POLICIES, Performance, Policy, PolicyInputs, TrainingDecision, decide
from holdfast.backtesting.settings import PolicySettings
from holdfast.monitoring.drift.psi import PsiResult
from holdfast.training.evaluation_report import Interval
from tests.support.small_shop import AS_OF

RULES = PolicySettings(max_psi=0.25, min_rows=200)


def _performance(roc_auc: tuple[float, float], brier: tuple[float, float]) -> Performance:
    """Create performance with these 95% intervals; those of the test are 0.70 to 0.74 and 0.18 to 0.20."""
    expected = {
        "roc_auc": Interval(value=0.72, low=0.70, high=0.74),
        "brier": Interval(value=0.19, low=0.18, high=0.20),
    }
    found = {
        name: Interval(value=(low + high) / 2, low=low, high=high)
        for name, (low, high) in {"roc_auc": roc_auc, "brier": brier}.items()
    }
    return Performance(AS_OF, found, expected)


@pytest.mark.parametrize("policy", POLICIES)
def test_decide_without_champion_each_policy_trains(policy: Policy) -> None:
    assert decide(policy, PolicyInputs(None, 1000), RULES) == TrainingDecision(True, "there is no champion yet")


@pytest.mark.parametrize(("policy", "train"), [("never", False), ("always", True)])
def test_decide_never_or_always_ignores_inputs(policy: Policy, train: bool) -> None:
    inputs = PolicyInputs("1", 1000, [PsiResult("score", 9)], _performance((0.5, 0.5), (0.4, 0.4)))
    assert decide(policy, inputs, RULES).train is train


@pytest.mark.parametrize(("psi", "train"), [(0.2501, True), (0.25, False), (0, False)])
def test_decide_drift_of_score_trains_above_limit(psi: float, train: bool) -> None:
    found = decide("drift", PolicyInputs("1", 200, [PsiResult("score", psi)]), RULES)
    assert found.train is train
    assert f"PSI of the score {psi:.2f}, limit 0.25" in found.why


def test_decide_drift_of_inputs_reports_only() -> None:
    drift = [
        PsiResult("tenure_days", 4.2),
        PsiResult("purchase_days", 0.3),
        PsiResult("score", 0.2),
        PsiResult("amount_30d", 0.1),
    ]
    found = decide("drift", PolicyInputs("1", 200, drift), RULES)
    assert not found.train
    assert found.why.endswith("above it: 2 of 3 inputs, most tenure_days 4.20")


def test_decide_drift_too_few_customers_does_not_train() -> None:
    found = decide("drift", PolicyInputs("1", 199, [PsiResult("score", 5)]), RULES)
    assert found == TrainingDecision(False, "too few customers for drift: 199, at least 200 are needed")


@pytest.mark.parametrize(
    ("roc_auc", "brier", "worse"),
    [
        ((0.66, 0.699), (0.18, 0.20), ["ROC-AUC"]),
        ((0.70, 0.74), (0.201, 0.22), ["Brier"]),
        ((0.60, 0.62), (0.30, 0.32), ["ROC-AUC", "Brier"]),
        ((0.66, 0.70), (0.20, 0.24), []),  # the intervals overlap
        ((0.80, 0.90), (0.10, 0.11), []),  # better than the test
        ((float("nan"), float("nan")), (0.18, 0.20), []),  # all of the cohort churned
    ],
)
def test_decide_decay_significant_trains(
    roc_auc: tuple[float, float], brier: tuple[float, float], worse: list[str]
) -> None:
    found = decide("decay", PolicyInputs("1", 1000, [], _performance(roc_auc, brier)), RULES)
    assert found.train is bool(worse)
    assert f"cohort {AS_OF:%Y-%m-%d} is" in found.why
    assert [name for name in ("ROC-AUC", "Brier") if name in found.why] == worse


def test_decide_decay_without_matured_cohort_does_not_train() -> None:
    assert decide("decay", PolicyInputs("1", 1000), RULES) == TrainingDecision(
        False, "no cohort that the champion scored has matured"
    )


@pytest.mark.parametrize("invalid", [{"max_psi": 0}, {"min_rows": 0}, {"psi": 1}])
def test_policy_settings_invalid_value_raises(invalid: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(invalid))):
        PolicySettings.model_validate(invalid)
