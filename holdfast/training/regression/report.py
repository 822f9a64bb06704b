"""Evaluation report of a regression, stored as ``evaluation.json`` in the run of its version."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from holdfast.training.evaluation_report import Interval
from holdfast.training.regression.scores import SPEND_METRIC_LABELS


class _RegressionRecord(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class SpendGroup(_RegressionRecord):
    """Observed and predicted spend of one month or one group of customers.

    Attributes:
        name: Date of the cut-off, feature and label of the group, or number of the tenth.
        observed: Mean observed spend.
        predicted: Mean prediction.
        total: Predicted / observed total.
        bias: Mean predicted minus mean observed spend.
    """

    name: str
    rows: int
    observed: float
    predicted: float
    total: Interval
    bias: Interval


class RegressionEvaluation(_RegressionRecord):
    """Results of a regression on the test period.

    Attributes:
        chosen: Family and hyperparameters.
        reason: Reason of the choice.
        known_mean: Mean spend of the development rows.
        metrics: "model" and each baseline to metric to value.
        gains: Baseline to the deviance that the model saves on the test rows.
        deciles: Tenths of the rows by prediction, lowest first.
        fold_deviance: Candidate to its mean deviance on the folds.
        family_gains: Other family to the deviance that the chosen family saves on the folds.
        over_mean: Deviance that the chosen family saves over the mean on the folds; None without folds.
        history_notes: Sentences on gaps in the data.
    """

    chosen: str
    reason: str
    rows: int
    cutoffs: list[datetime]
    known_mean: float
    metrics: dict[str, dict[str, Interval]]
    gains: dict[str, Interval]
    months: list[SpendGroup]
    slices: list[SpendGroup]
    deciles: list[SpendGroup] = []
    fold_deviance: dict[str, float]
    family_gains: dict[str, Interval]
    over_mean: Interval | None
    history_notes: list[str] = []

    def headline(self) -> str:
        """Describe the main results.

        Returns:
            One line, without a full stop.
        """
        model = self.metrics["model"]
        values = ", ".join(f"{SPEND_METRIC_LABELS[name]} {model[name]}" for name in ("spearman", "total", "mae"))
        return f"{self.chosen}; {values}"
