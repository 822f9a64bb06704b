"""Last and next run of each deployment, from Prefect's server."""

from holdfast.core.redaction import redact_logins
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.status_page.sections import to_one_line
from holdfast.status_page.status_models import DeploymentStatus

_SECONDS = 4.0


def load_deployments(endpoints: EndpointSettings) -> list[DeploymentStatus]:
    """Read the state of each deployment with the tag ``holdfast``.

    Runs from a terminal, or within another flow, count too.

    Args:
        endpoints: Names the address of Prefect's server.

    Returns:
        The deployments, by name.

    Raises:
        PrefectUnavailableError: The server does not respond, or its response is not Prefect's.
    """
    from holdfast.runtime.flow_runs import find_last_run, find_next_run, list_deployments, open_client

    base, found = redact_logins(endpoints.prefect_url.rstrip("/")), []
    with open_client(endpoints.prefect_url, _SECONDS) as client:
        for item in list_deployments(client):
            last, following = find_last_run(client, item.flow_id), find_next_run(client, item.id)
            state = last.state if last else None
            failed = state is not None and state.type in ("FAILED", "CRASHED")
            status = DeploymentStatus(
                deployment=item.name,
                state=(state.name if state else None) or "never run",
                type=state.type.value if state else "",
                when=(last.start_time or last.expected_start_time) if last else None,
                seconds=last.estimated_run_time.total_seconds() if last else None,
                message=to_one_line(state.message or "") if state and failed else "",
                next=following.expected_start_time if following else None,
                page=f"{base}/runs/flow-run/{last.id}" if last else f"{base}/deployments/deployment/{item.id}",
            )
            found.append(status)
    return found
