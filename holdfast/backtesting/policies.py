"""Retraining policies: each decides from the data known at a step, and gives the reason."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from holdfast.backtesting.settings import PolicySettings
from holdfast.core.formatting import format_count
from holdfast.monitoring.drift.psi import SCORE, PsiResult
from holdfast.monitoring.performance.findings import find_degradations
from holdfast.monitoring.spend.findings import ExpectedRange, describe_outside
from holdfast.training.evaluation_report import Interval

Policy = Literal["never", "always", "drift", "decay"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


def policy_title(policy: Policy, every: str) -> str:
    """Describe when a policy retrains.

    Args:
        policy: Name of the policy.
        every: month or week.

    Returns:
        Such as "every month" or "on drift".
    """
    names = {"never": "never", "always": f"every {every}", "drift": "on drift", "decay": "on measured decay"}
    return names[policy]


@dataclass(frozen=True)
class Performance:
    """Performance of the champion on its latest matured cohort.

    Attributes:
        cohort: ``as_of`` of the cohort.
        metrics: ``roc_auc`` and ``brier`` on the cohort.
        expected: The same on the test period of the champion.
    """

    cohort: datetime
    metrics: dict[str, Interval]
    expected: dict[str, Interval]

    def describe_worse(self) -> list[str]:
        """Describe the metrics that are significantly below the test: the two 95% intervals do not overlap.

        Returns:
            A sentence per metric.
        """
        return [str(item) for item in find_degradations(self.metrics, self.expected)]


@dataclass(frozen=True)
class SpendPerformance:
    """Performance of the champion of a regression on its latest matured cohort.

    Attributes:
        cohort: ``as_of`` of the cohort.
        metrics: Intervals on the cohort.
        ranges: Metric to its range in the test of the champion.
    """

    cohort: datetime
    metrics: dict[str, Interval]
    ranges: dict[str, ExpectedRange]

    def describe_worse(self) -> list[str]:
        """Describe the metrics whose interval lies outside the range of the test.

        Returns:
            A sentence per metric.
        """
        return describe_outside(self.metrics, self.ranges)


@dataclass(frozen=True)
class PolicyInputs:
    """Inputs of a policy.

    Attributes:
        champion: Version; None before the first promotion.
        customers: Number of customers to score.
        drift: PSI of the champion's inputs and score, largest first.
        performance: None without a matured cohort of the champion.
    """

    champion: str | None
    customers: int
    drift: list[PsiResult] = field(default_factory=list)
    performance: Performance | SpendPerformance | None = None


@dataclass(frozen=True)
class TrainingDecision:
    """Decision to train or not, with its reason."""

    train: bool
    why: str


def decide(policy: Policy, inputs: PolicyInputs, rules: PolicySettings) -> TrainingDecision:
    """Decide whether to train. Without a champion every policy trains: nothing could be scored otherwise.

    Args:
        policy: Name of the policy.
        inputs: Data known at the step.
        rules: Limits.

    Returns:
        The decision.
    """
    if inputs.champion is None:
        return TrainingDecision(True, "there is no champion yet")
    if policy == "never":
        return TrainingDecision(False, "never again after the first champion")
    if policy == "always":
        return TrainingDecision(True, "at every step")
    return _on_drift(inputs, rules) if policy == "drift" else _on_decay(inputs)


def _on_drift(inputs: PolicyInputs, rules: PolicySettings) -> TrainingDecision:
    """Train if the PSI of the score is above its limit. Drift of inputs is only reported.

    Tenure and lifetime counts grow with the age of a shop, so that inputs drift without an effect on the model. The
    score weighs each input by its importance to the model.
    """
    if inputs.customers < rules.min_rows:
        reason = f"too few customers for drift: {inputs.customers}, at least {rules.min_rows} are needed"
        return TrainingDecision(False, reason)
    psi = {item.name: item.psi for item in inputs.drift}
    features = [item for item in inputs.drift if item.name != SCORE]
    drifted = sum(item.psi > rules.max_psi for item in features)
    text = f"PSI of the score {psi[SCORE]:.2f}, limit {rules.max_psi:g}"
    if drifted:
        text += (
            f"; above it: {drifted} of {format_count(len(features), 'input')}, most {features[0].name} "
            f"{features[0].psi:.2f}"
        )
    return TrainingDecision(psi[SCORE] > rules.max_psi, text)


def _on_decay(inputs: PolicyInputs) -> TrainingDecision:
    """Train if performance is significantly below the test."""
    if inputs.performance is None:
        return TrainingDecision(False, "no cohort that the champion scored has matured")
    cohort = f"{inputs.performance.cohort:%Y-%m-%d}"
    if worse := inputs.performance.describe_worse():
        return TrainingDecision(True, f"cohort {cohort} is worse than the test: {'; '.join(worse)}")
    return TrainingDecision(False, f"cohort {cohort} is not significantly worse than the test")
