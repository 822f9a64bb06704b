"""Approval by a person: a Prefect server, a worker, a suspended run, and the response in its form."""

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import PromotionRefusedError
from holdfast.model_versions.records import ApprovalRecord, PromotionRecord
from holdfast.models.contract import CHALLENGER, CHAMPION
from holdfast.promotion.decision import decide_automatically
from holdfast.runtime.processes import free_port
from tests.support.main_job import environment_of, run
from tests.support.prefect_server import post, send
from tests.support.registered_versions import LENIENT, copy_base_shop, read_aliases, register_version
from tests.support.server_processes import ServerProcess, running_server, wait_for_response
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

YES = {"decision": "approve", "approved_by": "Ann", "reason": "better in every month"}
NO = {"decision": "refuse", "approved_by": "Bob", "reason": "not before Christmas"}


@dataclass(frozen=True)
class Office:
    """Prefect server, worker and deployment of promote, on a copy of the base shop."""

    settings: Settings
    client: Any
    api: httpx.Client
    worker: ServerProcess
    environment: dict[str, str]

    def start(self, **parameters: Any) -> str:
        """Run the deployment and return the id of the flow run."""
        (found,) = post(self.api, "/deployments/filter", {"deployments": {"name": {"any_": ["promote"]}}})
        body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
        return str(post(self.api, f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def until(self, flow_run: str, *kinds: str, within: float = 120) -> dict[str, Any]:
        """Wait for one of these states and return it."""

        def now() -> dict[str, Any]:
            return dict(send(self.api, "GET", f"/flow_runs/{flow_run}").json()["state"])

        def reached() -> dict[str, Any] | None:
            found = now()
            return found if found["type"] in kinds else None

        return wait_for(reached, within, lambda: f"{now()}\n{self.worker.output()[-4000:]}")

    def ended(self, flow_run: str) -> dict[str, Any]:
        """Wait for the end of a flow run and return its state."""
        return self.until(flow_run, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")

    def waiting(self, flow_run: str) -> dict[str, Any]:
        """Wait until a flow run waits for a person and return its state."""
        return self.until(flow_run, "PAUSED", "FAILED", "CRASHED")

    def answer(self, flow_run: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Fill in the form, as the Prefect UI does, once there is one: Prefect saves it after the state is PAUSED."""
        assert self.form(flow_run, "schema")
        return dict(post(self.api, f"/flow_runs/{flow_run}/resume", {"run_input": answer}))

    def form(self, flow_run: str, part: str) -> Any:
        """Return the schema or the description of the form."""

        def found() -> Any:
            answer = self.api.get(f"/flow_runs/{flow_run}/input/suspended-approval-{part}")
            return json.loads(answer.text) if answer.is_success else None

        return wait_for(found, 30, lambda: f"no {part}")

    def challenger(self, key: str = "a") -> str:
        """Register a version that passes the gates, and return it."""
        from holdfast.model_versions.gate_settings import GateSettings
        from holdfast.promotion.evaluation_context import load_evaluation_context
        from holdfast.promotion.evidence_collection import collect_evidence
        from holdfast.promotion.gate_report import GateReport, apply_verdict, record_report
        from holdfast.promotion.gates import evaluate_gates

        version, thresholds = register_version(self.client), GateSettings(**LENIENT)
        situation = load_evaluation_context(self.client, self.settings, version)
        gates = evaluate_gates(collect_evidence(self.client, self.settings, version, situation, thresholds), thresholds)
        report = GateReport(
            version=version,
            champion=situation.champion,
            key=situation.key(version, thresholds),
            when=datetime.now(UTC),
            settings=thresholds,
            gates=gates,
        )
        record_report(self.client, report)
        assert apply_verdict(self.client, self.settings, report), report.failed
        return version

    def approval(self, version: str) -> ApprovalRecord:
        """Return the approval record of a version."""
        found = ApprovalRecord.load(self.client, version)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Start the commands of README.md against a separate Prefect server."""
    folder, port = tmp_path_factory.mktemp("approval"), free_port()
    with copy_base_shop(folder) as (settings, client):
        environment = environment_of(settings.data) | settings.environment()
        environment |= {
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "1",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        }
        (folder / "home").mkdir()
        start = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        with running_server(start, environment, folder / "server.log") as server:
            wait_for_response(server, f"http://127.0.0.1:{port}/api/health")
            run(["prefect", "work-pool", "create", "holdfast", "--type", "process"], environment)
            run(["prefect", "--no-prompt", "deploy", "--name", "promote"], environment)
            work = ["prefect", "worker", "start", "--pool", "holdfast", "--type", "process"]
            with (
                running_server(work, environment, folder / "worker.log") as worker,
                httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=90) as api,
            ):
                yield Office(settings, client, api, worker, environment)
                worker.end(signal.SIGTERM)


def test_promote_approved_request_promotes_version(office: Office) -> None:
    version = office.challenger()
    printed = run(
        ["prefect", "deployment", "run", "promote/promote", "-p", f'version="{version}"', "-p", "approval=manual"],
        office.environment,
    )
    found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", printed)
    assert found, printed
    asked = found.group()
    assert office.waiting(asked)["name"] == "Suspended"
    waiting = office.approval(version)
    assert (waiting.status, waiting.flow_run) == ("waiting", asked)
    assert waiting.until - waiting.since == timedelta(hours=72)
    assert read_aliases(office.client) == {CHALLENGER: version}

    text = office.form(asked, "description")
    assert f"version {version}** asks to become the champion. The champion now: none yet." in text
    assert "| signal on the test | safety | " in text
    schema = office.form(asked, "schema")
    assert schema["properties"].keys() == {"decision", "approved_by", "reason", "signature"}
    assert sorted(schema["required"]) == ["approved_by", "decision", "reason"]
    for wrong in ({}, {"decision": "approve"}, YES | {"approved_by": " "}, YES | {"decision": "maybe"}):
        assert office.answer(asked, wrong)["status"] == "REJECT", wrong

    assert office.answer(asked, YES)["status"] == "ACCEPT"
    done = office.ended(asked)
    assert done["type"] == "COMPLETED", done
    assert read_aliases(office.client) == {CHAMPION: version}
    approved = office.approval(version)
    assert (approved.status, approved.who, approved.why) == ("approved", "Ann", "better in every month")
    assert approved.since == waiting.since
    promoted = PromotionRecord.load(office.client, version)
    assert promoted is not None
    assert (promoted.mode, promoted.who, promoted.why) == ("manual", "Ann", "better in every month")
    assert promoted.gates == approved.gates


def test_promote_refused_latest_request_keeps_champion(office: Office) -> None:
    champion = read_aliases(office.client)[CHAMPION]
    version = office.challenger()
    earlier = office.start(version=version, approval="manual")
    assert office.waiting(earlier)["type"] == "PAUSED"
    asked = office.start(approval="manual", reason="the monthly one")  # one that waits does not keep others out
    assert office.waiting(asked)["type"] == "PAUSED"
    assert "Reason of the request: the monthly one" in office.form(asked, "description")
    assert f"The champion now: version {champion}." in office.form(asked, "description")
    assert office.approval(version).flow_run == asked

    office.answer(earlier, YES)
    ended = office.ended(earlier)
    assert ended["type"] == "FAILED"
    assert "was replaced by a later request" in ended["message"]
    office.answer(asked, NO)
    ended = office.ended(asked)
    assert ended["type"] == "FAILED"
    assert f"version {version} was refused, claimed by Bob: not before Christmas" in ended["message"]
    assert read_aliases(office.client)[CHAMPION] == champion
    record = office.approval(version)
    assert (record.status, record.who, record.why) == ("refused", "Bob", "not before Christmas")
    assert PromotionRecord.load(office.client, version) is None


def test_promote_unanswered_request_times_out(office: Office) -> None:
    champion = read_aliases(office.client)[CHAMPION]
    version = office.challenger()
    asked = office.start(approval="manual", timeout_hours=2 / 3600)
    assert office.ended(asked)["type"] == "FAILED"
    assert office.answer(asked, YES)["status"] != "ACCEPT"
    record = office.approval(version)
    assert (record.status, record.flow_run) == ("waiting", asked)
    assert record.evaluate_at(datetime.now(UTC)).status == "timed out"
    with pytest.raises(PromotionRefusedError, match="No person approved"):
        decide_automatically(office.client, version, "", datetime.now(UTC))
    assert read_aliases(office.client)[CHAMPION] == champion


def test_promote_two_approved_versions_promotes_one(office: Office) -> None:
    versions = [office.challenger(), office.challenger()]
    runs = [office.start(version=version, approval="manual") for version in versions]
    for flow_run in runs:
        assert office.waiting(flow_run)["type"] == "PAUSED"
    for flow_run in runs:
        assert office.answer(flow_run, YES)["status"] == "ACCEPT"
    ended = [office.ended(flow_run) for flow_run in runs]
    assert sorted(state["type"] for state in ended) == ["COMPLETED", "FAILED"]
    winner = versions[[state["type"] for state in ended].index("COMPLETED")]
    assert read_aliases(office.client)[CHAMPION] == winner
    (lost,) = [state["message"] for state in ended if state["type"] == "FAILED"]
    assert f"but champion is now version {winner}" in lost
    assert {office.approval(version).status for version in versions} == {"approved"}
