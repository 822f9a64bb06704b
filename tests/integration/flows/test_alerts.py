"""The flow that delivers alerts: it lists, reminds, closes what is over, and a person resolves one with a reason."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow, tags

from feature_repo.settings import Settings
from flows.alerts import NoReasonError, UnknownAlertError, alerts
from holdfast.alerting.alert import Alert
from holdfast.alerting.outbox import add_alert, list_open_alerts
from holdfast.runtime.prefect_access import CLIENT_PASSWORD
from tests.support.prefect_server import open_api, post, send
from tests.support.small_shop import prefect_api
from tests.support.webhook_receiver import running_receiver

NOW = datetime.now(UTC)
DRIFT = Alert.for_subject("holdfast.drift.detected", "recency", "warning", "PSI 0.31", "http://prefect/x")


def test_alerts_delivers_waiting_and_lists_open_alerts(
    flows_in_process: None, shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.artifacts import Artifact

    add_alert(shop, DRIFT, NOW - timedelta(hours=30))
    with running_receiver() as receiver:
        monkeypatch.setenv("HOLDFAST_ALERT_WEBHOOK", receiver.url)
        result = alerts()
        assert alerts().delivered.sent == 0
    assert receiver.received() == ["opened", "reminder"]
    assert [item.key for item in result.open] == ["holdfast.drift.detected:recency"]
    artifact = Artifact.get("open-alerts")
    assert artifact is not None
    (row,) = json.loads(artifact.data)
    assert (row["severity"], row["text"], row["runbook"]) == (
        "warning",
        "PSI 0.31",
        "docs/runbook.md#holdfast-drift-detected",
    )
    assert "warning   holdfast.drift.detected:recency" in result.summary()


def test_alerts_resolve_requires_a_reason(flows_in_process: None, shop: Settings) -> None:
    add_alert(shop, DRIFT, NOW)
    with pytest.raises(NoReasonError, match="Give a reason"):
        alerts(resolve=DRIFT.key)
    with pytest.raises(UnknownAlertError, match=r"No alert holdfast\.broken is open"):
        alerts(resolve="holdfast.broken")
    with pytest.raises(UnknownAlertError, match=r"No alert holdfast\.broken is open"):
        alerts(resolve="holdfast.broken", reason="over")
    from prefect.artifacts import Artifact

    assert alerts(resolve=DRIFT.key, reason="a campaign, as planned").open == []
    shown = Artifact.get("open-alerts")
    alerts()
    again = Artifact.get("open-alerts")
    assert shown is not None and again is not None
    assert (json.loads(shown.data), again.id) == ([], shown.id), "that nothing is open is shown, and only once"


def test_alerts_later_run_completed_resolves_the_failed_run(flows_in_process: None, shop: Settings) -> None:
    name = f"training-{uuid4().hex}"
    with open_api(prefect_api(), os.environ[CLIENT_PASSWORD]) as api:
        flow_id = post(api, "/flows/", {"name": name})["id"]
        about = {"name": name, "flow_id": flow_id, "tags": ["holdfast"]}
        deployment = post(api, "/deployments/", about)["id"]

        def start() -> str:
            body = {"flow_id": flow_id, "deployment_id": deployment, "state": {"type": "RUNNING"}}
            return str(post(api, "/flow_runs/", body)["id"])

        def end(number: str, state: str) -> None:
            ended = {"state": {"type": "COMPLETED", "name": state}, "force": True}
            post(api, f"/flow_runs/{number}/set_state", ended)

        try:
            begun_before = start()
            add_alert(
                shop, Alert.for_subject("holdfast.run.failed", name, "critical", "it failed"), datetime.now(UTC), "runs"
            )
            end(start(), "Skipped")
            assert [item.key for item in alerts().open] == [f"holdfast.run.failed:{name}"], "that one did nothing"
            end(begun_before, "Completed")
            assert alerts().open == []
        finally:
            send(api, "DELETE", f"/deployments/{deployment}")
            send(api, "DELETE", f"/flows/{flow_id}")


def test_recover_deleted_deployment_handles_the_other_runs(flows_in_process: None, shop: Settings) -> None:
    from flows.recover import recover

    name = f"removed-{uuid4().hex}"
    with open_api(prefect_api(), os.environ[CLIENT_PASSWORD]) as api:
        flow_id = post(api, "/flows/", {"name": name})["id"]
        deployment = post(api, "/deployments/", {"name": name, "flow_id": flow_id})["id"]
        body = {"flow_id": flow_id, "deployment_id": deployment, "tags": ["holdfast"], "state": {"type": "RUNNING"}}
        number = post(api, "/flow_runs/", body)["id"]
        failed = {"state": {"type": "FAILED", "name": "Failed", "message": "no rows"}, "force": True}
        post(api, f"/flow_runs/{number}/set_state", failed)
        send(api, "DELETE", f"/deployments/{deployment}")
        assert number in [item.run for item in recover()]
        send(api, "DELETE", f"/flows/{flow_id}")
    assert "no rows" in list_open_alerts(shop)[0].text


def test_recover_failed_run_raises_one_alert(flows_in_process: None, shop: Settings) -> None:
    """A run of no deployment stands for itself."""
    from flows.recover import recover

    fails = [True]

    @flow(name="fragile", persist_result=False)
    def fragile() -> None:
        if fails:
            raise ValueError("the feed is empty")

    state: Any = fragile(return_state=True)
    run = f"prefect.flow-run.{state.state_details.flow_run_id}"
    assert [item.done for item in recover(run)] == ["reported"]
    assert recover(run) == []
    (alert,) = list_open_alerts(shop)
    assert alert.key.startswith("holdfast.run.failed:")
    assert "the feed is empty" in alert.text
    assert alert.evidence_url.endswith(f"/runs/flow-run/{state.state_details.flow_run_id}")
    assert len(alerts().open) == 1, "none has completed since"


def test_recover_crashed_run_marks_its_subflows(flows_in_process: None, shop: Settings) -> None:
    """The process ends before it can report the end of a subflow."""
    from prefect.client.orchestration import get_client
    from prefect.runtime import flow_run
    from prefect.states import Crashed, Running

    from flows.recover import recover

    ids: list[str] = []

    @flow(name="part", persist_result=False)
    def part() -> None:
        ids.append(str(flow_run.id))

    @flow(name="whole", persist_result=False)
    def whole() -> None:
        ids.append(str(flow_run.id))
        part()

    whole()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(ids[0]), Crashed(message="SIGKILL"), force=True)
        client.set_flow_run_state(UUID(ids[1]), Running(), force=True)
        assert [item.done for item in recover(ids[0])] == ["reported"]
        state = client.read_flow_run(UUID(ids[1])).state
    assert state is not None
    assert (state.name, state.message) == ("Crashed", "The parent flow run crashed.")
    assert "It is not repeated automatically: its deployment is not repeatable." in list_open_alerts(shop)[0].text


def test_mark_ended_cancelling_run_is_cancelled_not_repeated(flows_in_process: None, shop: Settings) -> None:
    from prefect.client.orchestration import get_client
    from prefect.runtime import flow_run
    from prefect.states import Cancelling

    from flows.recover import recover
    from holdfast.recovery.actions import mark_ended, read_run_status

    @flow(name="unwanted", persist_result=False)
    def unwanted() -> str:
        return str(flow_run.id)

    run = unwanted()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run), Cancelling(), force=True)
        assert mark_ended(client, read_run_status(client, run), "its process has ended") == "cancelled"
        assert client.read_flow_run(UUID(run)).state_name == "Cancelled"
    assert recover(run) == []
    assert list_open_alerts(shop) == []


def test_recover_one_run_fails_handles_the_others(
    flows_in_process: None, shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.recover import recover
    from holdfast.recovery import actions

    @flow(name="doomed", persist_result=False)
    def doomed() -> None:
        raise ValueError("no")

    with tags("holdfast"):
        ids = {str(doomed(return_state=True).state_details.flow_run_id) for _ in range(2)}
    tried: list[str] = []
    mark_handled = actions.mark_handled

    def fails_at_first(client: Any, run: Any) -> None:
        tried.append(run.id)
        if len(tried) == 1:
            raise RuntimeError("the server was away")
        mark_handled(client, run)

    monkeypatch.setattr(actions, "mark_handled", fails_at_first)
    with pytest.raises(RuntimeError, match="the server was away"):
        recover()
    assert ids <= set(tried)
    assert tried[0] in {item.run for item in recover()}, "the next run handles it"


def test_recover_unknown_run_raises(flows_in_process: None, shop: Settings) -> None:
    from flows.recover import UnknownRunError, recover

    for name in ("nonsense", "01a201fc-6bd5-7924-b84f-8e0ae20ff1b8"):
        with pytest.raises(UnknownRunError, match=f"knows no flow run {name}"):
            recover(name)
    assert recover() == []
