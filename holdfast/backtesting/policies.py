"""When to train again: each policy decides from what was known at the moment, and says why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from holdfast.backtesting.settings import PolicySettings
from holdfast.monitoring.drift.psi import SCORE, PsiResult
from holdfast.monitoring.performance.degradation import find_degradations
from holdfast.training.evaluation_report import Interval

Policy = Literal["never", "always", "drift", "decay"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


def policy_title(policy: Policy, every: str) -> str:
    """When a policy retrains, as people read it."""
    names = {"never": "never", "always": f"every {every}", "drift": "on drift", "decay": "on measured decay"}
    return names[policy]


@dataclass(frozen=True)
class Performance:
    """How the champion did on the latest cohort that it scored and whose outcomes are known, beside its promise.

    Both hold ``roc_auc`` and ``brier``; ``promised`` is what its test found before it was promoted.
    """

    cohort: datetime
    metrics: dict[str, Interval]
    promised: dict[str, Interval]


@dataclass(frozen=True)
class PolicyInputs:
    """What a policy may look at. ``drift`` is largest first, of the champion's inputs and its score."""

    champion: str | None
    customers: int
    drift: list[PsiResult] = field(default_factory=list)
    measured: Performance | None = None


@dataclass(frozen=True)
class TrainingDecision:
    """Whether to train, and why."""

    train: bool
    why: str


def decide(policy: Policy, known: PolicyInputs, rules: PolicySettings) -> TrainingDecision:
    """What ``policy`` does. Without a champion every policy trains: nobody could score otherwise."""
    if known.champion is None:
        return TrainingDecision(True, "there is no champion yet")
    return _RULES[policy](known, rules)


def _never(known: PolicyInputs, rules: PolicySettings) -> TrainingDecision:
    return TrainingDecision(False, "never again after the first champion")


def _always(known: PolicyInputs, rules: PolicySettings) -> TrainingDecision:
    return TrainingDecision(True, "at every step")


def _on_drift(known: PolicyInputs, rules: PolicySettings) -> TrainingDecision:
    """The PSI of the score decides. Inputs that drift are named, but alone they do not.

    In a shop that grows older every tenure does, and so do counts over a lifetime: inputs drift whether or not
    the model minds. The score weighs each input by what it means to the model.
    """
    if known.customers < rules.min_rows:
        return TrainingDecision(
            False, f"{known.customers} customers are too few to judge drift: it takes {rules.min_rows}"
        )
    psi = {item.name: item.psi for item in known.drift}
    inputs = [item for item in known.drift if item.name != SCORE]
    moved = sum(item.psi > rules.max_psi for item in inputs)
    said = f"PSI of the score {psi[SCORE]:.2f}, limit {rules.max_psi:g}"
    most = f"; {moved} of {len(inputs)} inputs are above it, most {inputs[0].name} {inputs[0].psi:.2f}" if moved else ""
    return TrainingDecision(psi[SCORE] > rules.max_psi, said + most)


def _on_decay(known: PolicyInputs, rules: PolicySettings) -> TrainingDecision:
    """Measured quality surely below the promise: the near ends of the two 95% intervals do not meet."""
    if known.measured is None:
        return TrainingDecision(False, "no cohort that the champion scored has matured")
    cohort = f"{known.measured.cohort:%Y-%m-%d}"
    if worse := find_degradations(known.measured.metrics, known.measured.promised):
        return TrainingDecision(True, f"cohort {cohort} is worse than the test promised: {'; '.join(map(str, worse))}")
    return TrainingDecision(False, f"cohort {cohort} is not surely worse than the test promised")


_RULES: dict[Policy, Callable[[PolicyInputs, PolicySettings], TrainingDecision]] = {
    "never": _never,
    "always": _always,
    "drift": _on_drift,
    "decay": _on_decay,
}
