"""What time a flow run is about."""

from datetime import UTC, datetime, timedelta

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.batches import end_of_data, list_batches

LATE_FEED = timedelta(days=14)  # within which days without rows are still worth a look


class ClockError(HoldfastError):
    """There is no sensible "now"."""


def resolve_as_of(as_of: datetime | None, settings: Settings) -> datetime:
    """``as_of`` if given (naive means UTC), else "now" as ``HOLDFAST_CLOCK`` defines it.

    On the wall clock, a scheduled run is about the time it was scheduled for, so a retry or a late start gives
    the same result.

    Raises:
        ClockError: The clock follows the data and there is none, or "now" is long after the data end.
    """
    if as_of is not None:
        return as_utc(as_of)
    if isinstance(settings.clock, datetime):
        return settings.clock.astimezone(UTC)
    end = end_of_data(list_batches(settings))
    if settings.clock == "data":
        if end is None:
            raise ClockError("The clock follows the data, and there are none: run `python -m flows.ingest` first.")
        return min(end, as_utc(datetime.now(UTC)).replace(microsecond=0))
    from prefect.runtime import flow_run

    now = as_utc(flow_run.scheduled_start_time or datetime.now(UTC)).replace(microsecond=0)
    if end is not None and now - end > timedelta(days=settings.activity_days):
        raise ClockError(
            f"The data end on {end - timedelta(days=1):%Y-%m-%d}: nobody was active in the {settings.activity_days} "
            "days before now. Ingest newer data, give an as_of, or set HOLDFAST_CLOCK=data to replay the past."
        )
    return now


def latest_moment(settings: Settings) -> datetime:
    """The latest moment that can be looked back from: now, or in a replay some days after the data end.

    A feed may be late there: the days without rows are what a look at them is to find.
    """
    if isinstance(settings.clock, datetime):
        return settings.clock.astimezone(UTC)
    now = datetime.now(UTC)
    end = end_of_data(list_batches(settings)) if settings.clock == "data" else None
    return now if end is None else min(end + LATE_FEED, now)


def resolve_day(as_of: datetime | None, settings: Settings) -> datetime:
    """As :func:`resolve_as_of`, but on the wall clock the last midnight (UTC): for features and scores.

    Transactions come in whole days. Features of 01:00 would lack the hour since midnight, of which training, later,
    lacks nothing; and what is scored every day is found by its day.

    Raises:
        ClockError: As :func:`resolve_as_of`.
    """
    moment = resolve_as_of(as_of, settings)
    if as_of is None and settings.clock == "wall":
        return moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return moment


def resolve_known_at(known_at: datetime | None) -> datetime:
    """``known_at`` if given (naive means UTC), else everything that has arrived."""
    return as_utc(known_at) if known_at is not None else datetime.now(UTC)


def run_name() -> str:
    """A flow run's name in the UI: the flow and, where it was given, the time it is about."""
    from prefect.runtime import flow_run

    as_of = flow_run.parameters.get("as_of")
    return f"{flow_run.flow_name} as of {as_of:%Y-%m-%d %H:%M}" if as_of else f"{flow_run.flow_name} as of now"
