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
    """Value with its 95% interval from a bootstrap over customers and, where several cut-offs are pooled, months."""

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
        bias: ``mean_score`` minus ``base_rate``, with its interval over customers; None in older reports.
    """

    cutoff: datetime
    rows: int
    base_rate: float
    mean_score: float
    metrics: dict[str, Interval]
    baselines: dict[str, dict[str, float]]
    bias: Interval | None = None


class SliceResult(_Record):
    """Result in one group of customers.

    Attributes:
        roc_auc: None for rows of one class.
        gap: ROC-AUC of all test rows minus that of the group; None for rows of one class.
        bias: ``mean_score`` minus ``base_rate``, with its interval over customers and months; None in older reports.
        months: Number of test cut-offs with rows of the group; 0 in older reports.
        best_simple: Baseline with the highest ROC-AUC in the group; None for rows of one class and in older reports.
        behind_simple: ROC-AUC of ``best_simple`` minus that of the model, both in the group; positive where the
            baseline ranks better. None as ``best_simple``.
    """

    feature: str
    label: str
    rows: int
    base_rate: float
    mean_score: float
    roc_auc: Interval | None
    gap: Interval | None
    brier: float
    bias: Interval | None = None
    months: int = 0
    best_simple: str | None = None
    behind_simple: Interval | None = None


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


class FoldResult(_Record):
    """Out-of-fold result of the chosen family on the folds before the test, as a measure of signal.

    The level of each fold is removed by the best single offset in log-odds, because models of earlier months cannot
    know it. The folds chose the hyperparameters, so the values are slightly too good.

    Attributes:
        months: Number of folds, each with one validation month.
        rows: Number of validation rows.
        roc_auc: Mean ROC-AUC over the folds.
        log_loss_gain: Log loss of the base rate of each fold minus that of the model, mean over the folds; positive
            where the model knows more than the base rate.
    """

    months: int
    rows: int
    roc_auc: Interval
    log_loss_gain: Interval


class LevelResult(_Record):
    """Mean prediction compared with observed churn on the test rows.

    Attributes:
        bias: Mean predicted minus observed churn, with its interval over customers and months.
        months: Number of test cut-offs.
        history_days: Days from the first purchase to the end of the latest known outcomes.
        month_spread: Largest distance of a month's churn from the mean over the development and test months; 0 in older
            reports.
    """

    bias: Interval
    months: int
    history_days: int
    month_spread: float = 0.0


class ServedFit(_Record):
    """Fit of the model that ships, beside the tested model of the same recipe.

    Attributes:
        cutoffs: Cut-offs of the rows that the shipped model was fitted on, ascending.
        refitted: Whether the shipped model was fitted again after the test, on the test rows too.
        change: Mean absolute difference of the refitted and the tested model's probabilities on the test rows, after
            the best single offset; None without a refit.
        limit: Largest ``change`` with which the refitted model ships; None without a refit.
        reason: Explanation in one sentence.
    """

    cutoffs: list[datetime]
    refitted: bool
    change: float | None
    limit: float | None
    reason: str


class Evaluation(_Record):
    """Evaluation of a model version on the test period.

    All figures are those of the tested model, which was fitted on the development rows.

    Attributes:
        cutoffs: Test cut-offs.
        chosen: Description of the model.
        reason: Explanation of the choice.
        over_families: Log loss of the best other family of the search minus that of the model on the test rows; None
            without another family and in older reports.
        metrics: "model" and each baseline to metric to interval.
        over_baselines: Baseline to the ROC-AUC of the model minus that of the baseline, on the same resamples.
        instability: Mean absolute change of a test row's probability when the model is fitted on resampled customers;
            the ends are the smallest and the largest refit, a 97% interval of the median refit.
        log_loss_gains: Baseline to its log loss minus that of the model on the test rows, on the same resamples;
            positive where the model is better.
        folds: Result on the folds; None without folds and in older reports.
        level: Level of the predictions on the test rows; None in older reports.
        served: Fit of the shipped model; None in older reports, whose tested model ships.
        decisions: Reason of a threshold other than the one from which an offer pays; empty without such a reason.
        search_notes: Hyperparameters whose best value lies on a bound of the search.
        history_notes: Gaps in the data with the cut-offs that were left out, and rows outside the flow of rows.
        skipped_baselines: Baseline that could not be fitted to the reason.
        skipped_slices: Features of the default slices that the definitions do not have.
    """

    rows: int
    customers: int
    cutoffs: list[datetime]
    base_rate: float
    family: str
    chosen: str
    reason: str
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
    log_loss_gains: dict[str, Interval] = {}
    folds: FoldResult | None = None
    level: LevelResult | None = None
    served: ServedFit | None = None
    over_families: Interval | None = None
    decisions: str = ""
    search_notes: list[str] = []
    history_notes: list[str] = []
    skipped_baselines: dict[str, str] = {}
    skipped_slices: list[str] = []

    def headline(self) -> str:
        """Describe the main results.

        Returns:
            One line, without a full stop.
        """
        return f"{self.chosen}; ROC-AUC {self.metrics['model']['roc_auc']}"

    def describe_skipped(self) -> list[str]:
        """Describe the baselines and slices that the definitions of the features do not allow.

        Returns:
            Sentences; none where everything was evaluated.
        """
        notes = [f"Not compared: {reason}." for reason in self.skipped_baselines.values()]
        return notes + [
            f"No customer groups by {name}: the feature definitions do not have it." for name in self.skipped_slices
        ]
