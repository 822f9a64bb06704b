"""Notes on cohorts whose performance is not measured."""

from collections.abc import Mapping
from datetime import datetime

from holdfast.core.formatting import format_count
from holdfast.ingestion.history_extent import DataGap


def describe_hindsight(trained: Mapping[str, datetime], version: str, ends_at: datetime) -> str:
    """Describe a version that was trained on later events than those of a cohort.

    Args:
        trained: Time of the training by version.
        version: Version of the cohort.
        ends_at: Latest as_of of the cohort.

    Returns:
        A note; empty for a version that was trained before.
    """
    trained_at = trained.get(version)
    if trained_at is None or ends_at >= trained_at:
        return ""
    return f"version {version} was trained on events up to {trained_at:%Y-%m-%d}"


def describe_too_few(customers: int, min_rows: int) -> str:
    """Describe a cohort with too few customers.

    Args:
        customers: Number of customers.
        min_rows: Number that is needed.

    Returns:
        A note; empty for a cohort with enough customers.
    """
    return "" if customers >= min_rows else f"{format_count(customers, 'customer')}, at least {min_rows} are needed"


def describe_open_outcomes(gap: DataGap | None, matures_at: datetime) -> str:
    """Describe why the outcomes of a cohort are unknown.

    Args:
        gap: Gap in the data within the horizon.
        matures_at: Time at which the horizon has closed.

    Returns:
        A note.
    """
    return f"outcomes unknown: gap in the data {gap}" if gap else f"matures on {matures_at:%Y-%m-%d}"
