"""Actions of recovery on the Prefect server, through Prefect's synchronous client."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from holdfast.recovery.policy import ACTIVE_STATES, HANDLED_TAG, RunStatus, decide_action
from holdfast.recovery.settings import RecoverRules
from holdfast.runtime.flow_runs import DEPLOYMENT_TAG

_HEARTBEAT = "prefect.flow-run.heartbeat"


def read_run_status(client: SyncPrefectClient, flow_run_id: str) -> RunStatus:
    """Read what the recovery policy needs to know of a flow run.

    Args:
        client: The Prefect client.
        flow_run_id: Prefect's id.

    Returns:
        The status of the run.

    Raises:
        ObjectNotFound: The server has no such run.
        ValueError: The text is no id.
    """
    return _run_status(client, client.read_flow_run(UUID(flow_run_id)))


def find_suspect_runs(client: SyncPrefectClient, since: datetime) -> list[RunStatus]:
    """Find active runs, and crashed or failed runs that are not handled yet.

    Args:
        client: The Prefect client.
        since: Crashed and failed runs that ended before are left out.

    Returns:
        The runs, at most 200 active and 200 ended ones, newest first.
    """
    active = _find(client, state={"type": {"any_": list(ACTIVE_STATES)}})
    ended = _find(client, state={"type": {"any_": ["CRASHED", "FAILED"]}}, end_time={"after_": since})
    suspect = [*active, *(item for item in ended if HANDLED_TAG not in item.tags)]
    return [_run_status(client, item) for item in suspect]


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


def mark_dead_runs(
    client: SyncPrefectClient,
    silent: Sequence[RunStatus],
    rules: RecoverRules,
    heartbeat_seconds: float | None,
    now: datetime,
) -> list[tuple[RunStatus, str]]:
    """Mark the runs that still send no heartbeat.

    Args:
        client: The Prefect client.
        silent: Runs without recent heartbeats; their status is read again.
        rules: When a run counts as dead.
        heartbeat_seconds: Interval of heartbeats; None where runs send none.
        now: Current time.

    Returns:
        The marked runs, each with the type of its new state in lower case.
    """
    marked = []
    for run in [read_run_status(client, item.id) for item in silent]:
        if decide_action(run, rules, now, heartbeat_seconds) == "mark dead":
            last = run.last_heartbeat or run.since
            message = f"The process of the run has ended: its last heartbeat was at {last:%H:%M:%S} UTC."
            marked.append((run, mark_ended(client, run, message)))
    return marked


def mark_subflows_crashed(client: SyncPrefectClient, run_id: str) -> None:
    """Mark the active subflows of a crashed run, at any depth, as crashed: they ran in its process.

    Args:
        client: The Prefect client.
        run_id: Id of the crashed run.
    """
    filters = {"parent_flow_run_id": {"any_": [run_id]}, "state": {"type": {"any_": list(ACTIVE_STATES)}}}
    for subflow in client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(filters), limit=200):
        client.set_flow_run_state(subflow.id, Crashed(message="The parent flow run crashed."))
        mark_subflows_crashed(client, str(subflow.id))


def schedule_repeat(client: SyncPrefectClient, run: RunStatus, keep_time: bool) -> str:
    """Schedule a run that repeats a crashed one with the same parameters.

    Args:
        client: The Prefect client.
        run: The crashed run.
        keep_time: Give a run without ``as_of`` the time that the crashed run was scheduled for.

    Returns:
        The id of the scheduled run; the same one when called again.
    """
    flow_run = client.read_flow_run(UUID(run.id))
    assert flow_run.deployment_id is not None
    parameters = dict(flow_run.parameters)
    schema = client.read_deployment(flow_run.deployment_id).parameter_openapi_schema or {}
    if keep_time and "as_of" in schema.get("properties", {}) and parameters.get("as_of") is None:
        scheduled = flow_run.expected_start_time or flow_run.start_time
        parameters["as_of"] = scheduled.isoformat() if scheduled else None
    repeat = client.create_flow_run_from_deployment(
        flow_run.deployment_id,
        parameters=parameters,
        tags=run.repeat_tags(),
        idempotency_key=f"{run.root_run_id}:again:{run.attempt + 1}",
        job_variables=flow_run.job_variables,
    )
    return str(repeat.id)


def mark_handled(client: SyncPrefectClient, run: RunStatus) -> None:
    """Add the tag of handled runs to a run.

    Args:
        client: The Prefect client.
        run: The run.
    """
    client.update_flow_run(UUID(run.id), tags=[*run.tags, HANDLED_TAG])


def _run_status(client: SyncPrefectClient, flow_run: FlowRun) -> RunStatus:
    assert flow_run.state is not None
    return RunStatus(
        id=str(flow_run.id),
        state=flow_run.state.type.value,
        since=flow_run.state.timestamp,
        deployment=_deployment_name(client, flow_run),
        is_subflow=flow_run.parent_task_run_id is not None,
        tags=tuple(flow_run.tags),
        name=flow_run.name,
        message=flow_run.state.message or "",
        last_heartbeat=_last_heartbeat(client, str(flow_run.id)),
    )


def _find(client: SyncPrefectClient, **filters: Any) -> list[FlowRun]:
    flow_run_filter = FlowRunFilter.model_validate({"tags": {"all_": [DEPLOYMENT_TAG]}} | filters)
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
