"""The simple thresholds that a version must pass on the test period."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class PromotionSettings(BaseModel):
    """Thresholds on the test period."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_roc_auc: float = Field(default=0.6, ge=0, le=1, description="ROC-AUC at least.")
    min_roc_auc_over_recency: float = Field(default=0.02, description="ROC-AUC above the recency baseline's.")
    min_brier_below_base_rate: float = Field(default=0.0, description="Brier score below the base rate's.")


@dataclass(frozen=True)
class Check:
    """One threshold and its verdict. A value that cannot be computed is None and fails."""

    name: str
    value: float | None
    at_least: float

    @property
    def passed(self) -> bool:
        return self.value is not None and self.value >= self.at_least


def promotion_checks(metrics: Mapping[str, float], settings: PromotionSettings) -> list[Check]:
    """The verdicts, from the metrics of the training run (``test.MODEL.METRIC``)."""
    return [
        Check("ROC-AUC", metrics.get("test.model.roc_auc"), settings.min_roc_auc),
        Check(
            "ROC-AUC above recency alone",
            _difference(metrics, "test.model.roc_auc", "test.recency.roc_auc"),
            settings.min_roc_auc_over_recency,
        ),
        Check(
            "Brier score below the base rate's",
            _difference(metrics, "test.base_rate.brier", "test.model.brier"),
            settings.min_brier_below_base_rate,
        ),
    ]


def _difference(metrics: Mapping[str, float], left: str, right: str) -> float | None:
    if left not in metrics or right not in metrics:
        return None
    return metrics[left] - metrics[right]
