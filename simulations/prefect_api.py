"""What Prefect's server knows: the events it was sent, and the flow runs that a worker made."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_PAGE = 200
_ATTEMPTS = 20


@dataclass(frozen=True)
class Event:
    """An event of ours, as the server took it."""

    name: str
    resource: str
    occurred: datetime
    payload: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A flow run of a deployment. ``state`` is Prefect's type, such as COMPLETED; ``said`` its message."""

    id: str
    deployment: str
    created: datetime
    state: str
    state_name: str
    said: str
    parameters: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether it has, however."""
        return self.state in _ENDED


class PrefectApi:
    """Prefect's server at ``url``, the address of its API. ``started``: the flow runs begun from here, by id."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=90, trust_env=False)
        self.started: set[str] = set()

    def close(self) -> None:
        """Ask no more."""
        self._http.close()

    def deployments(self) -> dict[str, dict[str, Any]]:
        """By name."""
        return {item["name"]: item for item in self._post("/deployments/filter", {})}

    def stop_schedules(self) -> None:
        """Nothing starts by the wall clock any more: the simulation says when what is due."""
        for deployment in self.deployments().values():
            for schedule in deployment["schedules"]:
                path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
                self._http.patch(path, json={"active": False}).raise_for_status()

    def set_parameters(self, deployment: str, parameters: dict[str, Any]) -> None:
        """What a deployment is run with where nobody says otherwise."""
        found = self.deployments()[deployment]
        changed = {"parameters": found["parameters"] | parameters}
        self._http.patch(f"/deployments/{found['id']}", json=changed).raise_for_status()

    def run(self, deployment: str, parameters: dict[str, Any]) -> str:
        """Have the worker run it now; the id of the flow run."""
        found = self.deployments()[deployment]["id"]
        run = str(self._post(f"/deployments/{found}/create_flow_run", {"parameters": parameters})["id"])
        self.started.add(run)
        return run

    def runs(self, deployment: str | None = None) -> list[Run]:
        """The flow runs of deployments, oldest first; of one of them, if it is named."""
        names = {item["id"]: name for name, item in self.deployments().items()}
        body = {"sort": "EXPECTED_START_TIME_ASC", "limit": _PAGE}
        found = [
            Run(
                item["id"],
                names[item["deployment_id"]],
                datetime.fromisoformat(item["created"]),
                item["state_type"],
                item["state_name"],
                (item["state"] or {}).get("message") or "",
                item["parameters"],
            )
            for item in self._post("/flow_runs/filter", body | _OF_DEPLOYMENTS)
            if item["deployment_id"] in names
        ]
        return [run for run in found if deployment in (None, run.deployment)]

    def state_of(self, run_id: str) -> dict[str, Any]:
        """A flow run as the server has it."""
        return dict(self._http.get(f"/flow_runs/{run_id}").raise_for_status().json())

    def events(self, since: datetime, prefix: str = "holdfast.") -> list[Event]:
        """Those of this prefix from ``since`` on, by the wall clock, oldest first."""
        until = datetime.now(UTC).isoformat()
        told = {"event": {"prefix": [prefix]}, "occurred": {"since": since.isoformat(), "until": until}, "order": "ASC"}
        page, found = self._post("/events/filter", {"filter": told, "limit": 50}), []
        while True:
            found += page["events"]
            if not page.get("next_page"):
                break
            page = self._http.get(page["next_page"]).raise_for_status().json()
        return [
            Event(item["event"], item["resource"]["prefect.resource.id"], _time(item["occurred"]), item["payload"])
            for item in found
        ]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        """The server answers 503 while its database is locked; Prefect's own client asks again, too."""
        for attempt in range(_ATTEMPTS):
            answer = self._http.post(path, json=body)
            if answer.status_code != 503 or attempt + 1 == _ATTEMPTS:
                break
            time.sleep(0.5)
        return answer.raise_for_status().json()


_OF_DEPLOYMENTS = {"flow_runs": {"deployment_id": {"is_null_": False}}}


@contextmanager
def prefect_api(url: str) -> Iterator[PrefectApi]:
    """For the block."""
    api = PrefectApi(url)
    try:
        yield api
    finally:
        api.close()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
