"""The last run of each deployment's flow, asked of Prefect's server."""

from datetime import datetime
from typing import Any

import httpx

from holdfast.core.errors import HoldfastError
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.status_page.schemas import DeploymentStatus
from holdfast.status_page.sections import strip_credentials, to_one_line

_SECONDS = 4.0
_TAG = "holdfast"
_DONE = ["COMPLETED", "FAILED", "CRASHED", "RUNNING", "PENDING", "PAUSED", "CANCELLING"]
_LOOKED_AT = 20


class PrefectUnavailableError(HoldfastError):
    """Prefect's server does not answer."""


def list_deployments(places: EndpointSettings) -> list[DeploymentStatus]:
    """Every deployment with the tag ``holdfast``, by name. A run from a terminal, or within another flow, counts too.

    Raises:
        PrefectDownError: The server does not answer as Prefect's does.
    """
    base = places.prefect_url.rstrip("/")
    try:
        with httpx.Client(base_url=f"{base}/api", timeout=_SECONDS) as api:
            wanted = {"deployments": {"tags": {"all_": [_TAG]}}, "sort": "NAME_ASC"}
            return [
                _last_run(api, strip_credentials(base), found) for found in _post(api, "/deployments/filter", wanted)
            ]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise PrefectUnavailableError(
            f"Prefect's server at {strip_credentials(base)} does not answer: {error}"
        ) from error


def _last_run(api: httpx.Client, base: str, deployment: dict[str, Any]) -> DeploymentStatus:
    last = _begun(api, deployment["flow_id"])
    planned = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
    }
    due = _post(api, "/flow_runs/filter", planned)
    run = last or {}
    state = run.get("state") or {}
    page = f"{base}/runs/flow-run/{run['id']}" if run else f"{base}/deployments/deployment/{deployment['id']}"
    return DeploymentStatus(
        deployment=deployment["name"],
        state=state.get("name") or "never run",
        type=state.get("type") or "",
        when=_moment(run.get("start_time") or run.get("expected_start_time")),
        seconds=run.get("estimated_run_time"),
        message=to_one_line(state.get("message") or "") if state.get("type") in ("FAILED", "CRASHED") else "",
        next=_moment(due[0]["expected_start_time"]) if due else None,
        page=page,
    )


def _begun(api: httpx.Client, flow: str) -> dict[str, Any] | None:
    """The last run of ``flow``, but for those cancelled before they began: another was under way, and that is news."""
    for types, limit in (([*_DONE, "CANCELLED"], _LOOKED_AT), (_DONE, 1)):
        wanted = {
            "flows": {"id": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"any_": types}}},
            "sort": "EXPECTED_START_TIME_DESC",
            "limit": limit,
        }
        for run in _post(api, "/flow_runs/filter", wanted):
            if run["state_type"] != "CANCELLED" or run["run_count"]:
                return run
    return None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _post(api: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = api.post(path, json=body)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found
