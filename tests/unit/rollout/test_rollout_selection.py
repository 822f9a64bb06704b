"""Tests of rollouts that other actors interrupt."""

from datetime import timedelta
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.alerting.outbox import list_open_alerts
from holdfast.core.errors import PromotionRefusedError
from holdfast.core.identity import Person
from holdfast.model_versions.aliases import get_champion_version, set_challenger
from holdfast.model_versions.records import (
    ApprovalRecord,
    PromotionRecord,
    RolloutRecord,
    TrafficRecord,
)
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.promotion.challenger_traffic import build_traffic, set_traffic
from holdfast.promotion.champion_update import promote_champion
from holdfast.promotion.decision import decide_automatically
from holdfast.promotion.rollback import RollbackCause, roll_back
from holdfast.rollout import registry_actions, step_runner
from holdfast.rollout.steps import RolloutStep
from tests.support.registered_versions import record_passed_gates, register_version
from tests.support.rollout_simulator import CANARY, NOON, SimulatedRollout, watch_promoted


def pass_last_step(rollout: SimulatedRollout) -> None:
    """Record the last step before the promotion as passed, with the traffic of that step."""
    RolloutRecord(
        step="canary", share=0.25, started_at=rollout.now, when=rollout.now, verdict="passed",
        champion=rollout.champion,
        gates=rollout.pending_rollout().gates,
    ).save(rollout.client, rollout.challenger)  # fmt: skip
    given = RolloutStep("canary", 0.25).traffic(rollout.now + timedelta(minutes=3))
    set_traffic(rollout.client, rollout.challenger, given, Person(registry_actions.ACTOR, "program"), rollout.now)


@pytest.mark.long
class TestInterrupted:
    """Changes by other actors stop the rollout and stay in force."""

    def after(self, rollout: SimulatedRollout, change: Any) -> RolloutRecord:
        rollout.before_read = lambda now: change() if now.reads == 3 else None
        record = rollout.finish_step(CANARY.model_copy(update={"min_requests": 10_000}))
        assert (record.verdict, record.is_held, rollout.reads) == ("stopped", False, 3)
        assert list_open_alerts(rollout.settings) == []
        return record

    def test_run_step_new_challenger_stops_and_is_next(self, rollout: SimulatedRollout) -> None:
        other = register_version(rollout.client)
        record_passed_gates(rollout.client, other, rollout.champion)
        record = self.after(rollout, lambda: set_challenger(rollout.client, other))
        assert record.why == f"superseded by version {other}"
        pending = rollout.pending_rollout()
        assert (pending.version, pending.record) == (other, None)
        assert TrafficRecord.load(rollout.client, rollout.challenger).mode == "off"  # type: ignore[union-attr]

    def test_run_step_new_champion_stops(self, rollout: SimulatedRollout) -> None:
        other = register_version(rollout.client)
        move = rollout.client.set_registered_model_alias
        record = self.after(rollout, lambda: move(MODEL_NAME, CHAMPION, other))
        assert record.why.startswith(f"the champion is version {other} now")
        assert rollout.find_served_versions() == (other, None, None)

    def test_run_step_challenger_promoted_by_other_actor_stops(self, rollout: SimulatedRollout) -> None:
        def promote() -> None:
            decision = decide_automatically(rollout.client, rollout.challenger, "", rollout.now)
            promote_champion(rollout.client, rollout.settings, rollout.challenger, decision, rollout.now)

        assert self.after(rollout, promote).why == "another process made it the champion"
        assert get_champion_version(rollout.client) == rollout.challenger

    def test_run_step_removed_alias_stops(self, rollout: SimulatedRollout) -> None:
        drop = rollout.client.delete_registered_model_alias
        assert self.after(rollout, lambda: drop(MODEL_NAME, CHALLENGER)).why == "it is no challenger any more"

    @pytest.mark.parametrize(("mode", "share"), [("off", None), ("canary", 0.5), ("shadow", None)])
    def test_run_step_changed_traffic_stops(self, rollout: SimulatedRollout, mode: Any, share: Any) -> None:
        def sends() -> None:
            set_traffic(rollout.client, None, build_traffic(mode, share), Person("ann", "claimed"), rollout.now)

        assert self.after(rollout, sends).why.startswith("its traffic was changed, claimed by ann")
        record = TrafficRecord.load(rollout.client, rollout.challenger)
        assert record is not None and (record.mode, record.who) == (mode, "ann")

    def test_promote_challenger_traffic_off_before_promotion_refused(self, rollout: SimulatedRollout) -> None:
        """The run was killed before the promotion; a challenger without traffic must not become champion later."""
        pass_last_step(rollout)
        set_traffic(
            rollout.client, rollout.challenger, build_traffic("off", None), Person("ann", "claimed"), rollout.now
        )
        with pytest.raises(PromotionRefusedError, match="its traffic was changed, claimed by ann"):
            registry_actions.promote_challenger(
                rollout.client, rollout.settings, rollout.pending_rollout(), "why", rollout.now
            )
        assert get_champion_version(rollout.client) == rollout.champion

    @pytest.mark.parametrize("at", ["first", "next", "resumed"])
    def test_run_step_traffic_off_while_models_load_stops(
        self, rollout: SimulatedRollout, at: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if at != "first":
            RolloutRecord(
                step="shadow", share=0, started_at=rollout.now, when=rollout.now,
                verdict="passed" if at == "next" else "begun",
                champion=rollout.champion, gates=rollout.pending_rollout().gates,
            ).save(rollout.client, rollout.challenger)  # fmt: skip
        given = RolloutStep("shadow").traffic(rollout.now + timedelta(minutes=3))
        set_traffic(rollout.client, rollout.challenger, given, Person(registry_actions.ACTOR, "program"), rollout.now)
        load = step_runner.load_pair

        def meanwhile(*arguments: Any) -> Any:
            set_traffic(rollout.client, None, build_traffic("off", None), Person("ann", "claimed"), rollout.now)
            return load(*arguments)

        monkeypatch.setattr(step_runner, "load_pair", meanwhile)
        record = rollout.finish_step()
        assert (record.verdict, record.is_held) == ("stopped", False)
        assert record.why.startswith("its traffic was changed, claimed by ann")
        traffic = TrafficRecord.load(rollout.client, rollout.challenger)
        assert traffic is not None and (traffic.mode, traffic.who) == ("off", "ann")
        assert list_open_alerts(rollout.settings) == []

    def test_promote_challenger_traffic_off_during_promotion_refused(
        self, rollout: SimulatedRollout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pass_last_step(rollout)

        def meanwhile(*arguments: Any) -> Any:
            set_traffic(rollout.client, None, build_traffic("off", None), Person("ann", "claimed"), rollout.now)
            return decide_automatically(*arguments)

        monkeypatch.setattr(registry_actions, "decide_automatically", meanwhile)
        with pytest.raises(PromotionRefusedError, match="its traffic was changed, claimed by ann"):
            registry_actions.promote_challenger(
                rollout.client, rollout.settings, rollout.pending_rollout(), "why", rollout.now
            )
        assert get_champion_version(rollout.client) == rollout.champion

    def test_rollback_step_traffic_set_meanwhile_unchanged(
        self, rollout: SimulatedRollout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rollout.active_customers = 0
        record = rollout.run_step(CANARY.model_copy(update={"max_hours": 0.01})).record
        assert record.verdict == "stopped"
        lock = registry_actions.promotion_lock

        def just_before(settings: Settings) -> Any:
            monkeypatch.setattr(registry_actions, "promotion_lock", lock)
            set_traffic(rollout.client, None, build_traffic("canary", 0.5), Person("ann", "claimed"), rollout.now)
            return lock(settings)

        monkeypatch.setattr(registry_actions, "promotion_lock", just_before)
        registry_actions.rollback_step(rollout.client, rollout.settings, rollout.challenger, record, rollout.now)
        traffic = TrafficRecord.load(rollout.client, rollout.challenger)
        assert traffic is not None and (traffic.share, traffic.who) == (0.5, "ann")

    def test_promote_challenger_with_approval_requires_approval_of_this_version(
        self, rollout: SimulatedRollout
    ) -> None:
        RolloutRecord(
            step="canary", share=0.25, started_at=rollout.now, when=rollout.now, verdict="passed",
            champion=rollout.champion,
            gates=rollout.pending_rollout().gates,
        ).save(rollout.client, rollout.challenger)  # fmt: skip
        approval = ApprovalRecord(
            status="approved", since=NOON, until=NOON, flow_run="r", gates="other evidence", who="ann", why="fine"
        )
        for version in (rollout.champion, rollout.challenger):
            approval.save(rollout.client, version)
            with pytest.raises(PromotionRefusedError, match=f"No person has approved .* version {rollout.challenger}"):
                registry_actions.promote_challenger(
                    rollout.client, rollout.settings, rollout.pending_rollout(), "why", rollout.now, needs_approval=True
                )
        approval.model_copy(update={"gates": "k"}).save(rollout.client, rollout.challenger)
        registry_actions.promote_challenger(
            rollout.client, rollout.settings, rollout.pending_rollout(), "why", rollout.now, needs_approval=True
        )
        record = PromotionRecord.load(rollout.client, rollout.challenger)
        assert record is not None and (record.mode, record.who) == ("manual", "ann")

    def test_run_step_rollback_during_watch_stops(self, rollout: SimulatedRollout) -> None:
        def back() -> None:
            roll_back(rollout.client, rollout.settings, None, RollbackCause("ann", "complaints", rollout.now))

        rollout.before_read = lambda now: back() if now.reads == 3 else None
        record = watch_promoted(rollout)
        assert (record.step, record.verdict) == ("watch", "stopped")
        assert record.why == f"the champion was moved to version {rollout.champion} meanwhile"
