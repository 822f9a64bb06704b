"""Promotion without a person: who may become the champion, only one at a time, and killed anywhere."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import PromotionRefusedError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import ApprovalRecord, GatesRecord, PromotionRecord, RollbackRecord, parse_events
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.promotion.champion_update import promote_champion
from holdfast.promotion.gate_report import GateReport
from holdfast.training.mlflow_client import UnknownVersionError
from tests.support.registered_versions import kill_process_at, read_aliases, record_passed_gates, register_version
from tests.support.small_shop import fork_server, join_process, prefect_api, start_process

NOW = datetime.now(UTC)


def challenger(client: Any, champion: str | None) -> str:
    """A registered version that passed its gates beside ``champion`` and is the challenger."""
    version = register_version(client)
    record_passed_gates(client, version, champion)
    client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
    return version


def test_promote_challenger_becomes_champion_once(client: Any) -> None:
    from flows.promote import promote

    first = challenger(client, None)
    result = promote(reason="the first")
    assert (result.version, result.previous, result.moved) == (first, None, True)
    assert read_aliases(client) == {CHAMPION: first}
    record = PromotionRecord.load(client, first)
    assert record is not None
    assert (record.previous, record.who, record.why, record.mode, record.gates) == (
        None,
        "auto",
        "the first",
        "auto",
        "k",
    )
    assert abs(record.when - datetime.now(UTC)) < timedelta(minutes=5)

    again = promote(first)
    assert (again.previous, again.moved, again.why) == (first, False, "the first")
    second = challenger(client, first)
    result = promote(second)
    assert (result.previous, result.moved, result.why) == (first, True, "all gates passed")
    assert read_aliases(client) == {CHAMPION: second}
    found = PromotionRecord.load(client, second)
    assert found is not None and found.previous == first
    assert PromotionRecord.load(client, first) == record


def test_promote_changed_thresholds_are_in_the_summary(client: Any) -> None:
    from flows.promote import promote

    version = register_version(client)
    GatesRecord(
        verdict="passed", champion=None, settings="s", when=NOW, failed=[], key="k", thresholds={"max_size_mb": 30}
    ).save(client, version)
    assert "Thresholds other than the defaults: max_size_mb 30." in promote(version).summary()
    record = PromotionRecord.load(client, version)
    assert record is not None and record.thresholds == {"max_size_mb": 30}


def test_request_text_changed_thresholds_are_listed() -> None:
    from holdfast.promotion.approval import request_text

    report = GateReport(version="1", champion=None, key="k", when=NOW, settings=GateSettings(max_size_mb=30), gates=[])
    record = ApprovalRecord(status="waiting", since=NOW, until=NOW, flow_run="run", gates="k")
    assert "Thresholds other than the defaults: max_size_mb 30.0." in request_text(report, "", record)
    report = report.model_copy(update={"settings": GateSettings()})
    assert "defaults" not in request_text(report, "", record)


def _not_judged(client: Any, version: str, champion: str) -> None:
    client.delete_model_version_tag(MODEL_NAME, version, GatesRecord.TAG)


def _failed(client: Any, version: str, champion: str) -> None:
    GatesRecord(verdict="failed", champion=champion, settings="s", when=NOW, failed=["parity", "size"], key="k").save(
        client, version
    )


def _compared_with_another(client: Any, version: str, champion: str) -> None:
    record_passed_gates(client, version, None)


def _rolled_back_since(client: Any, version: str, champion: str) -> None:
    RollbackRecord(to=champion, when=datetime.now(UTC), who="ann", why="complaints").save(client, version)


def _approval(client: Any, version: str, status: Any, until: datetime, who: str = "", why: str = "") -> None:
    ApprovalRecord(
        status=status, since=NOW - timedelta(days=3), until=until, flow_run="x", gates="k", who=who, why=why
    ).save(client, version)


def _refused(client: Any, version: str, champion: str) -> None:
    _approval(client, version, "refused", NOW, "ann", "not before Christmas")


def _waiting(client: Any, version: str, champion: str) -> None:
    _approval(client, version, "waiting", datetime(2100, 1, 1, tzinfo=UTC))


def _timed_out(client: Any, version: str, champion: str) -> None:
    _approval(client, version, "waiting", datetime(2024, 1, 1, tzinfo=UTC))


REFUSALS: list[tuple[Callable[[Any, str, str], None], str]] = [
    (_not_judged, r"version {v} has not been through the gates. Run `python -m flows.gates --version {v}`"),
    (_failed, r"version {v} did not pass its gates: parity, size\. The champion stays version {c}\."),
    (_compared_with_another, r"was compared with no version, but champion is now version {c}\. Run"),
    (_rolled_back_since, r"was rolled back after it had passed its gates \(complaints\)"),
    (
        _refused,
        r"version {v} was refused, claimed by ann: not before Christmas\. To ask again: `prefect deployment run",
    ),
    (_waiting, r"version {v} waits for a person's approval until 2100-01-01 00:00 UTC"),
    (_timed_out, r"No person approved holdfast-churn version {v} by 2024-01-01 00:00 UTC; that is a refusal"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSALS)
def test_promote_refused_version_keeps_the_champion(client: Any, spoil: Any, message: str) -> None:
    from flows.promote import promote

    champion = challenger(client, None)
    promote(champion)
    version = challenger(client, champion)
    spoil(client, version, champion)
    with pytest.raises(PromotionRefusedError, match=message.format(v=version, c=champion)):
        promote(version)
    assert read_aliases(client) == {CHAMPION: champion, CHALLENGER: version}
    assert PromotionRecord.load(client, version) is None


def test_promote_without_challenger_raises(client: Any) -> None:
    from flows.promote import promote

    register_version(client)
    with pytest.raises(PromotionRefusedError, match=r"no challenger.*There is still no champion.*flows\.gates"):
        promote()
    with pytest.raises(UnknownVersionError, match="no version 999"):
        promote("999")


def test_promote_manual_approval_outside_deployment_raises(client: Any) -> None:
    from flows.promote import promote

    version = challenger(client, None)
    with pytest.raises(PromotionRefusedError, match=r"prefect deployment run promote/promote .*-p approval=manual"):
        promote(version, "manual")
    with pytest.raises(PromotionRefusedError, match="timeout_hours above 0"):
        promote(version, "manual", timeout_hours=0)
    assert ApprovalRecord.load(client, version) is None


def test_promote_approved_version_needs_no_second_approval(client: Any) -> None:
    from flows.promote import promote

    version = challenger(client, None)
    _approval(client, version, "approved", NOW, "ann", "fine")
    assert promote(version).by == "claimed by ann"
    record = PromotionRecord.load(client, version)
    assert record is not None
    assert (record.mode, record.who, record.why) == ("manual", "ann", "fine")


def test_promote_approval_of_other_evidence_is_ignored(client: Any) -> None:
    from flows.promote import promote

    version = challenger(client, None)
    _approval(client, version, "approved", NOW, "ann", "fine")
    record_passed_gates(client, version, None, key="other")
    assert promote(version).by == "automatically"


class TestResumedPromotion:
    """What the flow does when Prefect runs it again; with a real server and worker: promotion/test_approval.py."""

    @pytest.fixture(autouse=True)
    def of_a_deployment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "run-1")
        monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "deployment-1")
        self.cards: list[tuple[str, str]] = []

    def ask(self, client: Any, monkeypatch: pytest.MonkeyPatch, answer: Any) -> tuple[str, Any]:
        """What comes of asking for the challenger, where the person is ``answer``."""
        from feature_repo.settings import Settings
        from flows import _approval as asking

        settings = Settings.from_environment()
        monkeypatch.setattr(
            asking, "refresh_model_cards", lambda _, *versions, model: self.cards.append(self.card(client, *versions))
        )

        monkeypatch.setattr(asking, "suspend_flow_run", answer)
        return asking.request_human_approval(settings, client, None, "", timedelta(hours=1))

    def asked(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> str:
        """A version about which a person has been asked."""
        from holdfast.promotion import approval

        version = challenger(client, None)
        monkeypatch.setattr(
            approval,
            "read_report",
            lambda *_: GateReport(version=version, champion=None, key="k", when=NOW, settings=GateSettings(), gates=[]),
        )

        def leaves(**_: Any) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            self.ask(client, monkeypatch, leaves)
        return version

    def card(self, client: Any, version: str) -> tuple[str, str]:
        """Return the state that a card written now would show."""
        record = ApprovalRecord.load(client, version)
        return version, record.status if record else "nothing"

    def yes(self, **_: Any) -> Any:
        from flows._approval import Approval

        return Approval(decision="approve", approved_by=" Ann ", reason="fine")

    def test_promote_resumed_promotes_the_version_of_the_request(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = self.asked(client, monkeypatch)
        waiting = ApprovalRecord.load(client, version)
        assert waiting is not None
        assert (waiting.status, waiting.flow_run, waiting.until - waiting.since) == (
            "waiting",
            "run-1",
            timedelta(hours=1),
        )
        challenger(client, None)
        number, decision = self.ask(client, monkeypatch, self.yes)
        assert (number, decision.mode, decision.who, decision.gates) == (version, "manual", "Ann", "k")
        again = self.ask(client, monkeypatch, self.yes)  # killed after the answer was recorded
        assert again == (number, decision)

    def test_promote_resumed_after_timeout_raises(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        version = self.asked(client, monkeypatch)
        waiting = ApprovalRecord.load(client, version)
        assert waiting is not None
        waiting.model_copy(update={"until": NOW - timedelta(seconds=1)}).save(client, version)
        with pytest.raises(PromotionRefusedError, match="No person approved"):
            self.ask(client, monkeypatch, self.yes)
        record = ApprovalRecord.load(client, version)
        assert record is not None
        assert (record.status, record.why) == ("timed out", "no answer in time")

    def test_promote_resumed_without_decision_raises(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from flows._approval import Approval

        version = self.asked(client, monkeypatch)
        with pytest.raises(PromotionRefusedError, match="refused, by no person: the run was resumed without an answer"):
            self.ask(client, monkeypatch, lambda **_: Approval())
        record = ApprovalRecord.load(client, version)
        assert record is not None and record.status == "refused"
        assert self.cards == [(version, "waiting"), (version, "refused")]
        events = parse_events(client.get_model_version(MODEL_NAME, version).tags, version) or []
        assert [item.status for item in events if isinstance(item, ApprovalRecord)] == ["waiting", "refused"]

    def test_promote_champion_changed_after_approval_raises(
        self, client: Any, registry_shop: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = self.asked(client, monkeypatch)
        _, decision = self.ask(client, monkeypatch, self.yes)
        champion = register_version(client)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
        with pytest.raises(PromotionRefusedError, match=f"but champion is now version {champion}"):
            promote_champion(client, registry_shop[0], version, decision, NOW)
        record_passed_gates(client, version, champion, key="other")
        with pytest.raises(PromotionRefusedError, match="was evaluated again since it was approved"):
            promote_champion(client, registry_shop[0], version, decision, NOW)
        assert read_aliases(client)[CHAMPION] == champion

    def test_promote_unreadable_evidence_requests_no_approval(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = challenger(client, None)
        with pytest.raises(PromotionRefusedError, match="cannot be read from its run"):
            self.ask(client, monkeypatch, self.yes)
        assert ApprovalRecord.load(client, version) is None


def _promote(version: str, meet: Any) -> None:
    from flows.promote import promote
    from holdfast.promotion import decision

    by_itself = decision.decide_automatically

    def both_have_decided(*arguments: Any) -> Any:
        found = by_itself(*arguments)
        meet.wait(60)
        return found

    decision.decide_automatically = both_have_decided
    try:
        promote(version)
    except PromotionRefusedError as refused:
        assert "was compared with no version, but champion is now" in str(refused)
        os._exit(3)


@pytest.mark.long
def test_promote_two_concurrent_runs_one_is_refused(registry_shop: tuple[Settings, Any]) -> None:
    settings, client = registry_shop
    versions = [challenger(client, None) for _ in range(2)]
    meet = fork_server().Barrier(2)
    children = [start_process(_promote, settings.data, version, meet, api=prefect_api()) for version in versions]
    codes = [join_process(child, 120) for child in children]
    assert sorted(code or 0 for code in codes) == [0, 3]
    winner = versions[codes.index(0)]
    assert read_aliases(client)[CHAMPION] == winner
    assert [PromotionRecord.load(client, version) is not None for version in versions] == [
        v == winner for v in versions
    ]


def _killed_before(call: str, version: str) -> None:
    """Promote in a process that dies before it first makes this call of MLflow's client."""
    from flows.promote import promote

    kill_process_at(call)
    promote(version)


@pytest.mark.long
@pytest.mark.parametrize(
    "call", ["set_model_version_tag", "set_registered_model_alias", "delete_registered_model_alias"]
)
def test_promote_killed_at_any_call_next_run_completes(registry_shop: tuple[Settings, Any], call: str) -> None:
    from flows.promote import promote

    settings, client = registry_shop
    champion = challenger(client, None)
    promote(champion)
    version = challenger(client, champion)
    child = start_process(_killed_before, settings.data, call, version, api=prefect_api())
    assert join_process(child, 120) == -signal.SIGKILL
    assert read_aliases(client)[CHAMPION] == (version if call.startswith("delete") else champion)
    result = promote(version)
    assert result.version == version
    assert read_aliases(client) == {CHAMPION: version}
    record = PromotionRecord.load(client, version)
    assert record is not None
    assert record.previous == champion
    events = parse_events(client.get_model_version(MODEL_NAME, version).tags, version) or []
    assert [item for item in events if isinstance(item, PromotionRecord)] == [record]
