"""URLs of Prefect UI pages (flow run, artifact) and of runbook entries."""

from holdfast.runtime.endpoints import EndpointSettings


def current_run_url() -> str:
    """Return the URL of the current flow run.

    Returns:
        The URL; empty outside of a flow run.
    """
    from prefect.runtime import flow_run

    return run_url(str(flow_run.id)) if flow_run.id else ""


def run_url(flow_run_id: str) -> str:
    """Return the URL of a flow run.

    Args:
        flow_run_id: Prefect's id.

    Returns:
        The URL in the Prefect UI.
    """
    return f"{_base_url()}/runs/flow-run/{flow_run_id}"


def artifact_url(key: str) -> str:
    """Return the URL of an artifact and its history.

    Args:
        key: Prefect's artifact key.

    Returns:
        The URL in the Prefect UI.
    """
    return f"{_base_url()}/artifacts/key/{key}"


def runbook_entry_url(event: str) -> str:
    """Return the URL of the runbook entry of an event.

    Args:
        event: Name of the event, ``holdfast.*``.

    Returns:
        A URL or a path, by the setting of the runbook.
    """
    return f"{EndpointSettings.from_environment().runbook_url}#{event.replace('.', '-')}"


def _base_url() -> str:
    return EndpointSettings.from_environment().prefect_url.rstrip("/")
