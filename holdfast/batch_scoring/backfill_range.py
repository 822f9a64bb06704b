"""Days of a backfill."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import current_score_table
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.batches import end_of_data, list_batches


class BackfillRangeError(HoldfastError):
    """Range of days that cannot be scored."""


def list_backfill_days(settings: Settings, start: date, end: date, every: int) -> list[datetime]:
    """List the scoring times of a backfill.

    Args:
        settings: Settings with the data folder.
        start: First day, UTC, included.
        end: Last day, UTC, included.
        every: Days between two scoring times, at least 1.

    Returns:
        Midnights, UTC, in ascending order.

    Raises:
        BackfillRangeError: The range is empty or not covered by data.
    """
    if every < 1:
        raise BackfillRangeError(f"The interval of {every} days is too short: give 1 or more.")
    if start > end:
        raise BackfillRangeError(f"The range is empty: start {start} is after end {end}.")
    batches = list_batches(settings)
    first = min((batch.first_event for batch in batches if batch.first_event), default=None)
    last = end_of_data(batches)
    if first is None or last is None:
        raise BackfillRangeError("There are no transactions to score from: run `python -m flows.ingest` first.")
    days = [_midnight(start + timedelta(days=days)) for days in range(0, (end - start).days + 1, every)]
    if days[0] <= first or days[-1] > last:
        earliest = (first.astimezone(UTC) + timedelta(days=1)).date()
        raise BackfillRangeError(
            f"{start} to {end} is not covered by data: the first transaction is of {first:%Y-%m-%d}, the last of "
            f"{last - timedelta(days=1):%Y-%m-%d}. Choose days from {earliest} to {last:%Y-%m-%d}, or ingest more."
        )
    return days


def unscored_days(settings: Settings, days: Sequence[datetime]) -> list[datetime]:
    """Select the days without a score table of any version.

    Args:
        settings: Settings with the data folder.
        days: Scoring times, UTC.

    Returns:
        The days without scores, in the given order.
    """
    return [day for day in days if current_score_table(settings, day) is None]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
