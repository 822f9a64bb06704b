"""Labels of tests."""

from feature_repo.labels import LabelFunction
from feature_repo.settings import Settings
from holdfast.models.label import LabelDefinition
from holdfast.training.label_query import current_label


def purchase_label(
    horizon_days: int = 90, activity_days: int = 180, build: LabelFunction | None = None
) -> LabelDefinition:
    """Return the label "no purchase in the horizon"."""
    return current_label(Settings(label="no_purchase", horizon_days=horizon_days, activity_days=activity_days), build)


def renewal_label(horizon_days: int = 30, grace_days: int = 14) -> LabelDefinition:
    """Return the label "subscription not renewed by its end plus grace"."""
    return current_label(Settings(label="not_renewed", horizon_days=horizon_days, grace_days=grace_days))
