"""Events reach a real Prefect server with all that an automation needs; without a server the run goes on."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast.alerting import events
from holdfast.alerting.events import emit_event, emit_finding
from holdfast.alerting.links import artifact_url, current_run_url, run_url
from holdfast.monitoring.findings import Finding
from tests.support.registered_versions import judged, plant
from tests.support.server_processes import free_port, wait_for
from tests.support.small_shop import join, prefect_api, start

FINDING = Finding(
    event="holdfast.drift.detected", severity="warning", subject="recency", summary="PSI 0.31", payload={"psi": 0.31}
)
AS_OF = datetime(2024, 7, 1, tzinfo=UTC)


def received(name: str, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The events of a name that the server of the test session has, once there is one that is wanted."""
    import httpx

    def asked() -> list[dict[str, Any]] | None:
        body = {"filter": {"event": {"name": [name]}}, "limit": 50}
        events = httpx.post(f"{prefect_api()}/events/filter", json=body, timeout=30).json()["events"]
        return [event for event in events if wanted(event)] or None

    return wait_for(asked, 20, lambda: f"the server has no {name}")


def test_a_finding_arrives_with_its_figures(flows_here: None) -> None:
    assert emit_finding(FINDING, "drift", AS_OF, "http://prefect/evidence")
    (event,) = received("holdfast.drift.detected", lambda event: event["payload"]["view"] == "drift")
    assert event["resource"] == {"prefect.resource.id": "holdfast.drift.recency"}
    assert event["payload"] == {
        "psi": 0.31,
        "summary": "PSI 0.31",
        "severity": "warning",
        "subject": "recency",
        "view": "drift",
        "as_of": "2024-07-01T00:00:00+00:00",
        "evidence": "http://prefect/evidence",
    }


def test_an_event_from_inside_a_run_is_related_to_it(flows_here: None) -> None:
    from prefect import flow
    from prefect.runtime import flow_run

    @flow(persist_result=False)
    def acting() -> tuple[str, str]:
        emit_event("holdfast.rollout.promoted", "version.7", {"version": "7"})
        return str(flow_run.id), current_run_url()

    run, page = acting()
    (event,) = received("holdfast.rollout.promoted", lambda event: event["payload"] == {"version": "7"})
    assert f"prefect.flow-run.{run}" in {item["prefect.resource.id"] for item in event["related"]}
    assert page == run_url(run) == f"http://127.0.0.1:4200/runs/flow-run/{run}"
    assert current_run_url() == ""


def test_links_follow_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PREFECT_URL", "https://prefect.example/")
    assert artifact_url("monitor-drift") == "https://prefect.example/artifacts/key/monitor-drift"


def _emit_in_vain() -> None:
    """In a process that has never met a server."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("holdfast.alerting.events").addHandler(handler)
    events._SECONDS = 2.0
    assert emit_finding(FINDING, "drift", AS_OF) is False
    (line,) = said
    assert "holdfast.drift.detected about holdfast.drift.recency reached no Prefect server" in line
    os._exit(0)  # else Prefect tries for some more seconds


def test_without_a_server_the_run_goes_on_and_it_is_said(tmp_path: Path) -> None:
    assert join(start(_emit_in_vain, tmp_path, api=f"http://127.0.0.1:{free_port()}/api")) == 0


def test_a_new_challenger_is_told_once(client: Any) -> None:
    version, began = plant(client), datetime.now(UTC)
    assert judged(version).challenger
    assert judged(version).challenger
    noisy = plant(client, "inverted")
    assert not judged(noisy).challenger
    about = received(  # other tests have a version of this number, too
        "holdfast.challenger.ready", lambda event: datetime.fromisoformat(event["occurred"]) >= began
    )
    told = [event for event in about if event["resource"]["prefect.resource.id"] == f"holdfast.version.{version}"]
    gates = {event["payload"]["gates"] for event in told}
    assert len(gates) == len(told), "the same version on the same evidence is told once"
    assert told[0]["payload"]["version"] == version
