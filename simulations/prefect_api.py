"""State of Prefect's server: deployments, their flow runs, and events.

Prefect is imported within the functions: it reads the environment at its import, which the subprocess sets first.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.events.schemas.events import ReceivedEvent

_PAGE = 200
_EVENTS_PAGE = 50  # the largest that the server accepts


@dataclass(frozen=True)
class DeploymentRun:
    """Flow run of a deployment.

    Attributes:
        state: Type of the state, such as COMPLETED.
        state_name: Name of the state, such as Skipped.
        message: Message of the state.
    """

    id: str
    deployment: str
    state: str
    state_name: str
    message: str

    @property
    def is_terminal(self) -> bool:
        """Return True once the run has ended, successfully or not."""
        return self.state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class PrefectApi:
    """Prefect's server.

    Args:
        client: Client of the server.

    Attributes:
        started: Ids of the flow runs that the simulation has started.
    """

    def __init__(self, client: "SyncPrefectClient") -> None:
        self._client = client
        self.started: set[str] = set()

    def stop_schedules(self) -> None:
        """Deactivate all schedules: the simulation decides when a flow is due."""
        for deployment in self._deployments().values():
            for schedule in deployment.schedules:
                self._client.update_deployment_schedule(deployment.id, schedule.id, active=False)

    def set_parameters(self, deployment: str, parameters: dict[str, Any]) -> None:
        """Change default parameters of a deployment.

        Args:
            deployment: Name of the deployment.
            parameters: Parameters to change; the others stay.
        """
        from prefect.client.schemas.actions import DeploymentUpdate

        found = self._deployments()[deployment]
        self._client.update_deployment(found.id, DeploymentUpdate(parameters=found.parameters | parameters))

    def start_run(self, deployment: str, parameters: dict[str, Any]) -> str:
        """Schedule a flow run for the worker.

        Args:
            deployment: Name of the deployment.
            parameters: Parameters of the flow.

        Returns:
            Id of the flow run.
        """
        found = self._deployments()[deployment]
        run_id = str(self._client.create_flow_run_from_deployment(found.id, parameters=parameters).id)
        self.started.add(run_id)
        return run_id

    def list_runs(self, deployment: str | None = None) -> list[DeploymentRun]:
        """List the flow runs of deployments.

        Args:
            deployment: Name of a deployment; None: all.

        Returns:
            Flow runs, oldest first.
        """
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
        from prefect.client.schemas.sorting import FlowRunSort

        names = {item.id: name for name, item in self._deployments().items() if deployment in (None, name)}
        runs = self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=list(names))),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=_PAGE,
        )
        return [
            DeploymentRun(
                str(run.id),
                names[run.deployment_id],
                run.state_type.value if run.state_type else "",
                run.state_name or "",
                (run.state.message or "") if run.state else "",
            )
            for run in runs
            if run.deployment_id is not None
        ]

    def list_events(self, since: datetime) -> list["ReceivedEvent"]:
        """List the events of Holdfast that the server has received.

        Args:
            since: Earliest time of an event, by the wall clock.

        Returns:
            Events, oldest first.
        """
        from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventOrder

        wanted = EventFilter(
            event=EventNameFilter(prefix=["holdfast."]),
            occurred=EventOccurredFilter(since=since, until=datetime.now(UTC)),
            order=EventOrder.ASC,
        )
        page = self._client.read_events(wanted, limit=_EVENTS_PAGE)
        events = list(page.events)
        while page.next_page:
            page = self._client.read_events_page(str(page.next_page))
            events += page.events
        return events

    def _deployments(self) -> dict[str, "DeploymentResponse"]:
        from holdfast.runtime.flow_runs import list_deployments

        return {item.name: item for item in list_deployments(self._client)}
