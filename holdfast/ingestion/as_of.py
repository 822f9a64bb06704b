"""What time a flow run is about."""

from datetime import UTC, datetime, timedelta

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.batches import end_of_data, list_batches

MAX_FEED_DELAY = timedelta(days=14)  # within which days without rows are still worth a look


class ClockError(HoldfastError):
    """There is no sensible "now"."""


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
    end = end_of_data(list_batches(settings))
    if settings.clock == "data":
        if end is None:
            raise ClockError("The clock follows the data, and there are none: run `python -m flows.ingest` first.")
        return min(end, as_utc(now).replace(microsecond=0))
    now = as_utc(now).replace(microsecond=0)
    if end is not None and now - end > timedelta(days=settings.activity_days):
        raise ClockError(
            f"The data end on {end - timedelta(days=1):%Y-%m-%d}: nobody was active in the {settings.activity_days} "
            "days before now. Ingest newer data, give an as_of, or set HOLDFAST_CLOCK=data to replay the past."
        )
    return now


def latest_as_of(settings: Settings, now: datetime) -> datetime:
    """The latest moment that can be looked back from: now, or in a replay some days after the data end.

    A feed may be late there: the days without rows are what a look at them is to find.
    """
    if isinstance(settings.clock, datetime):
        return settings.clock.astimezone(UTC)
    end = end_of_data(list_batches(settings)) if settings.clock == "data" else None
    return now if end is None else min(end + MAX_FEED_DELAY, now)


def resolve_daily_as_of(as_of: datetime | None, settings: Settings, now: datetime) -> datetime:
    """As :func:`resolve_as_of`, but on the wall clock the last midnight (UTC): for features and scores.

    Transactions come in whole days. Features of 01:00 would lack the hour since midnight, of which training, later,
    lacks nothing; and what is scored every day is found by its day.

    Raises:
        ClockError: As :func:`resolve_as_of`.
    """
    moment = resolve_as_of(as_of, settings, now)
    if as_of is None and settings.clock == "wall":
        return moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return moment


def resolve_known_at(known_at: datetime | None) -> datetime:
    """Return ``known_at`` in UTC, or the current time, which includes all stored data, when it is None."""
    return as_utc(known_at) if known_at is not None else datetime.now(UTC)
