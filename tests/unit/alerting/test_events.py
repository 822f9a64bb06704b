"""Events at a real Prefect server, and a run without a server."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.alerting import events
from holdfast.alerting.events import emit_event, emit_finding
from holdfast.monitoring.findings import Finding
from holdfast.runtime.endpoints import current_run_url, run_url
from holdfast.runtime.processes import free_port
from tests.support.prefect_server import received_events
from tests.support.registered_versions import register_version, run_gates
from tests.support.small_shop import join_process, start_process

FINDING = Finding(
    event="holdfast.drift.detected", severity="warning", subject="recency", summary="PSI 0.31", payload={"psi": 0.31}
)
AS_OF = datetime(2024, 7, 1, tzinfo=UTC)


def test_emit_finding_sends_payload(flows_in_process: None) -> None:
    assert emit_finding(FINDING, "drift", AS_OF, "http://prefect/evidence")
    (event,) = received_events("holdfast.drift.detected", lambda event: event["payload"]["view"] == "drift")
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


def test_event_from_a_flow_run_is_related_to_the_run(flows_in_process: None) -> None:
    from prefect import flow
    from prefect.runtime import flow_run

    @flow(persist_result=False)
    def emitting() -> tuple[str, str]:
        emit_event("holdfast.rollout.promoted", "version.7", {"version": "7"})
        return str(flow_run.id), current_run_url()

    run, url = emitting()
    (event,) = received_events("holdfast.rollout.promoted", lambda event: event["payload"] == {"version": "7"})
    assert f"prefect.flow-run.{run}" in {item["prefect.resource.id"] for item in event["related"]}
    assert url == run_url(run) == f"http://127.0.0.1:4200/runs/flow-run/{run}"
    assert current_run_url() == ""


def _emit_without_server() -> None:
    """Run in a process that has had no server."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("holdfast.alerting.events").addHandler(handler)
    events._SECONDS = 2.0
    assert emit_finding(FINDING, "drift", AS_OF) is False
    (line,) = messages
    assert "holdfast.drift.detected about holdfast.drift.recency did not reach a Prefect server" in line
    os._exit(0)  # else Prefect retries for some seconds


def test_without_a_server_emitting_returns_false_and_warns(tmp_path: Path) -> None:
    assert join_process(start_process(_emit_without_server, tmp_path, api=f"http://127.0.0.1:{free_port()}/api")) == 0


def test_challenger_ready_is_emitted_once_per_evidence(client: Any) -> None:
    version, began = register_version(client), datetime.now(UTC)
    assert run_gates(version).challenger
    assert run_gates(version).challenger
    noisy = register_version(client, "inverted")
    assert not run_gates(noisy).challenger
    emitted = received_events(  # other tests have a version of this number, too
        "holdfast.challenger.ready", lambda event: datetime.fromisoformat(event["occurred"]) >= began
    )
    found = [event for event in emitted if event["resource"]["prefect.resource.id"] == f"holdfast.version.{version}"]
    gates = {event["payload"]["gates"] for event in found}
    assert len(gates) == len(found), "one event per version and evidence"
    assert (found[0]["payload"]["model"], found[0]["payload"]["version"]) == ("churn", version)
