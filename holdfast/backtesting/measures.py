"""Measures of a backtest by the kind of the model: which decide, and how they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from holdfast.models.declaration import load_declaration
from holdfast.training.evaluation_report import Interval


@dataclass(frozen=True)
class KindMeasures:
    """Measures of one kind of model.

    Attributes:
        compared: Measure by which policies are compared.
        is_gain: Whether a higher value of that measure is better.
        compared_label: Its name in sentences.
        outcome: Title of the mean outcome.
        is_share: Whether outcome and prediction are shares, shown in percent.
        steps: Measure to the title of its column in the table of the steps.
        means: Measure to the title of its column in the comparison.
        panels: Measure to the title of its panel.
        lines: Measure to the value at which its panel has a line.
    """

    compared: str
    is_gain: bool
    compared_label: str
    outcome: str
    is_share: bool
    steps: Mapping[str, str]
    means: Mapping[str, str]
    panels: Mapping[str, str]
    lines: Mapping[str, float] = field(default_factory=dict)

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Return the direction of a better value."""
        return "higher" if self.is_gain else "lower"

    def is_surely_worse(self, difference: Interval) -> bool:
        """Check whether a difference of the compared measure is surely for the worse.

        Args:
            difference: This policy minus another one.

        Returns:
            True if the whole interval is.
        """
        return difference.high < 0 if self.is_gain else difference.low > 0

    def format_level(self, value: float) -> str:
        """Format a mean outcome or prediction.

        Args:
            value: The mean.

        Returns:
            Percent, or an amount.
        """
        return f"{value:.1%}" if self.is_share else f"{value:.2f}"


_KINDS = {
    "classification": KindMeasures(
        compared="earned",
        is_gain=True,
        compared_label="profit per customer",
        outcome="churned",
        is_share=True,
        steps={"roc_auc": "ROC-AUC", "earned": "profit"},
        means={"roc_auc": "ROC-AUC", "ece": "calibration\nerror", "earned": "profit per\ncustomer"},
        panels={
            "roc_auc": "ROC-AUC, higher is better",
            "bias": "Predicted less observed churn, 0 is best",
            "earned": "Profit per customer, higher is better",
        },
        lines={"bias": 0.0, "earned": 0.0},
    ),
    "regression": KindMeasures(
        compared="deviance",
        is_gain=False,
        compared_label="Tweedie deviance",
        outcome="spent",
        is_share=False,
        steps={"total": "total", "deviance": "deviance"},
        means={"deviance": "Tweedie\ndeviance", "total": "predicted /\nobserved", "mae": "absolute\nerror"},
        panels={
            "deviance": "Tweedie deviance, lower is better",
            "total": "Predicted / observed total, 1 is best",
            "mae": "Mean absolute error",
        },
        lines={"total": 1.0},
    ),
}


def list_measures(model: str) -> KindMeasures:
    """Return the measures of a model.

    Args:
        model: Name of the model's declaration.

    Returns:
        Those of its kind.
    """
    return _KINDS[load_declaration(model).kind]
