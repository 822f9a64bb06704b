"""Evidence that passes every gate; tests change one item at a time."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from holdfast.feature_store.parity import ParityRecord
from holdfast.model_versions.evidence import Evidence, Unavailable
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import RollbackRecord, RolloutRecord
from holdfast.promotion.gates import GateResult, evaluate_gates
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import (
    METRIC_LABELS,
    Evaluation,
    FoldResult,
    Interval,
    LevelResult,
    MonthResult,
    ProfitEstimate,
    SliceResult,
)

DEFINITIONS = {"feature_service": "a", "on_demand": "b", "transformations": "c"}
NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


def make_interval(value: float, half: float = 0.02) -> Interval:
    """Build a symmetric interval."""
    return Interval(value=value, low=value - half, high=value + half)


def make_month(cutoff: datetime = NOON, mean_score: float = 0.42, base_rate: float = 0.4) -> MonthResult:
    """Build a month, by default with 40% churn."""
    return MonthResult(
        cutoff=cutoff,
        rows=1000,
        base_rate=base_rate,
        mean_score=mean_score,
        metrics={},
        baselines={},
        bias=make_interval(mean_score - base_rate),
    )


def make_slice(
    label: str, rows: int = 1000, behind: Interval | None = None, feature: str = "tenure_days", mean_score: float = 0.4
) -> SliceResult:
    """Build a slice with 40% churn, in which a simple model is behind or ahead."""
    return SliceResult(
        feature=feature,
        label=label,
        rows=rows,
        base_rate=0.4,
        mean_score=mean_score,
        roc_auc=make_interval(0.7),
        gap=make_interval(0.03),
        brier=0.2,
        bias=make_interval(mean_score - 0.4),
        months=4,
        best_simple="bg_nbd",
        behind_simple=behind or make_interval(-0.03),
    )


def make_folds(gain: float = 0.05) -> FoldResult:
    """Build a result on the folds."""
    return FoldResult(months=4, rows=4000, roc_auc=make_interval(0.75), log_loss_gain=make_interval(gain))


def make_level(bias: float = 0.01, half: float = 0.02, days: int = 600, spread: float = 0.03) -> LevelResult:
    """Build the level of a shop, by default with more than a year of history."""
    return LevelResult(bias=make_interval(bias, half), months=4, history_days=days, month_spread=spread)


def good_evaluation(**changed: Any) -> Evaluation:
    """Build a passing evaluation with changed fields."""
    metrics = dict.fromkeys(METRIC_LABELS, make_interval(0.75)) | {
        "ece": make_interval(0.04),
        "brier": make_interval(0.18),
    }
    half = make_interval(0.0)
    fields: dict[str, Any] = {
        "rows": 4000,
        "customers": 2000,
        "cutoffs": [NOON],
        "base_rate": 0.4,
        "family": "boosting",
        "chosen": "boosting max_iter=60",
        "reason": "It won.",
        "over_families": make_interval(0.03),
        "metrics": {"model": metrics, **{name: metrics | {"brier": make_interval(0.24)} for name in BASELINE_LABELS}},
        "over_baselines": {name: make_interval(0.05) for name in BASELINE_LABELS},
        "months": [make_month()],
        "slices": [make_slice("new"), make_slice("tenured")],
        "calibration": "none",
        "calibration_reason": "It is calibrated.",
        "calibration_methods": [],
        "value": ProfitEstimate(
            threshold=0.4,
            earned=half,
            at_half=half,
            lost_by_half=half,
            offers_to_all=0.0,
            best_threshold=0.4,
            best=0.0,
        ),
        "importance": [],
        "instability": make_interval(0.02, 0.005),
        "log_loss_gains": {name: make_interval(0.03) for name in BASELINE_LABELS},
        "folds": make_folds(),
        "level": make_level(),
    }
    return Evaluation(**fields | changed)


PASSING_EVIDENCE = Evidence(
    evaluation=good_evaluation(),
    signal=make_interval(0.74),
    known_rate=0.45,
    brier_gain=make_interval(0.05),
    level_free_brier_gain=make_interval(0.04),
    champion="1",
    is_first=False,
    over_champion=make_interval(0.01),
    brier_over_champion=make_interval(0.01),
    compared_on="the same test rows",
    compared_rows=4000,
    as_tested=0.0,
    wrong_direction=0.0,
    variance=1e-16,
    definitions=DEFINITIONS,
    parity=ParityRecord(
        as_of=NOON,
        known_at=NOON,
        definitions=DEFINITIONS,
        values_compared=5400,
        mismatches=0,
    ),
    latency_ms=0.5,
    size_mb=0.1,
    inputs=["purchase_days", "total_amount", "days_since_last_purchase", "average_age_of_basket"],
    rollback=None,
)


def evidence_with(**changed: Any) -> Evidence:
    """Return the passing evidence with changed items."""
    return replace(PASSING_EVIDENCE, **changed)


MISSING = Unavailable("the file is removed")
ROLLBACK = RollbackRecord(to="1", when=NOON, who="ann", why="complaints")
REFUTED = RolloutRecord(
    step="canary", share=0.05, begun=NOON, when=NOON, verdict="breached", champion="1", gates="k", why="too slow"
)
MERIT = [
    "not surely worse than recency alone",
    "not surely worse than RFM logistic",
    "not surely worse than BG/NBD",
    "not surely worse than Pareto/NBD",
    "probabilities not surely worse than the simple models",
    "not surely worse than another family",
    "no slice far worse",
    "not worse than the champion",
    "not surely worse than the champion",
    "probabilities not surely worse than the champion",
]
FIRST_MODEL: dict[str, Any] = {
    "champion": None, "is_first": True, "over_champion": None, "brier_over_champion": None, "compared_rows": 0
}  # fmt: skip


def gate(evidence: Evidence, name: str, **settings: Any) -> GateResult:
    """Return one gate of the list."""
    return next(gate for gate in evaluate_gates(evidence, GateSettings(**settings)) if gate.name == name)


def failed(evidence: Evidence, **settings: Any) -> list[str]:
    """Return the names of the failed gates."""
    return [gate.name for gate in evaluate_gates(evidence, GateSettings(**settings)) if gate.verdict == "failed"]


def make_metrics(**changed: Any) -> dict[str, Any]:
    """Build the metrics of all models, with changed ones of the model."""
    metrics = good_evaluation().metrics
    return metrics | {"model": metrics["model"] | changed}


def make_gains() -> dict[str, Interval]:
    """Build a gain over each baseline."""
    return dict.fromkeys(BASELINE_LABELS, make_interval(0.05))
