"""What Prefect's server knows of flow runs, and what it is told to do about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from holdfast.recovery.policy import HANDLED_TAG, RunStatus
from holdfast.runtime.prefect_states import SKIPPED_STATE

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, Worker
    from prefect.client.schemas.responses import DeploymentResponse

_WATCHED = "holdfast"  # the tag that all deployments carry
_UNDER_WAY = ("RUNNING", "PENDING", "CANCELLING")
_STARTED = ("COMPLETED", "FAILED", "CRASHED", "RUNNING", "PENDING", "PAUSED", "CANCELLING")
_HEARTBEAT = "prefect.flow-run.heartbeat"


def run_status(client: "SyncPrefectClient", flow_run: "FlowRun") -> RunStatus:
    """The facts about a flow run."""
    assert flow_run.state is not None
    return RunStatus(
        id=str(flow_run.id),
        state=flow_run.state.type.value,
        since=flow_run.state.timestamp,
        deployment=_deployment_of(client, flow_run),
        is_subflow=flow_run.parent_task_run_id is not None,
        tags=tuple(flow_run.tags),
        last_heartbeat=last_heartbeat(client, str(flow_run.id)),
    )


def _deployment_of(client: "SyncPrefectClient", flow_run: "FlowRun") -> str | None:
    """Its name; None if there is none, or none any more: runs outlive their deployment."""
    from prefect.exceptions import ObjectNotFound

    if flow_run.deployment_id is None:
        return None
    try:
        return client.read_deployment(flow_run.deployment_id).name
    except ObjectNotFound:
        return None


def find_suspect_runs(client: "SyncPrefectClient", since: datetime) -> list["FlowRun"]:
    """Runs under way, and those that crashed or failed since then and that nobody has seen to."""
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    def found(**wanted: Any) -> list["FlowRun"]:
        chosen = FlowRunFilter.model_validate({"tags": {"all_": [_WATCHED]}} | wanted)
        return client.read_flow_runs(flow_run_filter=chosen, sort=FlowRunSort.START_TIME_DESC, limit=200)

    under_way = found(state={"type": {"any_": list(_UNDER_WAY)}})
    ended = found(state={"type": {"any_": ["CRASHED", "FAILED"]}}, end_time={"after_": since})
    return [*under_way, *(item for item in ended if HANDLED_TAG not in item.tags)]


def last_heartbeat(client: "SyncPrefectClient", flow_run_id: str) -> datetime | None:
    """When its latest heartbeat was, if the server remembers any."""
    from prefect.events.filters import EventFilter, EventNameFilter, EventOrder, EventResourceFilter

    wanted = EventFilter(
        event=EventNameFilter(name=[_HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"]),
        order=EventOrder.DESC,
    )
    events = client.read_events(filter=wanted, limit=1).events
    return events[0].occurred if events else None


def mark_ended(client: "SyncPrefectClient", run: RunStatus, why: str) -> str:
    """As crashed, or as cancelled where somebody wanted that: it must not run again. The state's name in small letters.

    Which also gives its place among the runs of its deployment free.
    """
    from prefect.client.schemas.objects import State
    from prefect.states import Cancelled, Crashed

    state: State[Any] = Cancelled(message=why) if run.state == "CANCELLING" else Crashed(message=why)
    client.set_flow_run_state(UUID(run.id), state, force=run.state == "CANCELLING")
    return state.type.value.lower()


def mark_subflows_crashed(client: "SyncPrefectClient", run: RunStatus) -> int:
    """Mark the subflows of a crashed run that seem to be under way still; how many. They lived in its process."""
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.states import Crashed

    wanted = {"parent_flow_run_id": {"any_": [run.id]}, "state": {"type": {"any_": list(_UNDER_WAY)}}}
    parts = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted), limit=200)
    for part in parts:
        client.set_flow_run_state(part.id, Crashed(message="The run that it was part of crashed."))
    return len(parts) + sum(
        mark_subflows_crashed(client, RunStatus(str(part.id), "CRASHED", run.since)) for part in parts
    )


def schedule_repeat(client: "SyncPrefectClient", run: RunStatus, about_the_same_time: bool) -> "FlowRun":
    """Schedule it again, with the same parameters; asked twice, the same run comes back.

    With ``about_the_same_time``, a run that was given no ``as_of`` is given the time that it was scheduled for.
    """
    flow_run = client.read_flow_run(UUID(run.id))
    assert flow_run.deployment_id is not None
    parameters = dict(flow_run.parameters)
    takes = client.read_deployment(flow_run.deployment_id).parameter_openapi_schema or {}
    if about_the_same_time and "as_of" in takes.get("properties", {}) and parameters.get("as_of") is None:
        began = flow_run.expected_start_time or flow_run.start_time
        parameters["as_of"] = began.isoformat() if began else None
    return client.create_flow_run_from_deployment(
        flow_run.deployment_id,
        parameters=parameters,
        tags=run.repeat_tags(),
        idempotency_key=f"{run.root_run_id}:again:{run.attempt + 1}",
        job_variables=flow_run.job_variables,
    )


def mark_handled(client: "SyncPrefectClient", run: RunStatus) -> None:
    """Mark it as dealt with."""
    client.update_flow_run(UUID(run.id), tags=[*run.tags, HANDLED_TAG])


def find_completed_since(client: "SyncPrefectClient", deployment: str, since: datetime) -> str | None:
    """The name of a run of ``deployment`` that ended after ``since``, had something to do and completed, if any."""
    from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(
            {"state": {"type": {"any_": ["COMPLETED"]}}, "end_time": {"after_": since}}
        ),
        deployment_filter=DeploymentFilter.model_validate({"name": {"any_": [deployment]}}),
        sort=FlowRunSort.END_TIME_DESC,
        limit=20,
    )
    done = [item for item in runs if item.end_time and item.end_time > since and item.state_name != SKIPPED_STATE]
    return done[0].name if done else None


def read_flow_runs(client: "SyncPrefectClient", ids: Sequence[str]) -> list["FlowRun"]:
    """Flow runs by id."""
    return [client.read_flow_run(UUID(item)) for item in ids]


def open_client(url: str, seconds: float) -> "SyncPrefectClient":
    """Create a client that does not retry connections, for callers with a time limit.

    Args:
        url: Address of the Prefect UI, without ``/api``.
        seconds: Timeout of each connection, read and write.

    Returns:
        The client, to be used as a context manager.
    """
    import httpx
    from prefect.client.orchestration import SyncPrefectClient

    settings = {"timeout": seconds, "transport": httpx.HTTPTransport()}
    return SyncPrefectClient(f"{url.rstrip('/')}/api", httpx_settings=settings)


def list_deployments(client: "SyncPrefectClient") -> "list[DeploymentResponse]":
    """List the deployments of Holdfast.

    Args:
        client: Client of the server.

    Returns:
        The deployments with the tag ``holdfast``, by name.
    """
    from prefect.client.schemas.filters import DeploymentFilter
    from prefect.client.schemas.sorting import DeploymentSort

    tagged = DeploymentFilter.model_validate({"tags": {"all_": [_WATCHED]}})
    return client.read_deployments(deployment_filter=tagged, sort=DeploymentSort.NAME_ASC)


def find_last_run(client: "SyncPrefectClient", flow_id: UUID) -> "FlowRun | None":
    """Find the last run of a flow that has started or is about to.

    A run that was cancelled before its start does not count: its deployment's concurrency limit was reached.

    Args:
        client: Client of the server.
        flow_id: Id of the flow; runs without a deployment count too.

    Returns:
        The run; None if there is none.
    """
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

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


def find_next_run(client: "SyncPrefectClient", deployment_id: UUID) -> "FlowRun | None":
    """Find the next scheduled run of a deployment.

    Args:
        client: Client of the server.
        deployment_id: Id of the deployment.

    Returns:
        The run; None if none is scheduled.
    """
    from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter.model_validate({"id": {"any_": [deployment_id]}}),
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": ["SCHEDULED"]}}}),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=1,
    )
    return runs[0] if runs else None


def list_workers(client: "SyncPrefectClient", pool: str) -> "list[Worker]":
    """List the workers of a work pool.

    Args:
        client: Client of the server.
        pool: Name of the work pool.

    Returns:
        The workers; none if the pool does not exist.
    """
    import httpx

    try:
        return client.read_workers_for_work_pool(pool)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            return []
        raise
