"""Backtest of a regression: the same comparison of policies, by the Tweedie deviance."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from holdfast.backtesting.console_tables import recommend_policy
from holdfast.backtesting.measures import list_measures
from holdfast.backtesting.model_kinds import REGRESSION
from holdfast.backtesting.performance import MaturedCohort, compute_difference, compute_means, evaluate_policies
from holdfast.backtesting.plots import plot_policies
from holdfast.backtesting.policies import Policy, PolicyInputs, SpendPerformance, decide
from holdfast.backtesting.results import BacktestResult, BacktestStep
from holdfast.backtesting.settings import PolicySettings
from holdfast.core.types import Floats
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.monitoring.spend.findings import ExpectedRange
from holdfast.training.evaluation_report import Interval
from holdfast.training.regression.scores import deviance
from holdfast.training.settings import TrainingSettings

TIMES = [datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2)]
TRAINING = TrainingSettings(resamples=60)
RNG = np.random.default_rng(3)
SPEND = [np.where(RNG.random(300) < 0.5, 0.0, RNG.gamma(2.0, 20.0, 300)) for _ in TIMES]
CUSTOMERS = [f"c{number:03d}" for number in range(300)]
COHORTS = [
    MaturedCohort(time, time + timedelta(days=90), CUSTOMERS, spend) for time, spend in zip(TIMES, SPEND, strict=True)
]


def _tables(error: float) -> dict[datetime, pd.DataFrame]:
    return {
        time: pd.DataFrame({"customer_id": CUSTOMERS, "expected_spend": _predict(spend, error), "model_version": "1"})
        for time, spend in zip(TIMES, SPEND, strict=True)
    }


def _predict(spend: Floats, error: float) -> Floats:
    predicted: Floats = (0.5 * spend + 0.5 * spend.mean()) * error
    return predicted


def _results(never: float, always: float) -> list[BacktestResult]:
    scored: dict[Policy, dict[datetime, pd.DataFrame]] = {"never": _tables(never), "always": _tables(always)}
    performances = evaluate_policies(COHORTS, scored, TRAINING, REGRESSION)
    results = []
    for policy, other in (("never", "always"), ("always", "never")):
        difference = compute_difference(performances[policy], performances[other])  # type: ignore[index]
        assert difference is not None
        outcomes = [item.outcome() for item in performances[policy]]  # type: ignore[index]
        steps = [
            BacktestStep(
                as_of=outcome.as_of, matured=[], train=False, why="", training=None, champion="1",
                champion_as_of=TIMES[0], customers=300, mean_score=20.0, drift=[], seconds=1.0, outcome=outcome,
            )
            for outcome in outcomes
        ]  # fmt: skip
        results.append(
            BacktestResult(
                policy=policy, model="spend", start=TIMES[0], end=TIMES[1], every="month", thresholds=GateSettings(),
                key="k", steps=steps, overall=compute_means(performances[policy]), over={other: difference},  # type: ignore[index, dict-item, arg-type]
            )
        )  # fmt: skip
    return results


def test_measures_equal_the_scores_of_the_training() -> None:
    (result, _) = _results(1.2, 1.0)
    outcome = result.outcomes[0]
    predicted = _predict(SPEND[0], 1.2)
    assert outcome.base_rate == pytest.approx(SPEND[0].mean())
    assert outcome.measures["total"].value == pytest.approx(1.2)
    losses = deviance(SPEND[0], predicted, float(SPEND[0].mean()))
    assert outcome.measures["deviance"].value == pytest.approx(losses.mean())
    assert outcome.measures["mae"].value == pytest.approx(np.abs(SPEND[0] - predicted).mean())


@pytest.mark.parametrize(
    ("never", "always", "text"),
    [
        (2.0, 1.0, "Retraining every month (0 trainings, -"),
        (1.0, 2.0, "Retraining never (0 trainings"),
        (1.0, 1.0, "No policy has a significantly lower Tweedie deviance than never retraining"),
    ],
)
def test_recommended_policy_has_the_lower_deviance(never: float, always: float, text: str) -> None:
    found = recommend_policy(_results(never, always))
    assert found.startswith(text)
    if never != always:
        assert "its Tweedie deviance is significantly lower than all others'" in found


def test_plot_has_the_panels_of_the_kind() -> None:
    titles = [axes.get_title() for axes in plot_policies(_results(1.5, 1.0)).axes]
    assert titles[:3] == list(list_measures("spend").panels.values())


@pytest.mark.parametrize(("total", "train"), [((0.9, 1.1), False), ((1.3, 1.5), True), ((0.5, 0.7), True)])
def test_decay_of_a_regression_trains_outside_the_totals_of_the_test(total: tuple[float, float], train: bool) -> None:
    metrics = {"total": Interval(value=sum(total) / 2, low=total[0], high=total[1])}
    performance = SpendPerformance(TIMES[0], metrics, {"total": ExpectedRange(0.8, 1.2)})
    decision = decide("decay", PolicyInputs("1", 300, [], performance), PolicySettings())
    assert decision.train is train
    assert ("expected 0.800 to 1.200" in decision.why) is train
