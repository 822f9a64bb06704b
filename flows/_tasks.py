"""Prefect options and run names that the flows share."""

from datetime import UTC, datetime

from feature_repo.timestamps import as_utc


def run_name() -> str:
    """A flow run's name in the UI: the flow and, where it was given, the time it is about."""
    from prefect.runtime import flow_run

    as_of = flow_run.parameters.get("as_of")
    return f"{flow_run.flow_name} as of {as_of:%Y-%m-%d %H:%M}" if as_of else f"{flow_run.flow_name} as of now"


def run_time() -> datetime:
    """Return the time of the flow run, UTC: the time of its schedule, else the current time.

    A retry or a late start of a scheduled run then gives the same result as a start on time.
    """
    from prefect.runtime import flow_run

    return as_utc(flow_run.scheduled_start_time or datetime.now(UTC))
