"""Which parts answer."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from holdfast.runtime.endpoints import EndpointSettings
from holdfast.status_page.schemas import ComponentStatus
from holdfast.status_page.sections import strip_credentials, to_one_line

_SECONDS = 2.0
_POOL = "holdfast"  # as prefect.yaml names it
_PARTS = {
    "prediction service": ("service_url", "/readyz"),
    "Prefect": ("prefect_url", "/api/health"),
    "MLflow": ("mlflow_url", "/health"),
    "Evidently": ("evidently_url", "/api/version"),
    "Feast": ("feast_url", "/"),
}


def check_components(places: EndpointSettings) -> list[ComponentStatus]:
    """Every part that has an address, and the worker."""
    asked = [(name, str(getattr(places, url)).rstrip("/"), health) for name, (url, health) in _PARTS.items()]
    with ThreadPoolExecutor(len(asked) + 1) as pool:
        worker = pool.submit(_worker, places.prefect_url.rstrip("/"))
        return [*pool.map(lambda item: _part(*item), asked), worker.result()]


def _worker(prefect: str) -> ComponentStatus:
    """Whoever runs what is due; it has no address, Prefect's server hears of it."""
    page = f"{strip_credentials(prefect)}/work-pools/work-pool/{_POOL}"
    try:
        answer = httpx.post(f"{prefect}/api/work_pools/{_POOL}/workers/filter", json={}, timeout=_SECONDS)
        if not answer.is_success and answer.status_code != 404:  # as while its database is locked
            note = f"Prefect's server does not tell: {answer.status_code}"
            return ComponentStatus(name="worker", url=page, state="not ready", note=note)
        known = answer.json() if answer.is_success else []
        is_online = any(worker["status"] == "ONLINE" for worker in known)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return ComponentStatus(name="worker", url=page, state="down", note="Prefect's server does not tell")
    if is_online:
        return ComponentStatus(name="worker", url=page, state="up")
    beats = sorted(str(worker.get("last_heartbeat_time")) for worker in known)
    last = f"; the last was heard of at {beats[-1][:16].replace('T', ' ')} UTC" if beats else ""
    return ComponentStatus(
        name="worker", url=page, state="down", note=f"nothing that is due runs: no worker is there{last}"
    )


def _part(name: str, url: str, health: str) -> ComponentStatus:
    shown = strip_credentials(url)
    try:
        answer = httpx.get(f"{url}{health}", timeout=_SECONDS, follow_redirects=True)
    except httpx.TimeoutException:
        return ComponentStatus(name=name, url=shown, state="down", note=f"no answer within {_SECONDS:.0f} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return ComponentStatus(name=name, url=shown, state="down", note=to_one_line(str(error)))
    if answer.is_success:
        return ComponentStatus(name=name, url=shown, state="up")
    return ComponentStatus(name=name, url=shown, state="not ready", note=to_one_line(_said(answer)))


def _said(answer: httpx.Response) -> str:
    """A problem's own words, where it has some."""
    try:
        told = answer.json()
        words = told.get("detail") or told.get("error") or told.get("title")
    except (ValueError, AttributeError):
        words = answer.text
    return f"{answer.status_code}: {words}"
