"""Flow runs and workers on the Prefect server, read through Prefect's synchronous client."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal, TypeVar, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, Worker
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed

from holdfast.core.errors import HoldfastError

DEPLOYMENT_TAG = "holdfast"  # every deployment of prefect.yaml has it
_SKIPPED_STATE = "Skipped"
_RUN_OF_WORKER = "PREFECT__FLOW_RUN_ID"  # set by a worker in the process of a run
_STARTED = ("COMPLETED", "FAILED", "CRASHED", "RUNNING", "PENDING", "PAUSED", "CANCELLING")
_Result = TypeVar("_Result")


class PrefectUnavailableError(HoldfastError):
    """Prefect's server does not respond; ``status``: the HTTP status of an error response, as of a locked database."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


def skipped_state(message: str, result: _Result) -> _Result:
    """Create the return value of a flow run that had nothing to do.

    Args:
        message: Reason, shown by Prefect next to the state ``Skipped``.
        result: _Result for the caller of the flow.

    Returns:
        A completed state, which Prefect resolves to ``result``.
    """
    return cast(_Result, Completed(name=_SKIPPED_STATE, message=message, data=result))


def read_run_origin() -> Literal["command", "schedule", "automation", "person"]:
    """Find what started the flow runs of this process.

    Returns:
        "command": a command line. The others are runs of a deployment, which a worker executes; "person" if no schedule
        and no automation created the run, or the server does not respond.
    """
    run_id = os.environ.get(_RUN_OF_WORKER)
    if not run_id:
        return "command"
    try:
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(UUID(run_id))
    except (httpx.HTTPError, PrefectException, ValueError):
        return "person"
    if run.auto_scheduled:
        return "schedule"
    return "automation" if run.created_by and run.created_by.type == "AUTOMATION" else "person"


@contextmanager
def open_client(url: str, seconds: float, password: str = "") -> Iterator[SyncPrefectClient]:
    """Open a client that does not retry, for callers with a time limit.

    Args:
        url: Address of the Prefect UI, without ``/api``.
        seconds: Timeout of each connection, read and write.
        password: Password of the API; by default that of Prefect's settings, sent to the server of the settings only.

    Yields:
        The client.

    Raises:
        PrefectUnavailableError: The server does not respond, or its response is not Prefect's.
    """
    api = f"{url.rstrip('/')}/api"
    if not password and api == PREFECT_API_URL.value():
        password = PREFECT_API_AUTH_STRING.value() or ""
    options = {"timeout": seconds, "transport": httpx.HTTPTransport()}
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            SyncPrefectClient(api, auth_string=password or None, httpx_settings=options) as client,
        ):
            yield client
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
        raise PrefectUnavailableError(f"Prefect's server at {url} does not respond: {error}", status) from error


def find_completed_since(client: SyncPrefectClient, deployment: str, since: datetime) -> str | None:
    """Find a run of a deployment that has completed its work; skipped runs had none.

    Args:
        client: The Prefect client.
        deployment: Name of the deployment.
        since: The run has to end after this time.

    Returns:
        The name of the latest such run, None if there is none.
    """
    completed = {"state": {"type": {"any_": ["COMPLETED"]}}, "end_time": {"after_": since}}
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(completed),
        deployment_filter=DeploymentFilter.model_validate({"name": {"any_": [deployment]}}),
        sort=FlowRunSort.END_TIME_DESC,
        limit=20,
    )
    done = [item for item in runs if item.end_time and item.end_time > since and item.state_name != _SKIPPED_STATE]
    return done[0].name if done else None


def list_deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """List the deployments of Holdfast.

    Args:
        client: Client of the server.

    Returns:
        The deployments with the tag ``holdfast``, by name.
    """
    tagged = DeploymentFilter.model_validate({"tags": {"all_": [DEPLOYMENT_TAG]}})
    return client.read_deployments(deployment_filter=tagged, sort=DeploymentSort.NAME_ASC)


def find_last_run(client: SyncPrefectClient, flow_id: UUID) -> FlowRun | None:
    """Find the last run of a flow that has started or is about to.

    A run that was cancelled before its start does not count: its deployment's concurrency limit was reached.

    Args:
        client: Client of the server.
        flow_id: Id of the flow; runs without a deployment count too.

    Returns:
        The run; None if there is none.
    """
    for states, limit in (([*_STARTED, "CANCELLED"], 20), (_STARTED, 1)):
        runs = client.read_flow_runs(
            flow_filter=FlowFilter.model_validate({"id": {"any_": [flow_id]}}),
            flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": states}}}),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=limit,
        )
        for run in runs:
            if run.state_type != "CANCELLED" or run.run_count:
                return run
    return None


def find_next_run(client: SyncPrefectClient, deployment_id: UUID) -> FlowRun | None:
    """Find the next scheduled run of a deployment.

    Args:
        client: Client of the server.
        deployment_id: Id of the deployment.

    Returns:
        The run; None if none is scheduled.
    """
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter.model_validate({"id": {"any_": [deployment_id]}}),
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": ["SCHEDULED"]}}}),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=1,
    )
    return runs[0] if runs else None


def list_workers(client: SyncPrefectClient, pool: str) -> list[Worker]:
    """List the workers of a work pool.

    Args:
        client: Client of the server.
        pool: Name of the work pool.

    Returns:
        The workers; none if the pool does not exist.
    """
    try:
        return client.read_workers_for_work_pool(pool)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            return []
        raise
