"""Evaluation report of a model version, stored as ``evaluation.json`` in its run.

Gates, the model card and the backtest read the report.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

# Labels of the metrics of `holdfast.training.metrics.compute_metrics`.
METRIC_LABELS = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "brier": "Brier",
    "log_loss": "log loss",
    "ece": "calibration error",
}
EVALUATION_FILE = "evaluation.json"


class _Record(BaseModel):
    # A value that cannot be computed is NaN, which JSON has no number for: it is written as a string.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class Interval(_Record):
    """Value with its 95% interval from a bootstrap over customers."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class MonthResult(_Record):
    """Result at one test cut-off; ``mean_score`` compared with ``base_rate`` shows the calibration.

    Attributes:
        metrics: Metric of METRIC_LABELS to the model's value.
        baselines: Baseline to metric to value.
    """

    cutoff: datetime
    rows: int
    base_rate: float
    mean_score: float
    metrics: dict[str, Interval]
    baselines: dict[str, dict[str, float]]


class SliceResult(_Record):
    """Result in one group of customers.

    Attributes:
        roc_auc: None for rows of one class.
        gap: ROC-AUC of all test rows minus that of the group; None for rows of one class.
    """

    feature: str
    label: str
    rows: int
    base_rate: float
    mean_score: float
    roc_auc: Interval | None
    gap: Interval | None
    brier: float


class CalibrationMethod(_Record):
    """Performance of a calibration method on later folds than those of the fit.

    Attributes:
        gain: Log loss without calibration minus log loss with the method; None for the method "none".
    """

    method: str
    brier: float
    log_loss: float
    ece: float
    gain: Interval | None


class ProfitEstimate(_Record):
    """Profit of offers per test row, in the currency of the transactions.

    Attributes:
        threshold: Threshold of the model.
        earned: Profit at ``threshold``.
        at_half: Profit at the threshold 0.5.
        lost_by_half: ``earned`` minus ``at_half``.
        offers_to_all: Profit when every customer gets an offer.
        best_threshold: Threshold with the highest profit on the test rows: hindsight, never used.
        best: Profit at ``best_threshold``.
    """

    threshold: float
    earned: Interval
    at_half: Interval
    lost_by_half: Interval
    offers_to_all: float
    best_threshold: float
    best: float


class Importance(_Record):
    """Permutation importance of a feature.

    Attributes:
        drop: ROC-AUC lost on the test rows when the feature's values are shuffled.
    """

    feature: str
    drop: Interval


class Evaluation(_Record):
    """Evaluation of a model version on the test period.

    Attributes:
        cutoffs: Test cut-offs.
        chosen: Description of the model.
        reason: Explanation of the choice.
        simpler: ROC-AUC gain over the simplest family; None when the model is of the simplest family.
        metrics: "model" and each baseline to metric to interval.
        over_baselines: Baseline to the ROC-AUC of the model minus that of the baseline, on the same resamples.
        instability: Mean absolute change of a test row's probability when the model is fitted on resampled customers;
            the ends are the smallest and the largest refit, not a 95% interval.
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
