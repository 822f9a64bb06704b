"""The rollout flow: selection of versions, resumed rollouts and requests for approval."""

import logging
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_repo.settings import Settings
from flows import _approval as asking
from holdfast.alerting.outbox import list_open_alerts
from holdfast.core.errors import PromotionRefusedError
from holdfast.model_versions.aliases import get_champion_version, set_challenger
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import ApprovalRecord, RolloutRecord, parse_events
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.registered_version import TRAFFIC_TAG
from holdfast.promotion import approval
from holdfast.promotion.gate_report import GateReport
from holdfast.rollout.settings import RolloutSettings
from holdfast.shared_state.work_locks import work_lock
from holdfast.training.mlflow_client import UnknownVersionError
from tests.support.registered_versions import read_aliases, record_passed_gates, register_version

NOW = datetime.now(UTC)
NO_SERVICE = "http://127.0.0.1:1"
# An unreachable service reports nothing, and the timeout is over at once.
OVER = RolloutSettings(max_hours=1e-9, poll_seconds=0.01)


@pytest.fixture(autouse=True)
def _without_a_service(monkeypatch: pytest.MonkeyPatch, registry_shop: tuple[Settings, Any]) -> None:
    monkeypatch.setenv("HOLDFAST_SERVICE_URL", NO_SERVICE)


def _pair(client: Any) -> tuple[str, str]:
    """A champion, and a challenger that has passed its gates beside it."""
    champion, challenger = register_version(client), register_version(client)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    record_passed_gates(client, challenger, champion)
    set_challenger(client, challenger)
    return champion, challenger


def _record(client: Any, version: str) -> RolloutRecord:
    found = RolloutRecord.load(client, version)
    assert found is not None
    return found


def test_rollout_begun_rollout_needs_no_approval(client: Any) -> None:
    """No approval is required, whichever run resumes it."""
    from flows.rollout import rollout

    champion, challenger = _pair(client)
    known: dict[str, Any] = {
        "champion": champion,
        "gates": "k",
        "begun": NOW,
        "when": NOW,
        "rules": OVER.non_defaults(),
    }
    RolloutRecord(step="canary", share=0.25, verdict="passed", **known).save(client, challenger)
    assert rollout(approval="manual").version == challenger
    assert get_champion_version(client) == challenger


def test_rollout_without_challenger_is_skipped(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    from flows.rollout import rollout

    nothing = f"{MODEL_NAME} has no challenger: there is nothing to roll out."
    log = logging.getLogger("prefect.flow_runs")  # which hands nothing on to the root's handlers
    log.addHandler(caplog.handler)
    assert rollout().text == nothing
    log.removeHandler(caplog.handler)
    assert f"Nothing was done: {nothing}" in caplog.messages
    champion = register_version(client)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    assert rollout(champion).text == f"Version {champion} is the champion already."
    with pytest.raises(UnknownVersionError, match="no version 999"):
        rollout("999")
    challenger = register_version(client)
    set_challenger(client, challenger)
    assert "has not been through the gates" in rollout().text
    with pytest.raises(PromotionRefusedError, match="has not been through the gates"):
        rollout(challenger)
    assert RolloutRecord.load(client, challenger) is None


def test_rollout_without_champion_promotes_at_once(client: Any) -> None:
    from flows.rollout import rollout

    version = register_version(client)
    record_passed_gates(client, version, None)
    set_challenger(client, version)
    result = rollout()
    assert (result.version, result.verdict) == (version, "passed")
    assert read_aliases(client) == {CHAMPION: version}


def test_rollout_second_concurrent_run_does_nothing(client: Any, registry_shop: tuple[Settings, Any]) -> None:
    from flows.rollout import rollout

    _, challenger = _pair(client)
    with work_lock(registry_shop[0], "rollout-churn", 0):
        result = rollout()
    assert (result.verdict, RolloutRecord.load(client, challenger)) == ("nothing", None)
    assert "Another run of this flow is active" in result.text


def test_rollout_ended_rollout_begins_again_if_named_or_evaluated_again(
    client: Any, registry_shop: tuple[Settings, Any]
) -> None:
    from flows.rollout import rollout

    champion, challenger = _pair(client)
    result = rollout(rules=OVER)
    assert (result.version, result.verdict) == (challenger, "stopped")
    assert "the service does not respond" in result.text
    first = _record(client, challenger)
    assert (first.step, first.is_held, first.rules) == ("shadow", True, OVER.non_defaults())
    assert len(first.flow_run) == 36
    assert read_aliases(client) == {CHAMPION: champion, CHALLENGER: challenger}
    assert '"off"' in client.get_model_version(MODEL_NAME, challenger).tags[TRAFFIC_TAG]
    assert [alert.key for alert in list_open_alerts(registry_shop[0])] == [
        f"holdfast.rollout.held:version {challenger}"
    ]
    again = rollout(rules=OVER)
    assert (again.verdict, _record(client, challenger)) == ("nothing", first)
    assert f"`--version {challenger}` begins another" in again.text
    assert rollout(challenger, rules=OVER).verdict == "stopped"
    second = _record(client, challenger)
    assert second.started_at > first.started_at
    record_passed_gates(client, challenger, champion, key="other evidence")
    assert rollout(rules=OVER).verdict == "stopped"
    assert _record(client, challenger).started_at > second.started_at


def test_rollout_unreported_end_is_reported_first(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.rollout import rollout
    from holdfast.rollout import notifications

    champion, challenger = _pair(client)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(notifications, "rollback_step", die)
        rollout(rules=OVER)
    result = rollout()
    assert (result.version, result.verdict) == (challenger, "stopped")
    tags = client.get_model_version(MODEL_NAME, challenger).tags
    verdicts = [event.verdict for event in parse_events(tags, challenger) or [] if isinstance(event, RolloutRecord)]
    assert verdicts == ["begun", "stopped"]
    assert '"off"' in tags[TRAFFIC_TAG]
    assert rollout().verdict == "nothing"
    assert read_aliases(client)[CHAMPION] == champion


def test_rollout_unreported_passed_step_is_in_the_history(
    client: Any, registry_shop: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.rollout import rollout
    from holdfast.rollout.notifications import finish_step

    champion, challenger = _pair(client)
    known: dict[str, Any] = {
        "champion": champion,
        "gates": "k",
        "begun": NOW,
        "when": NOW,
        "rules": OVER.non_defaults(),
    }
    RolloutRecord(step="shadow", share=0, verdict="begun", **known).save(client, challenger)
    passed_it = RolloutRecord(step="shadow", share=0, verdict="passed", **known)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RolloutRecord, "append_event", die)
        finish_step(client, registry_shop[0], challenger, passed_it, NOW)
    assert rollout().verdict == "stopped"
    events = parse_events(client.get_model_version(MODEL_NAME, challenger).tags, challenger) or []
    verdicts = [(event.step, event.verdict) for event in events if isinstance(event, RolloutRecord)]
    assert verdicts == [("shadow", "begun"), ("shadow", "passed"), ("canary", "begun"), ("canary", "stopped")]


class TestApprovalRequest:
    def asked(self, client: Any, version: str, status: Any, minutes: float = 60) -> None:
        """About the evidence that the version stands on."""
        until = NOW + timedelta(minutes=minutes)
        ApprovalRecord(status=status, since=NOW, until=until, flow_run="another", gates="k", who="Ann").save(
            client, version
        )

    def test_rollout_manual_approval_outside_deployment_raises(self, client: Any) -> None:
        from flows.rollout import rollout

        _, challenger = _pair(client)
        with pytest.raises(PromotionRefusedError, match="prefect deployment run rollout/rollout"):
            rollout(approval="manual")
        assert RolloutRecord.load(client, challenger) is None
        assert TRAFFIC_TAG not in client.get_model_version(MODEL_NAME, challenger).tags

    @pytest.mark.parametrize("approval", ["auto", "manual"])
    def test_rollout_open_request_does_nothing(self, client: Any, approval: Any) -> None:
        from flows.rollout import rollout

        _, challenger = _pair(client)
        self.asked(client, challenger, "waiting")
        result = rollout(approval=approval)
        assert (result.verdict, RolloutRecord.load(client, challenger)) == ("nothing", None)
        assert "waits for a person's approval until" in result.text

    @pytest.mark.parametrize("approval", ["auto", "manual"])
    @pytest.mark.parametrize(("status", "minutes"), [("refused", 60), ("waiting", -1)])
    def test_rollout_refused_request_ends_before_any_traffic(
        self, client: Any, registry_shop: tuple[Settings, Any], status: Any, minutes: float, approval: Any
    ) -> None:
        from flows.rollout import rollout

        _, challenger = _pair(client)
        self.asked(client, challenger, status, minutes)
        result = rollout(approval=approval)
        assert (result.version, result.verdict) == (challenger, "stopped")
        assert _record(client, challenger).step == "approval"
        assert TRAFFIC_TAG not in client.get_model_version(MODEL_NAME, challenger).tags
        assert list_open_alerts(registry_shop[0]) == [], "a person decided so"
        assert rollout(approval=approval).verdict == "nothing"
        with pytest.raises(PromotionRefusedError, match="prefect deployment run rollout/rollout"):
            rollout(challenger, approval="manual")  # named, a person may be asked again

    @pytest.mark.parametrize(("status", "minutes"), [("refused", 60), ("waiting", -1), ("waiting", 60)])
    def test_rollout_refusal_is_valid_for_other_evidence(self, client: Any, status: Any, minutes: float) -> None:
        """A version that the promotion would reject scores no customer."""
        from flows.rollout import rollout

        champion, challenger = _pair(client)
        self.asked(client, challenger, status, minutes)
        record_passed_gates(client, challenger, champion, key="other evidence")
        waits = (status, minutes) == ("waiting", 60)
        assert rollout(rules=OVER).verdict == ("nothing" if waits else "stopped")
        assert TRAFFIC_TAG not in client.get_model_version(MODEL_NAME, challenger).tags
        if not waits:
            assert _record(client, challenger).step == "approval"
        with pytest.raises(PromotionRefusedError, match="prefect deployment run rollout/rollout"):
            rollout(challenger, approval="manual", rules=OVER)  # on which a person may be asked

    def test_rollout_approved_request_begins(self, client: Any) -> None:
        from flows.rollout import rollout

        _, challenger = _pair(client)
        self.asked(client, challenger, "approved")
        assert rollout(approval="manual", rules=OVER).verdict == "stopped"
        assert _record(client, challenger).step == "shadow"


@pytest.mark.long
class TestResumedRollout:
    """What the flow does when Prefect runs it again; with a real server and worker: promotion/test_approval.py."""

    @pytest.fixture(autouse=True)
    def of_a_deployment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "run-1")
        monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "deployment-1")
        report = GateReport(version="0", champion=None, key="k", when=NOW, settings=GateSettings(), gates=[])
        monkeypatch.setattr(approval, "read_report", lambda *_: report)

    def asked(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
        """A champion, and the challenger about which a run was suspended."""
        from flows.rollout import rollout

        def leaves(**_: Any) -> None:
            raise InterruptedError

        champion, challenger = _pair(client)
        with monkeypatch.context() as patch, pytest.raises(InterruptedError):
            patch.setattr(asking, "suspend_flow_run", leaves)
            rollout(approval="manual", rules=OVER)
        assert self.approval(client, challenger).status == "waiting"
        return champion, challenger

    def approval(self, client: Any, version: str) -> ApprovalRecord:
        found = ApprovalRecord.load(client, version)
        assert found is not None
        return found

    def answer(self, monkeypatch: pytest.MonkeyPatch, decision: Any = "approve") -> Any:
        """What comes of the run that is resumed with this answer."""
        from flows.rollout import rollout

        form = asking.Approval(decision=decision, approved_by="Ann", reason="so it is")
        monkeypatch.setattr(asking, "suspend_flow_run", lambda **_: form)
        return rollout(approval="manual", rules=OVER)

    def test_rollout_resumed_with_approval_begins(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        _, challenger = self.asked(client, monkeypatch)
        assert self.answer(monkeypatch).version == challenger
        assert self.approval(client, challenger).status == "approved"
        assert _record(client, challenger).step == "shadow"

    def test_rollout_resumed_with_refusal_ends(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        _, challenger = self.asked(client, monkeypatch)
        result = self.answer(monkeypatch, "refuse")
        assert (result.version, result.verdict) == (challenger, "stopped")
        record = _record(client, challenger)
        assert (record.step, record.verdict) == ("approval", "stopped")
        assert "was refused, claimed by Ann: so it is" in record.why

    @pytest.mark.parametrize("decision", ["approve", "refuse"])
    def test_rollout_decision_does_not_apply_to_other_version(
        self, client: Any, monkeypatch: pytest.MonkeyPatch, decision: Any
    ) -> None:
        champion, asked = self.asked(client, monkeypatch)
        later = register_version(client)
        record_passed_gates(client, later, champion)
        set_challenger(client, later)
        result = self.answer(monkeypatch, decision)
        assert (result.verdict, result.version) == ("nothing", None)
        assert f"Version {asked}, for which approval was requested, was superseded by version {later}" in result.text
        assert self.approval(client, asked).status == {"approve": "approved", "refuse": "refused"}[decision]
        assert (ApprovalRecord.load(client, later), RolloutRecord.load(client, later)) == (None, None)
        assert read_aliases(client) == {CHAMPION: champion, CHALLENGER: later}

    def test_rollout_decision_during_other_run_is_stored(
        self, client: Any, registry_shop: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from flows import rollout as module

        _, challenger = self.asked(client, monkeypatch)
        monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
        with work_lock(registry_shop[0], "rollout-churn", 0):
            result = self.answer(monkeypatch)
        assert (result.verdict, RolloutRecord.load(client, challenger)) == ("nothing", None)
        assert "that run, or the next one, handles new versions" in result.text
        assert self.approval(client, challenger).status == "approved"
        monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "run-2")
        monkeypatch.setattr(asking, "suspend_flow_run", lambda **_: pytest.fail("asked again"))
        assert module.rollout(approval="manual", rules=OVER).version == challenger
        assert _record(client, challenger).step == "shadow"

    def test_rollout_decision_waits_for_short_run(
        self, client: Any, registry_shop: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, challenger = self.asked(client, monkeypatch)
        looking = threading.Event()

        def look() -> None:
            with work_lock(registry_shop[0], "rollout-churn", 0):
                looking.set()
                time.sleep(2)

        other = threading.Thread(target=look)
        other.start()
        assert looking.wait(60)
        assert self.answer(monkeypatch).version == challenger
        other.join()

    def test_rollout_version_evaluated_after_request_needs_new_approval(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        champion, challenger = self.asked(client, monkeypatch)
        record_passed_gates(client, challenger, champion, key="other evidence")
        assert "was evaluated again since approval was requested" in self.answer(monkeypatch).text
        assert RolloutRecord.load(client, challenger) is None

    def test_rollout_killed_rollout_ends_first_and_decision_is_stored(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        champion, challenger = self.asked(client, monkeypatch)
        killed = register_version(client)
        record_passed_gates(client, killed, champion)
        RolloutRecord(
            step="shadow", share=0, begun=NOW, when=NOW, verdict="begun", champion=champion, gates="k",
            rules=OVER.non_defaults(),
        ).save(client, killed)  # fmt: skip
        assert self.answer(monkeypatch).version == challenger
        assert _record(client, killed).why == f"superseded by version {challenger}"
        assert self.approval(client, challenger).status == "approved"


def test_rollout_command_prints_result_and_exits_0(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows._cli import run_flow
    from flows.rollout import rollout

    _pair(client)
    monkeypatch.setattr(sys, "argv", ["rollout", "--rules", OVER.model_dump_json()])
    with pytest.raises(SystemExit) as ended:
        run_flow(rollout)
    assert not ended.value.code
    assert "the service does not respond" in capsys.readouterr().out
