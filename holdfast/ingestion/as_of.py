"""Resolution of the times of a flow run: ``as_of`` and ``known_at``."""

from datetime import UTC, datetime, timedelta

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.history_extent import read_extent

_MAX_FEED_DELAY = timedelta(days=14)  # days without rows after the end of the data that monitoring reports


class ClockError(HoldfastError):
    """The configured clock gives no usable time."""


def resolve_as_of(as_of: datetime | None, settings: Settings, now: datetime) -> datetime:
    """Return ``as_of``, or the time that ``HOLDFAST_CLOCK`` defines when ``as_of`` is None.

    Args:
        as_of: Time given by the caller; a time without a zone is read as UTC.
        settings: Settings with the clock and the data folder.
        now: Time of the run, UTC; the time of the schedule for a scheduled run.

    Returns:
        Time in UTC.

    Raises:
        ClockError: The clock follows the data and there is no data, or ``now`` is long after the end of the data.
    """
    if as_of is not None:
        return as_utc(as_of)
    if isinstance(settings.clock, datetime):
        return settings.clock.astimezone(UTC)
    extent, now = read_extent(settings), as_utc(now).replace(microsecond=0)
    end = None if extent is None else extent.end
    if settings.clock == "data":
        if end is None:
            raise ClockError("HOLDFAST_CLOCK=data needs data, and there is none: run `python -m flows.ingest` first.")
        return min(end, now)
    if end is not None and now - end > timedelta(days=settings.activity_days):
        raise ClockError(
            f"The data ends on {end - timedelta(days=1):%Y-%m-%d}: no customer was active in the "
            f"{settings.activity_days} days before now. Ingest newer data, give an as_of, or set HOLDFAST_CLOCK=data "
            "to replay the past."
        )
    return now


def latest_as_of(settings: Settings, now: datetime) -> datetime:
    """Return the latest ``as_of`` that monitoring may use.

    In a replay the end of the data plus ``_MAX_FEED_DELAY``, so that days without rows are found; ``now`` at most.

    Args:
        settings: Settings with the clock and the data folder.
        now: Current time, UTC.

    Returns:
        Time in UTC.
    """
    if isinstance(settings.clock, datetime):
        return settings.clock.astimezone(UTC)
    extent = read_extent(settings) if settings.clock == "data" else None
    return now if extent is None else min(extent.end + _MAX_FEED_DELAY, now)


def resolve_daily_as_of(as_of: datetime | None, settings: Settings, now: datetime) -> datetime:
    """Resolve ``as_of`` for features and scores: on the wall clock, the last midnight (UTC).

    Transactions arrive in whole days. Features of 01:00 would lack the hour since midnight, which training has later;
    and daily scores are found by their day.

    Args:
        as_of: Time given by the caller; a time without a zone is read as UTC.
        settings: Settings with the clock and the data folder.
        now: Time of the run, UTC; the time of the schedule for a scheduled run.

    Returns:
        Time in UTC.

    Raises:
        ClockError: See :func:`resolve_as_of`.
    """
    time = resolve_as_of(as_of, settings, now)
    if as_of is None and settings.clock == "wall":
        return time.replace(hour=0, minute=0, second=0, microsecond=0)
    return time


def resolve_known_at(known_at: datetime | None) -> datetime:
    """Return ``known_at`` in UTC, or the current time, which includes all stored data.

    Args:
        known_at: Time given by the caller; a time without a zone is read as UTC. None for the current time.

    Returns:
        Time in UTC.
    """
    return as_utc(known_at) if known_at is not None else datetime.now(UTC)
