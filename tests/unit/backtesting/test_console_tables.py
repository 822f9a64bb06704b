"""Terminal output and plot of a backtest."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from holdfast.backtesting.console_tables import format_step, print_results, recommend_policy
from holdfast.backtesting.plots import plot_policies
from holdfast.backtesting.policies import POLICIES, Policy
from holdfast.backtesting.results import (
    BacktestResult,
    BacktestStep,
    CohortMeans,
    CohortOutcome,
    PolicyDifference,
    StepTraining,
)
from holdfast.backtesting.settings import DEFAULT_GATES
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.evaluation_report import Interval

STEPS = [datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
PROMOTED = StepTraining(version="1", chosen="logistic C=1", promoted=True)
REFUSED = StepTraining(version="2", chosen="logistic C=1", gates_failed=["calibration", "latency"])
TOO_EARLY = StepTraining(problem="0 monthly cut-offs")
MEASURES = {
    name: Interval(value=0.5, low=0.4, high=0.6) for name in ("roc_auc", "brier", "ece", "bias", "earned")
}  # fmt: skip


def _step(as_of: datetime, training: StepTraining | None, scored: bool = True, mature: bool = True) -> BacktestStep:
    outcome = CohortOutcome(
        as_of=as_of, matured_at=as_of + timedelta(days=90), customers=1234, base_rate=0.6, measures=MEASURES
    )
    return BacktestStep(
        as_of=as_of,
        matured=[],
        train=training is not None,
        why="because",
        training=training,
        champion="1" if scored else None,
        champion_as_of=STEPS[0] if scored else None,
        customers=1234 if scored else 0,
        mean_score=0.7 if scored else None,
        drift=[],
        seconds=1.25,
        outcome=outcome if scored and mature else None,
    )


def _result(
    policy: Policy,
    trainings: list[StepTraining | None],
    over: dict[Policy, tuple[float, float]] | None = None,
    scored: bool = True,
    mature: bool = True,
) -> BacktestResult:
    """Create a result with these trainings and profit differences to others (low and high end)."""
    differences = {
        other: PolicyDifference(cohorts=3, measures={"earned": Interval(value=(low + high) / 2, low=low, high=high)})
        for other, (low, high) in (over or {}).items()
    }
    return BacktestResult(
        policy=policy,
        start=STEPS[0],
        end=STEPS[-1],
        every="month",
        thresholds=GateSettings(),
        key="key",
        steps=[_step(as_of, training, scored, mature) for as_of, training in zip(STEPS, trainings, strict=True)],
        overall=CohortMeans(cohorts=3, rows=3702, measures=MEASURES) if scored and mature else None,
        over=differences,
    )


ONCE, TWICE, ALWAYS = [PROMOTED, None, None], [PROMOTED, None, PROMOTED], [PROMOTED, REFUSED, PROMOTED]


def test_recommend_policy_several_unbeaten_fewest_trainings() -> None:
    results = [
        _result("never", ONCE, {"always": (-0.3, -0.1), "decay": (-0.3, -0.1)}),
        _result("always", ALWAYS, {"never": (0.1, 0.3), "decay": (-0.05, 0.05)}),
        _result("decay", TWICE, {"never": (0.1, 0.3), "always": (-0.05, 0.05)}),
    ]
    assert recommend_policy(results) == (
        "Retraining on measured decay (2 trainings, +0.200 compared with never, 95% interval +0.100 to +0.300) is "
        "recommended: no other profit per customer is significantly higher. Not significantly different: every month "
        "(3 trainings, +0.200 compared with never, 95% interval +0.100 to +0.300)."
    )


def test_recommend_policy_no_higher_profit_never() -> None:
    results = [
        _result("never", ONCE, {"always": (-0.1, 0.05)}),
        _result("always", ALWAYS, {"never": (-0.05, 0.1)}),
    ]
    assert recommend_policy(results).startswith(
        "No policy has a significantly higher profit per customer than never retraining: every "
    )


def test_recommend_policy_one_beats_all_recommended() -> None:
    results = [_result("never", ONCE, {"drift": (-0.3, -0.1)}), _result("drift", ALWAYS, {"never": (0.1, 0.3)})]
    assert recommend_policy(results).startswith("Retraining on drift (3 trainings")
    assert recommend_policy(results).endswith("its profit per customer is significantly higher than all others'.")


@pytest.mark.parametrize(
    ("results", "text"),
    [
        (
            [_result("always", [REFUSED] * 3, scored=False), _result("never", [REFUSED] * 3, scored=False)],
            "No customer was scored: no version passed its gates. Failed gates, with their number: calibration (6), "
            "latency (6).",
        ),
        (
            [_result("never", [TOO_EARLY] * 3, scored=False)],
            "No customer was scored: the history is too short for a training.",
        ),
        ([_result("never", ONCE)], "There is nothing to compare: no cohort that two policies scored has matured."),
        (
            [_result("never", ONCE, mature=False), _result("always", ALWAYS, mature=False)],
            "There is nothing to compare: no cohort that two policies scored has matured.",
        ),
    ],
)
def test_recommend_policy_without_comparison_gives_reason(results: list[BacktestResult], text: str) -> None:
    assert recommend_policy(results) == text


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (_step(STEPS[0], None), "because: no training; version 1 scored 1,234"),
        (_step(STEPS[0], PROMOTED), "because: trained version 1 (logistic C=1), promoted; version 1 scored 1,234"),
        (
            _step(STEPS[0], REFUSED, scored=False),
            "because: trained version 2 (logistic C=1), refused: calibration, latency; no customer was scored",
        ),
        (_step(STEPS[0], TOO_EARLY, scored=False), "because: 0 monthly cut-offs; no customer was scored"),
    ],
)
def test_format_step_any_outcome_one_line(step: BacktestStep, text: str) -> None:
    assert format_step(step) == f"2024-01-01    1.2 s  {text}"


def _printed(results: list[BacktestResult]) -> str:
    console = Console(width=80, record=True, quiet=False, file=None, highlight=False, soft_wrap=True)
    with console.capture() as capture:
        print_results(results, console)
    return capture.get()


def test_print_results_all_policies_fit_80_columns() -> None:
    printed = _printed([_result(policy, ALWAYS) for policy in POLICIES])
    tables = printed[: printed.index("There is nothing to compare")]
    assert "…" not in tables
    assert max(len(line.rstrip()) for line in tables.splitlines()) <= 80
    assert "2024-01-01  promoted  2024-01-01   1,234    60.0%      70.0%    0.500   0.500" in tables


def test_print_results_changed_thresholds_printed() -> None:
    result = _result("never", ONCE)
    assert "--thresholds" not in _printed([result])
    eased = result.model_copy(update={"thresholds": DEFAULT_GATES})
    text = "Thresholds other than the defaults: min_gain_over_baselines -0.05, max_bias 0.25. For the live gates: "
    assert f"{text}--thresholds '{{}}'" in _printed([eased])


def test_print_results_unknown_values_marked() -> None:
    printed = _printed([_result("never", [TOO_EARLY] * 3, scored=False), _result("always", ALWAYS, mature=False)])
    assert "too early  none" in printed
    assert "not yet" in printed
    assert "unknown" in printed


@pytest.mark.parametrize("mature", [True, False])
def test_plot_policies_all_policies_three_measures_and_calendar(mature: bool) -> None:
    figure = plot_policies([_result(policy, ALWAYS, mature=mature) for policy in POLICIES])
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "ROC-AUC, higher is better",
        "Predicted less observed churn, 0 is best",
        "Profit per customer, higher is better",
        "Training: ● promoted   × refused by the gates",
    ]
    calendar = [axes.get_text() for axes in figure.axes[3].get_yticklabels()]
    assert calendar == ["on measured decay", "on drift", "every month", "never"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["2024-01", "2024-02", "2024-03"]
