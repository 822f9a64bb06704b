"""Task decorator, run names and run times that the flows share."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from feature_repo.timestamps import as_utc

P = ParamSpec("P")
R = TypeVar("R")


def task(**options: Any) -> Callable[[Callable[P, R]], prefect.Task[P, R]]:
    """Declare a Prefect task whose result is neither cached nor stored: data stays in memory and in the data folder.

    Args:
        options: Options of ``prefect.task``.

    Returns:
        The decorator.
    """
    return prefect.task(cache_policy=NO_CACHE, persist_result=False, **options)


def run_name() -> str:
    """Name a flow run by its flow and, where it was given, its as_of.

    Returns:
        The name in the Prefect UI.
    """
    as_of = flow_run.parameters.get("as_of")
    return f"{flow_run.flow_name} as of {as_of:%Y-%m-%d %H:%M}" if as_of else f"{flow_run.flow_name} as of now"


def run_time() -> datetime:
    """Return the time of the flow run: the time of its schedule, else the current time.

    A retry or a late start of a scheduled run then gives the same result as a start on time.

    Returns:
        The time, UTC.
    """
    return as_utc(flow_run.scheduled_start_time or datetime.now(UTC))
