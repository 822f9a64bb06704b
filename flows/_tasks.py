"""Task decorator, retry condition, run names, run times and tasks that the flows share."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.models.declaration import load_declaration

if TYPE_CHECKING:
    from holdfast.ingestion.results import IngestResult
    from holdfast.training.mlflow_client import ModelClient

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


def retry_on(error: type[Exception]) -> Callable[[Any, Any, Any], bool]:
    """Create a retry condition: a task is repeated after this error only.

    Args:
        error: An error that may not occur in the next attempt.

    Returns:
        The option ``retry_condition_fn`` of a task.
    """
    return lambda _task, _run, state: isinstance(state.result(raise_on_failure=False), error)


def open_model_registry(settings: Settings, model: str) -> "ModelClient":
    """Open the registry of a declared model.

    Args:
        settings: Settings with the tracking URI.
        model: Name of the declaration.

    Returns:
        The client.

    Raises:
        DeclarationError: There is no such declaration.
        UnknownVersionError: There is no registry yet.
    """
    from holdfast.training.mlflow_client import open_registry

    return open_registry(settings, load_declaration(model).registered_name)


@task(name="find affected versions")
def affected_versions_task(settings: Settings, result: "IngestResult") -> "IngestResult":
    """Add a note on the versions that were trained on replaced rows."""
    from holdfast.lineage.batch_history import describe_affected_versions

    return replace(result, notes=(*result.notes, describe_affected_versions(settings, result.replaces)))


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
