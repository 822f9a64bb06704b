"""Links to what shows it: pages of the Prefect UI."""

from holdfast.runtime.endpoints import load_endpoint_settings


def current_run_url() -> str:
    """The page of the flow run that is under way; nothing outside of one."""
    from prefect.runtime import flow_run

    return run_url(str(flow_run.id)) if flow_run.id else ""


def run_url(flow_run_id: str) -> str:
    """The page of a flow run."""
    return f"{_base()}/runs/flow-run/{flow_run_id}"


def artifact_url(key: str) -> str:
    """The page of an artifact, with its history."""
    return f"{_base()}/artifacts/key/{key}"


def runbook_entry_url(event: str) -> str:
    """Where the runbook tells what an event means and what to do."""
    return f"{load_endpoint_settings().runbook_url}#{event.replace('.', '-')}"


def _base() -> str:
    return load_endpoint_settings().prefect_url.rstrip("/")
