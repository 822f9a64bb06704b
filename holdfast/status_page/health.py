"""Health of the components."""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import httpx

from holdfast.core.redaction import redact_logins
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.status_page.sections import to_one_line
from holdfast.status_page.status_models import ComponentStatus

_SECONDS = 2.0
_POOL = "holdfast"  # as prefect.yaml names the work pool
_COMPONENTS = {
    "prediction service": ("service_url", "/readyz"),
    "Prefect": ("prefect_url", "/api/health"),
    "MLflow": ("mlflow_url", "/health"),
    "Evidently": ("evidently_url", "/api/version"),
    "Feast": ("feast_url", "/"),
}


def check_components(endpoints: EndpointSettings) -> list[ComponentStatus]:
    """Check every component that has an address, and the Prefect worker, in parallel.

    Args:
        endpoints: Addresses of the components.

    Returns:
        The components in a fixed order, the worker last.
    """
    checks = [(name, str(getattr(endpoints, url)).rstrip("/"), path) for name, (url, path) in _COMPONENTS.items()]
    with ThreadPoolExecutor(len(checks) + 1) as pool:
        worker = pool.submit(_check_worker, endpoints.prefect_url.rstrip("/"))
        return [*pool.map(lambda check: _check_url(*check), checks), worker.result()]


def _check_worker(prefect: str) -> ComponentStatus:
    """Check the worker by its heartbeats at Prefect's server: a worker has no address."""
    from holdfast.runtime.flow_runs import PrefectUnavailableError, list_workers, open_client

    def status(state: Literal["up", "not ready", "down"], note: str = "") -> ComponentStatus:
        url = f"{redact_logins(prefect)}/work-pools/work-pool/{_POOL}"
        return ComponentStatus(name="worker", url=url, state=state, note=note)

    try:
        with open_client(prefect, _SECONDS) as client:
            workers = list_workers(client, _POOL)
    except PrefectUnavailableError as error:
        if error.status is not None:
            return status("not ready", f"unknown: Prefect's server responded with {error.status}")
        return status("down", "unknown: Prefect's server does not respond")
    if any(worker.status == "ONLINE" for worker in workers):
        return status("up")
    heartbeats = [worker.last_heartbeat_time for worker in workers if worker.last_heartbeat_time]
    last = f"; last heartbeat of one at {max(heartbeats):%Y-%m-%d %H:%M} UTC" if heartbeats else ""
    return status("down", f"no worker is online, so no scheduled run starts{last}")


def _check_url(name: str, url: str, path: str) -> ComponentStatus:
    public_url = redact_logins(url)
    try:
        response = httpx.get(f"{url}{path}", timeout=_SECONDS, follow_redirects=True)
    except httpx.TimeoutException:
        return ComponentStatus(name=name, url=public_url, state="down", note=f"no response within {_SECONDS:.0f} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return ComponentStatus(name=name, url=public_url, state="down", note=to_one_line(str(error)))
    if response.is_success:
        return ComponentStatus(name=name, url=public_url, state="up")
    return ComponentStatus(name=name, url=public_url, state="not ready", note=to_one_line(_describe(response)))


def _describe(response: httpx.Response) -> str:
    """Return the status and the detail of a problem (RFC 9457), or the whole body."""
    try:
        problem = response.json()
        detail = problem.get("detail") or problem.get("error") or problem.get("title")
    except (ValueError, AttributeError):
        detail = response.text
    return f"{response.status_code}: {detail}"
