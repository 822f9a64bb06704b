"""Synthetic history of a version, which tests change one field at a time."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from holdfast.ingestion.batches import Batch
from holdfast.lineage.version_history import UsedBatch, VersionHistory
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import ApprovalRecord, GatesRecord, PromotionRecord, RollbackRecord
from holdfast.promotion.gate_report import GateReport
from holdfast.promotion.gates import GateResult
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import (
    METRIC_LABELS,
    CalibrationMethod,
    Evaluation,
    Importance,
    Interval,
    MonthResult,
    ProfitEstimate,
    SliceResult,
)
from holdfast.training.lineage import Lineage
from holdfast.training.numeric_environment import NumericEnvironment
from holdfast.training.recipe import FoldCutoffs, Recipe
from holdfast.training.settings import TrainingSettings

NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
HASWELL = NumericEnvironment("Haswell", ["X86_V3"])
MONTHS = [datetime(2023, month, 1, tzinfo=UTC) for month in range(1, 13)]
BATCH = Batch("b1c2d3e4", "shop.csv", "s", "m", NOON, 100, 90, 5, 5, 0, MONTHS[0], NOON - timedelta(days=1))

LINEAGE = Lineage(
    as_of=datetime(2024, 7, 1, tzinfo=UTC),
    known_at=NOON,
    batches=["b1c2d3e4"],
    fingerprint={"feature_service": "f" * 64, "on_demand": "0" * 64, "transformations": "a" * 64, "labels": "1" * 64},
    settings=TrainingSettings().model_dump(),
    horizon_days=90,
    activity_days=180,
    training_code="c0de" * 16,
    lock="10cc" * 16,
    python="3.11.7",
    git_commit="c5e4c58859c66a8d10d2fa8e4df9d15e6221348a",
    arithmetic=asdict(HASWELL),
)
RECIPE = Recipe(
    family="logistic",
    params={"C": 0.0123},
    calibration="sigmoid",
    seed=7,
    threshold=2 / 3,
    folds=(FoldCutoffs(fit=tuple(MONTHS[:2]), validation=MONTHS[4]),),
    development=tuple(MONTHS[:5]),
    test=tuple(MONTHS[8:10]),
    digests={
        period: {"rows": f"r-{period}", "labels": "l", "purchase_days": "p", "total_amount": "t"}
        for period in ("development", "test")
    },
)
GATES = GatesRecord(verdict="passed", champion=None, settings="s", when=NOON, failed=[], key="k" * 64)
PROMOTION = PromotionRecord(
    previous="2", when=NOON + timedelta(hours=2), who="Ada", why="better", mode="manual", gates=GATES.key
)
ROLLBACK = RollbackRecord(to="2", when=NOON + timedelta(days=1), who="Bob", why="complaints")
APPROVAL = ApprovalRecord(
    status="waiting",
    since=NOON + timedelta(hours=1),
    until=NOON + timedelta(days=3),
    flow_run="run",
    gates=GATES.key,
)


def interval(value: float, half: float = 0.02) -> Interval:
    """Create a symmetric interval."""
    return Interval(value=value, low=value - half, high=value + half)


def gate(name: str, value: float | None, verdict: str, detail: str = "measured") -> GateResult:
    """Create the result of a gate."""
    return GateResult(name=name, value=value, threshold=0.6, direction="at least", verdict=verdict, detail=detail)  # type: ignore[arg-type]


REPORT = GateReport(
    version="3",
    champion=None,
    key=GATES.key,
    when=NOON,
    settings=GateSettings(),
    gates=[
        gate("minimum quality", 0.701, "passed"),
        gate("not worse than the champion", None, "not applicable", "there is no champion"),
    ],
)


def evaluation(**changed: Any) -> Evaluation:
    """Create test results of two months and two groups."""
    metrics = dict.fromkeys(METRIC_LABELS, interval(0.712)) | {"ece": interval(0.042, 0.01)}
    weak = dict.fromkeys(METRIC_LABELS, interval(0.655))
    fields: dict[str, Any] = {
        "rows": 4000,
        "customers": 2000,
        "cutoffs": list(RECIPE.test),
        "base_rate": 0.5,
        "family": "logistic",
        "chosen": "logistic C=0.0123",
        "reason": "boosting does not beat it.",
        "over_families": None,
        "metrics": {"model": metrics, **dict.fromkeys(BASELINE_LABELS, weak)},
        "over_baselines": dict.fromkeys(BASELINE_LABELS, interval(0.2)) | {"rfm": interval(0.004, 0.001)},
        "months": [
            MonthResult(
                cutoff=cutoff,
                rows=2000,
                base_rate=0.5,
                mean_score=score,
                metrics=metrics,
                baselines={name: dict.fromkeys(METRIC_LABELS, 0.655) for name in BASELINE_LABELS},
            )
            for cutoff, score in zip(RECIPE.test, (0.49, 0.41), strict=True)
        ],
        "slices": [_group("new", 8, None), _group("tenured", 3992, interval(0.111))],
        "calibration": "sigmoid",
        "calibration_reason": "sigmoid is better than none.",
        "calibration_methods": [
            CalibrationMethod(method="none", brier=0.21, log_loss=0.6, ece=0.05, gain=None),
            CalibrationMethod(method="sigmoid", brier=0.2, log_loss=0.59, ece=0.03, gain=interval(0.01, 0.005)),
        ],
        "value": ProfitEstimate(
            threshold=2 / 3,
            earned=interval(0.101),
            at_half=interval(0.071),
            lost_by_half=interval(0.03),
            offers_to_all=-0.214,
            best_threshold=0.61,
            best=0.112,
        ),
        "importance": [
            Importance(feature="purchase_days", drop=interval(0.06)),
            Importance(feature="total_amount", drop=interval(-0.0001, 0.001)),
        ],
        "instability": interval(0.007, 0.001),
    }
    return Evaluation(**fields | changed)


def _group(label: str, rows: int, gap: Interval | None) -> SliceResult:
    return SliceResult(
        feature="tenure_days",
        label=label,
        rows=rows,
        base_rate=0.5,
        mean_score=0.45,
        roc_auc=interval(0.601) if gap else None,
        gap=gap,
        brier=0.2,
    )


HISTORY = VersionHistory(
    version="3",
    aliases=["challenger"],
    registered_at=NOON - timedelta(minutes=5),
    run_id="d79385b24b2f4a19",
    training_rows=12_345,
    lineage=LINEAGE,
    numeric_environment=HASWELL,
    batches=[UsedBatch(BATCH.batch_id, BATCH)],
    recipe=RECIPE,
    evaluation=evaluation(),
    gates=GATES,
    report=REPORT,
    approval=None,
    promotion=None,
    rollback=None,
    successors=[],
    returns=[],
)


def history(**changed: Any) -> VersionHistory:
    """Create a history with changed fields."""
    return replace(HISTORY, **changed)


def scores(*values: float, churned: tuple[bool, ...] | None = None) -> pd.DataFrame:
    """Create test rows c0, c1, … at one cut-off with these predictions."""
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(len(values))],
            "cutoff": pd.Series([MONTHS[8]] * len(values)).astype("datetime64[us, UTC]"),
            "churned": list(churned or [value > 0.5 for value in values]),
            "model": list(values),
        }
    )
