"""What time a flow run is about."""

from datetime import UTC, datetime, timedelta

from feature_repo.settings import Settings
from flows.ingestion.batches import list_batches


def resolve_as_of(as_of: datetime | None, settings: Settings) -> datetime:
    """``as_of`` if given (naive means UTC), else "now" as ``HOLDFAST_CLOCK`` defines it.

    On the wall clock, a scheduled run is about the time it was scheduled for, so a retry or a late start gives
    the same result.

    Raises:
        ValueError: The clock follows the data, and there is none.
    """
    if as_of is not None:
        return as_utc(as_of)
    if isinstance(settings.clock, datetime):
        return settings.clock.astimezone(UTC)
    if settings.clock == "data":
        return _midnight_after_last_event(settings)
    from prefect.runtime import flow_run

    scheduled = flow_run.scheduled_start_time
    return as_utc(scheduled or datetime.now(UTC)).replace(microsecond=0)


def resolve_known_at(known_at: datetime | None) -> datetime:
    """``known_at`` if given (naive means UTC), else everything that has arrived."""
    return as_utc(known_at) if known_at is not None else datetime.now(UTC)


def as_utc(time: datetime) -> datetime:
    """The same moment in UTC; a time without a zone is taken as UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def run_name() -> str:
    """A flow run's name in the UI: the flow and, where it was given, the time it is about."""
    from prefect.runtime import flow_run

    as_of = flow_run.parameters.get("as_of")
    return f"{flow_run.flow_name} as of {as_of:%Y-%m-%d %H:%M}" if as_of else f"{flow_run.flow_name} as of now"


def _midnight_after_last_event(settings: Settings) -> datetime:
    last = max((batch.last_event for batch in list_batches(settings) if batch.last_event), default=None)
    if last is None:
        raise ValueError("HOLDFAST_CLOCK=data, and nothing has been ingested: run `python -m flows.ingest` first.")
    return last.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
