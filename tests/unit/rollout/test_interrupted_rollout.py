"""Steps of a rollout that somebody interferes with, or whose run is killed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST

from feature_repo.settings import Settings
from holdfast.alerting.outbox import list_open_alerts
from holdfast.core.errors import PromotionRefusedError
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version, set_challenger
from holdfast.model_versions.records import (
    ApprovalRecord,
    PromotionRecord,
    RollbackRecord,
    RolloutRecord,
    TrafficRecord,
)
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.promotion.challenger_traffic import build_traffic, set_traffic
from holdfast.promotion.champion_update import promote_champion
from holdfast.promotion.decision import decide_automatically
from holdfast.promotion.rollback import roll_back
from holdfast.rollout import notifications, registry_actions, step_runner
from holdfast.rollout.notifications import finish_step
from holdfast.rollout.step_runner import run_step
from holdfast.rollout.steps import RolloutStep
from tests.support.registered_versions import passed, plant
from tests.support.rollout_simulator import CANARY, NOON, SELDOM, Trial, promoted


def passed_the_last_step(trial: Trial) -> None:
    """It has the traffic of that, and is not promoted yet."""
    RolloutRecord(
        step="canary", share=0.25, begun=trial.now, when=trial.now, verdict="passed", champion=trial.champion,
        gates=trial.work().gates,
    ).save(trial.client, trial.challenger)  # fmt: skip
    given = RolloutStep("canary", 0.25).traffic(trial.now + timedelta(minutes=3))
    set_traffic(trial.client, trial.settings, trial.challenger, given, registry_actions.ACTOR, trial.now)


class TestInterrupted:
    """Whatever somebody else changes while it is at work ends it, and is left as they wanted it."""

    def after(self, trial: Trial, change: Any) -> RolloutRecord:
        trial.before_look = lambda now: change() if now.looks == 3 else None
        record = trial.whole_step(CANARY.model_copy(update={"min_requests": 10_000}))
        assert (record.verdict, record.is_held, trial.looks) == ("stopped", False, 3)
        assert list_open_alerts(trial.settings) == []
        return record

    def test_by_the_next_challenger_which_is_then_to_be_rolled_out(self, trial: Trial) -> None:
        other = plant(trial.client)
        passed(trial.client, other, trial.champion)
        record = self.after(trial, lambda: set_challenger(trial.client, other))
        assert record.why == f"superseded by version {other}"
        work = trial.work()
        assert (work.version, work.record) == (other, None)
        assert TrafficRecord.of(trial.client, trial.challenger).mode == "off"  # type: ignore[union-attr]

    def test_by_another_champion(self, trial: Trial) -> None:
        other = plant(trial.client)
        move = trial.client.set_registered_model_alias
        record = self.after(trial, lambda: move(MODEL_NAME, CHAMPION, other))
        assert record.why.startswith(f"the champion is version {other} now")
        assert trial.serves() == (other, None, None)

    def test_by_its_own_promotion(self, trial: Trial) -> None:
        def promoted() -> None:
            decision = decide_automatically(trial.client, trial.challenger, "", trial.now)
            promote_champion(trial.client, trial.settings, trial.challenger, decision, trial.now)

        assert self.after(trial, promoted).why == "it was made the champion by somebody else"
        assert get_champion_version(trial.client) == trial.challenger

    def test_by_gates_that_it_does_not_pass_any_more(self, trial: Trial) -> None:
        drop = trial.client.delete_registered_model_alias
        assert self.after(trial, lambda: drop(MODEL_NAME, CHALLENGER)).why == "it is no challenger any more"

    @pytest.mark.parametrize(("mode", "share"), [("off", None), ("canary", 0.5), ("shadow", None)])
    def test_by_traffic_that_somebody_sends(self, trial: Trial, mode: Any, share: Any) -> None:
        def sends() -> None:
            set_traffic(trial.client, trial.settings, None, build_traffic(mode, share), "ann", trial.now)

        assert self.after(trial, sends).why.startswith("ann has changed its traffic")
        record = TrafficRecord.of(trial.client, trial.challenger)
        assert record is not None and (record.mode, record.who) == (mode, "ann")

    def test_by_traffic_taken_off_between_the_last_step_and_the_promotion(self, trial: Trial) -> None:
        """The run was killed there; whoever took the challenger off must not find it to be the champion later."""
        passed_the_last_step(trial)
        set_traffic(trial.client, trial.settings, trial.challenger, build_traffic("off", None), "ann", trial.now)
        with pytest.raises(PromotionRefusedError, match="ann has changed its traffic"):
            registry_actions.promote_challenger(trial.client, trial.settings, trial.work(), "why", trial.now)
        assert get_champion_version(trial.client) == trial.champion

    @pytest.mark.parametrize("at", ["first", "next", "resumed"])
    def test_by_traffic_taken_off_while_the_models_are_loaded(
        self, trial: Trial, at: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if at != "first":
            RolloutRecord(
                step="shadow", share=0, begun=trial.now, when=trial.now, verdict="passed" if at == "next" else "begun",
                champion=trial.champion, gates=trial.work().gates,
            ).save(trial.client, trial.challenger)  # fmt: skip
        given = RolloutStep("shadow").traffic(trial.now + timedelta(minutes=3))
        set_traffic(trial.client, trial.settings, trial.challenger, given, registry_actions.ACTOR, trial.now)
        load = step_runner.load_pair

        def meanwhile(*arguments: Any) -> Any:
            set_traffic(trial.client, trial.settings, None, build_traffic("off", None), "ann", trial.now)
            return load(*arguments)

        monkeypatch.setattr(step_runner, "load_pair", meanwhile)
        record = trial.whole_step()
        assert (record.verdict, record.is_held) == ("stopped", False)
        assert record.why.startswith("ann has changed its traffic")
        traffic = TrafficRecord.of(trial.client, trial.challenger)
        assert traffic is not None and (traffic.mode, traffic.who) == ("off", "ann")
        assert list_open_alerts(trial.settings) == []

    def test_by_traffic_taken_off_while_the_promotion_is_decided(
        self, trial: Trial, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passed_the_last_step(trial)

        def meanwhile(*arguments: Any) -> Any:
            set_traffic(trial.client, trial.settings, None, build_traffic("off", None), "ann", trial.now)
            return decide_automatically(*arguments)

        monkeypatch.setattr(registry_actions, "decide_automatically", meanwhile)
        with pytest.raises(PromotionRefusedError, match="ann has changed its traffic"):
            registry_actions.promote_challenger(trial.client, trial.settings, trial.work(), "why", trial.now)
        assert get_champion_version(trial.client) == trial.champion

    def test_traffic_sent_while_it_is_ended_stays(self, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
        trial.asked = 0
        record = trial.step(CANARY.model_copy(update={"max_hours": 0.01})).record
        assert record.verdict == "stopped"
        lock = registry_actions.promotion_lock

        def just_before(settings: Settings) -> Any:
            monkeypatch.setattr(registry_actions, "promotion_lock", lock)
            set_traffic(trial.client, trial.settings, None, build_traffic("canary", 0.5), "ann", trial.now)
            return lock(settings)

        monkeypatch.setattr(registry_actions, "promotion_lock", just_before)
        registry_actions.rollback_step(trial.client, trial.settings, trial.challenger, record, trial.now)
        traffic = TrafficRecord.of(trial.client, trial.challenger)
        assert traffic is not None and (traffic.share, traffic.who) == (0.5, "ann")

    def test_where_a_person_is_asked_only_their_word_about_this_version_promotes_it(self, trial: Trial) -> None:
        RolloutRecord(
            step="canary", share=0.25, begun=trial.now, when=trial.now, verdict="passed", champion=trial.champion,
            gates=trial.work().gates,
        ).save(trial.client, trial.challenger)  # fmt: skip
        word = ApprovalRecord(
            status="approved", since=NOON, until=NOON, flow_run="r", gates="other evidence", who="ann", why="fine"
        )
        for version in (trial.champion, trial.challenger):
            word.save(trial.client, version)
            with pytest.raises(PromotionRefusedError, match=f"Nobody has approved .* version {trial.challenger}"):
                registry_actions.promote_challenger(
                    trial.client, trial.settings, trial.work(), "why", trial.now, asks=True
                )
        word.model_copy(update={"gates": "k"}).save(trial.client, trial.challenger)
        registry_actions.promote_challenger(trial.client, trial.settings, trial.work(), "why", trial.now, asks=True)
        record = PromotionRecord.of(trial.client, trial.challenger)
        assert record is not None and (record.mode, record.who) == ("manual", "ann")

    def test_by_a_rollback_in_the_watch(self, trial: Trial) -> None:
        def back() -> None:
            roll_back(trial.client, trial.settings, None, "complaints", "ann", trial.now)

        trial.before_look = lambda now: back() if now.looks == 3 else None
        record = promoted(trial)
        assert (record.step, record.verdict) == ("watch", "stopped")
        assert record.why == f"the champion was moved to version {trial.champion} meanwhile"


class _Registry:
    """A client of a registry that does not answer while ``trouble`` says so."""

    def __init__(self, client: Any, trouble: Callable[[str], int | None]) -> None:
        self._client, self._trouble = client, trouble

    def __getattr__(self, name: str) -> Any:
        if (code := self._trouble(name)) is not None:
            raise MlflowException("the registry says no", code)
        return getattr(self._client, name)


class TestTheRegistryIsAway:
    """From the second minute on for nine minutes, far longer than a task is tried again, or a lease holds."""

    def away(self, trial: Trial) -> list[Any]:
        """Until when the traffic holds, as the last look before each pause found it."""
        client, pause, leases = trial.client, trial.pause, []

        def trouble(_: str) -> int | None:
            minutes = (trial.now - NOON).total_seconds() / 60
            return INTERNAL_ERROR if 1 < minutes < 10 else None

        def noted(seconds: float) -> None:
            leases.append((trial.now, getattr(TrafficRecord.of(client, trial.challenger), "until", None)))
            pause(seconds)

        trial.client = _Registry(client, trouble)
        trial.pause = noted  # type: ignore[method-assign]
        return leases

    def test_a_step_waits_without_a_lease_and_goes_on(self, trial: Trial) -> None:
        leases = self.away(trial)
        record = trial.step(SELDOM.model_copy(update={"shadow": False, "min_requests": 300})).record
        assert (record.verdict, trial.silences) == ("passed", [True, False])
        assert trial.now - NOON > timedelta(minutes=10)
        assert len({until for now, until in leases if now - NOON < timedelta(minutes=9)}) == 1
        assert any(until < now for now, until in leases), "services had stopped by themselves"
        assert leases[-1][1] > leases[-1][0], "it was given again"

    def test_a_bad_champion_is_seen_once_it_is_back(self, flipped: Trial) -> None:
        """It is not left unwatched for want of a registry, which alone can take it back."""
        self.away(flipped)
        flipped.asked, pause = 0, flipped.pause

        def asked_at_last(seconds: float) -> None:
            flipped.asked = 30 if flipped.now - NOON > timedelta(minutes=9) else 0
            pause(seconds)

        flipped.pause = asked_at_last  # type: ignore[method-assign]
        record = promoted(flipped)
        assert (record.verdict, flipped.silences) == ("breached", [True]), "the end of the step resolves the alert"
        assert timedelta(minutes=10) <= flipped.now - NOON < timedelta(minutes=11)
        assert get_champion_version(flipped.client) == flipped.champion

    def test_a_version_that_it_does_not_know_is_no_reason_to_wait(self, trial: Trial) -> None:
        client = trial.client
        gone = {"get_model_version": RESOURCE_DOES_NOT_EXIST}
        trial.client = _Registry(client, lambda name: gone.get(name) if trial.looks == 2 else None)
        with pytest.raises(MlflowException, match="says no"):
            trial.step(CANARY)


class _KilledError(BaseException):
    pass


class TestKilled:
    def test_in_a_step_it_goes_on_with_it_since_the_same_time(self, trial: Trial) -> None:
        def die(now: Trial) -> None:
            if now.looks == 3:
                raise _KilledError

        trial.before_look = die
        with pytest.raises(_KilledError):
            trial.step(CANARY)
        began = RolloutRecord.of(trial.client, trial.challenger)
        assert began is not None and began.verdict == "begun"
        trial.now += timedelta(hours=2)
        assert trial.serves() == (trial.champion, None, None), "the lease has ended"
        record = trial.whole_step()  # by the rules it was begun with, whatever those of this run are
        assert (record.step, record.share, record.verdict) == ("canary", 0.05, "passed")
        assert record.begun == began.begun
        assert trial.told() == [("canary", 0.05, "begun"), ("canary", 0.05, "passed")]

    def test_tried_again_by_the_same_run_the_end_that_it_had_written_stands(
        self, flipped: Trial, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The registry went away between the verdict and what it asks for: the bad canary is not begun once more."""
        flipped.flow_run = "run-1"
        work = flipped.work()
        outcome = run_step(flipped.client, flipped.settings, work, CANARY, flipped.world)
        assert outcome.record.verdict == "breached"
        outcome.record.write(flipped.client, flipped.challenger)
        looks = flipped.looks
        again = run_step(flipped.client, flipped.settings, work, CANARY, flipped.world)
        assert (again.record, flipped.looks) == (outcome.record, looks)

    def test_tried_again_by_the_same_run_a_step_keeps_its_start(self, trial: Trial) -> None:
        trial.flow_run = "run-1"
        work = trial.work()

        def die(now: Trial) -> None:
            if now.looks == 3:
                raise _KilledError

        trial.before_look = die
        with pytest.raises(_KilledError):
            run_step(trial.client, trial.settings, work, CANARY, trial.world)
        trial.now += timedelta(minutes=5)
        assert run_step(trial.client, trial.settings, work, CANARY, trial.world).record.begun == NOON

    @pytest.mark.parametrize("at", ["rollback_step", "add_alert", "tell"])
    @pytest.mark.parametrize("step", ["canary", "watch"])
    def test_while_it_is_ended_the_next_run_completes(
        self, flipped: Trial, at: str, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: Any) -> Any:
            raise _KilledError

        with monkeypatch.context() as patch, pytest.raises(_KilledError):
            patch.setattr(notifications, at, die)
            _ = promoted(flipped) if step == "watch" else flipped.whole_step(CANARY)
        work = flipped.work()
        assert work.record is not None and not work.record.is_open
        for _ in range(2):
            finish_step(flipped.client, flipped.settings, flipped.challenger, work.record, flipped.now)
        assert flipped.serves() == (flipped.champion, None, None)
        assert get_challenger_version(flipped.client) is None
        assert [verdict for *_, verdict in flipped.told()].count("breached") == 1
        assert [alert.severity for alert in list_open_alerts(flipped.settings)] == ["critical"]
        back = RollbackRecord.of(flipped.client, flipped.challenger)
        assert (back is not None and back.times == 1) == (step == "watch")
