"""Flow runs on the Prefect server: status, state changes and repetition, through Prefect's synchronous client."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, Worker
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from holdfast.recovery.policy import ACTIVE_STATES, HANDLED_TAG, RunStatus
from holdfast.runtime.prefect_states import SKIPPED_STATE

_DEPLOYMENT_TAG = "holdfast"  # every deployment of prefect.yaml has it
_STARTED = ("COMPLETED", "FAILED", "CRASHED", "RUNNING", "PENDING", "PAUSED", "CANCELLING")
_HEARTBEAT = "prefect.flow-run.heartbeat"


def run_status(client: SyncPrefectClient, flow_run: FlowRun) -> RunStatus:
    """Collect what the recovery policy needs to know of a flow run.

    Args:
        client: The Prefect client.
        flow_run: The flow run.

    Returns:
        Its status.
    """
    assert flow_run.state is not None
    return RunStatus(
        id=str(flow_run.id),
        state=flow_run.state.type.value,
        since=flow_run.state.timestamp,
        deployment=_deployment_name(client, flow_run),
        is_subflow=flow_run.parent_task_run_id is not None,
        tags=tuple(flow_run.tags),
        last_heartbeat=_last_heartbeat(client, str(flow_run.id)),
    )


def read_flow_runs(client: SyncPrefectClient, ids: Sequence[str]) -> list[FlowRun]:
    """Read flow runs by id.

    Args:
        client: The Prefect client.
        ids: The ids.

    Returns:
        The flow runs, in the order of their ids.

    Raises:
        ObjectNotFound: The server has no run of an id.
    """
    return [client.read_flow_run(UUID(item)) for item in ids]


def read_name_and_message(client: SyncPrefectClient, run: RunStatus) -> tuple[str, str]:
    """Read the name of a run and the message of its state.

    Args:
        client: The Prefect client.
        run: The run.

    Returns:
        Name and message; the message may be empty.
    """
    flow_run = client.read_flow_run(UUID(run.id))
    return flow_run.name, (flow_run.state.message if flow_run.state else None) or ""


def find_suspect_runs(client: SyncPrefectClient, since: datetime) -> list[FlowRun]:
    """Find active runs, and crashed or failed runs that are not handled yet.

    Args:
        client: The Prefect client.
        since: Crashed and failed runs that ended before are left out.

    Returns:
        The runs, at most 200 active and 200 ended ones, newest first.
    """
    active = _find(client, state={"type": {"any_": list(ACTIVE_STATES)}})
    ended = _find(client, state={"type": {"any_": ["CRASHED", "FAILED"]}}, end_time={"after_": since})
    return [*active, *(item for item in ended if HANDLED_TAG not in item.tags)]


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
    done = [item for item in runs if item.end_time and item.end_time > since and item.state_name != SKIPPED_STATE]
    return done[0].name if done else None


def mark_ended(client: SyncPrefectClient, run: RunStatus, message: str) -> str:
    """Mark a dead run as crashed, or as cancelled where cancellation was requested: such a run is not repeated.

    The run then no longer counts for the concurrency limit of its deployment.

    Args:
        client: The Prefect client.
        run: The run.
        message: The message of the new state.

    Returns:
        The type of the new state in lower case.
    """
    cancelled = run.state == "CANCELLING"
    state: State[Any] = Cancelled(message=message) if cancelled else Crashed(message=message)
    client.set_flow_run_state(UUID(run.id), state, force=cancelled)
    return state.type.value.lower()


def mark_subflows_crashed(client: SyncPrefectClient, run: RunStatus) -> int:
    """Mark the active subflows of a crashed run as crashed: they ran in its process.

    Args:
        client: The Prefect client.
        run: The crashed run.

    Returns:
        The number of subflows, at any depth.
    """
    filters = {"parent_flow_run_id": {"any_": [run.id]}, "state": {"type": {"any_": list(ACTIVE_STATES)}}}
    subflows = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(filters), limit=200)
    for subflow in subflows:
        client.set_flow_run_state(subflow.id, Crashed(message="The parent flow run crashed."))
    nested = (mark_subflows_crashed(client, RunStatus(str(item.id), "CRASHED", run.since)) for item in subflows)
    return len(subflows) + sum(nested)


def schedule_repeat(client: SyncPrefectClient, run: RunStatus, keep_time: bool) -> FlowRun:
    """Schedule a run that repeats a crashed one with the same parameters.

    Args:
        client: The Prefect client.
        run: The crashed run.
        keep_time: Give a run without ``as_of`` the time that the crashed run was scheduled for.

    Returns:
        The scheduled run; the same one when called again.
    """
    flow_run = client.read_flow_run(UUID(run.id))
    assert flow_run.deployment_id is not None
    parameters = dict(flow_run.parameters)
    schema = client.read_deployment(flow_run.deployment_id).parameter_openapi_schema or {}
    if keep_time and "as_of" in schema.get("properties", {}) and parameters.get("as_of") is None:
        scheduled = flow_run.expected_start_time or flow_run.start_time
        parameters["as_of"] = scheduled.isoformat() if scheduled else None
    return client.create_flow_run_from_deployment(
        flow_run.deployment_id,
        parameters=parameters,
        tags=run.repeat_tags(),
        idempotency_key=f"{run.root_run_id}:again:{run.attempt + 1}",
        job_variables=flow_run.job_variables,
    )


def mark_handled(client: SyncPrefectClient, run: RunStatus) -> None:
    """Add the tag of handled runs to a run.

    Args:
        client: The Prefect client.
        run: The run.
    """
    client.update_flow_run(UUID(run.id), tags=[*run.tags, HANDLED_TAG])


def open_client(url: str, seconds: float) -> SyncPrefectClient:
    """Create a client that does not retry connections, for callers with a time limit.

    Args:
        url: Address of the Prefect UI, without ``/api``.
        seconds: Timeout of each connection, read and write.

    Returns:
        The client, to be used as a context manager.
    """
    settings = {"timeout": seconds, "transport": httpx.HTTPTransport()}
    return SyncPrefectClient(f"{url.rstrip('/')}/api", httpx_settings=settings)


def list_deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """List the deployments of Holdfast.

    Args:
        client: Client of the server.

    Returns:
        The deployments with the tag ``holdfast``, by name.
    """
    tagged = DeploymentFilter.model_validate({"tags": {"all_": [_DEPLOYMENT_TAG]}})
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


def _find(client: SyncPrefectClient, **filters: Any) -> list[FlowRun]:
    flow_run_filter = FlowRunFilter.model_validate({"tags": {"all_": [_DEPLOYMENT_TAG]}} | filters)
    return client.read_flow_runs(flow_run_filter=flow_run_filter, sort=FlowRunSort.START_TIME_DESC, limit=200)


def _deployment_name(client: SyncPrefectClient, flow_run: FlowRun) -> str | None:
    """Return the name of a run's deployment, None where it has none or the deployment is deleted."""
    if flow_run.deployment_id is None:
        return None
    try:
        return client.read_deployment(flow_run.deployment_id).name
    except ObjectNotFound:
        return None


def _last_heartbeat(client: SyncPrefectClient, flow_run_id: str) -> datetime | None:
    """Return the time of a run's latest heartbeat event, None where the server has none."""
    event_filter = EventFilter(
        event=EventNameFilter(name=[_HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"]),
        order=EventOrder.DESC,
    )
    events = client.read_events(filter=event_filter, limit=1).events
    return events[0].occurred if events else None
