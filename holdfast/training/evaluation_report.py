"""What is known of a model after its one test: kept as ``evaluation.json`` in its run.

Gates judge it, the model card shows it, the backtest compares it.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

# The metrics of `holdfast.training.metrics.compute_metrics`, as people know them.
METRIC_LABELS = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "brier": "Brier",
    "log_loss": "log loss",
    "ece": "calibration error",
}
EVALUATION_FILE = "evaluation.json"


class _Record(BaseModel):
    # What cannot be computed is NaN; JSON has no number for it, so it is written as a string and read back.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class Interval(_Record):
    """A value and its 95% interval, from a bootstrap over customers."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class MonthResult(_Record):
    """One test cut-off. ``metrics`` as in METRICS; ``mean_score`` beside ``base_rate`` shows the calibration."""

    cutoff: datetime
    rows: int
    base_rate: float
    mean_score: float
    metrics: dict[str, Interval]
    baselines: dict[str, dict[str, float]]
    """Baseline -> metric -> value."""


class SliceResult(_Record):
    """One group of customers. ``gap``: ROC-AUC of all test rows less that of the group; None where not computable."""

    feature: str
    label: str
    rows: int
    base_rate: float
    mean_score: float
    roc_auc: Interval | None
    gap: Interval | None
    brier: float


class CalibrationMethod(_Record):
    """One way to calibrate, on later folds than it was fitted on. ``gain``: log loss less than with none."""

    method: str
    brier: float
    log_loss: float
    ece: float
    gain: Interval | None


class ProfitEstimate(_Record):
    """Money per test row. ``lost_by_half``: earned at ``threshold`` less earned at 0.5."""

    threshold: float
    earned: Interval
    at_half: Interval
    lost_by_half: Interval
    offers_to_all: float
    best_threshold: float
    """The threshold that would have earned most on the test rows: hindsight, never used."""
    best: float


class Importance(_Record):
    """``drop``: ROC-AUC lost on the test rows when the feature's values are shuffled."""

    feature: str
    drop: Interval


class Evaluation(_Record):
    """The test of a model version.

    ``metrics`` maps "model" and each baseline to metric to interval; ``over_baselines`` maps each baseline to the
    ROC-AUC of the model less its own, on the same resamples; ``simpler`` is the same against the simplest family that
    it was chosen over (None: it is the simplest).
    ``instability``: mean absolute change of a test row's probability when the model is fitted again on resampled
    customers; its ends are the smallest and the largest of the refits, no 95% interval.
    """

    rows: int
    customers: int
    cutoffs: list[datetime]
    base_rate: float
    family: str
    chosen: str
    reason: str
    simpler: Interval | None
    metrics: dict[str, dict[str, Interval]]
    over_baselines: dict[str, Interval]
    months: list[MonthResult]
    slices: list[SliceResult]
    calibration: str
    calibration_reason: str
    calibration_methods: list[CalibrationMethod]
    value: ProfitEstimate
    importance: list[Importance]
    instability: Interval
