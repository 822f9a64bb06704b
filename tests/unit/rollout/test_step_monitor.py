"""Tests of waiting rollout steps, and of registry outages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST

from holdfast.alerting.outbox import list_open_alerts
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version
from holdfast.model_versions.records import TrafficRecord
from holdfast.rollout.challenger_predictions import ChallengerPredictions
from holdfast.rollout.counters import RECENT
from holdfast.rollout.guardrails import MIN_ROWS
from holdfast.rollout.model_pair import ChampionInputsError, ModelPair
from holdfast.rollout.rollout_selection import NoPendingRollout, find_next_rollout
from tests.support.rollout_simulator import (
    CANARY,
    NOON,
    SLOW_POLLING,
    SimulatedRollout,
    watch_promoted,
)


class TestWaits:
    def test_run_step_without_requests_stops_without_promotion(self, rollout: SimulatedRollout) -> None:
        rollout.active_customers = 0
        record = rollout.finish_step(SLOW_POLLING.model_copy(update={"max_hours": 0.2}))
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "no verdict within 0.2 hours: 0 of 100 requests about active customers" in record.why
        assert rollout.find_served_versions() == (rollout.champion, None, None)
        assert get_challenger_version(rollout.client) == rollout.challenger, "it has still passed its gates"
        (alert,) = list_open_alerts(rollout.settings)
        assert (alert.key, alert.severity) == (f"holdfast.rollout.held:version {rollout.challenger}", "warning")
        assert find_ended_summary(rollout) == record.summary

    def test_run_step_service_outage_alerts_once_without_renewal(self, rollout: SimulatedRollout) -> None:
        def silent(now: SimulatedRollout) -> None:
            now.is_reachable = now.reads == 1 or now.reads > 15
            now.active_customers = 60 if now.reads > 15 else 0

        rollout.before_read = silent
        record = rollout.finish_step(SLOW_POLLING)
        assert record.verdict == "passed"
        assert rollout.reachability_changes == [True, False]

    def test_run_step_service_outage_lease_ends(self, rollout: SimulatedRollout) -> None:
        rollout.is_reachable, rollout.active_customers = False, 0
        rollout.run_step(SLOW_POLLING.model_copy(update={"max_hours": 0.2}))
        record = TrafficRecord.load(rollout.client, rollout.challenger)
        assert record is not None and record.until is not None and record.until < rollout.now - timedelta(minutes=5)

    def test_run_step_missing_log_rows_stops_without_renewal(self, rollout: SimulatedRollout) -> None:
        """The service counts scores of a bad canary, but its log is in another folder."""
        rollout.active_customers, leases = 0, set()

        def scores(now: SimulatedRollout) -> None:
            now.counters[f"scored:{now.challenger}:canary"] = 20.0 * now.reads
            leases.add(TrafficRecord.load(now.client, now.challenger))

        rollout.before_read = scores
        record = rollout.finish_step(CANARY)
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "missing in the prediction log" in record.why
        assert rollout.now - NOON < timedelta(minutes=CANARY.unreachable_minutes + 1)
        assert len(leases - {None}) == 1, "it was never renewed"
        assert rollout.find_served_versions() == (rollout.champion, None, None)

    def test_run_step_service_restart_during_watch_no_breach(self, rollout: SimulatedRollout) -> None:
        """Three of a hundred failed, which is chance; three of the ten beyond the old process's counters is not."""
        rollout.counters["answered"] = 50.0

        def again(now: SimulatedRollout) -> None:
            if now.reads == 3:
                now.counters |= {"answered": 0.0}
            now.counters["failed"] = 3.0 * (now.reads >= 5)

        rollout.before_read = again
        record = watch_promoted(rollout)
        assert (record.verdict, record.start_counters, record.restart_counters) == ("passed", {}, {})
        assert record.guardrail_values["errors"] < 0.01

    def test_run_step_short_log_lag_passes(self, rollout: SimulatedRollout) -> None:
        def scores(now: SimulatedRollout) -> None:
            now.counters[f"scored:{now.challenger}:canary"] = 30.0 * now.reads + 500

        rollout.before_read = scores
        assert rollout.finish_step(CANARY).verdict == "passed"

    def test_run_step_open_skew_waits(self, rollout: SimulatedRollout) -> None:
        def heal(now: SimulatedRollout) -> None:
            now.skew = None if now.reads > 8 else "the features served differ"

        rollout.before_read, rollout.active_customers = heal, 60
        record = rollout.finish_step(SLOW_POLLING)
        assert record.verdict == "passed"
        assert rollout.reads > 8

    @pytest.mark.parametrize("away", [2, 15])
    def test_run_step_store_outage_passes_afterwards(self, rollout: SimulatedRollout, away: float) -> None:
        """With the usual load the step passes a few minutes after the outage, whatever its length."""
        rules, per_look = SLOW_POLLING.model_copy(update={"max_hours": 1}), 60
        ends = NOON + timedelta(minutes=away)

        def heal(now: SimulatedRollout) -> None:
            now.active_customers = per_look if now.now >= ends else 0
            if 0 < (now.now - NOON).total_seconds() < away * 60:
                now.counters["unavailable"] += per_look
                now.counters["answered"] += per_look

        rollout.before_read = heal
        record = rollout.finish_step(rules)
        assert record.verdict == "passed"
        assert timedelta() < rollout.now - ends <= RECENT + timedelta(seconds=rules.poll_seconds)

    def test_run_step_lasting_store_outage_stops(self, rollout: SimulatedRollout) -> None:
        def fall(now: SimulatedRollout) -> None:
            now.counters["unavailable"] += 30

        rollout.before_read, rollout.active_customers = fall, 60
        record = rollout.finish_step(SLOW_POLLING.model_copy(update={"max_hours": 0.2}))
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "got 503: wait until the service responds" in record.why

    @pytest.mark.parametrize(("reads", "verdict"), [(8, "passed"), (10_000, "stopped")])
    def test_run_step_unreadable_champion_features_waits(
        self, rollout: SimulatedRollout, monkeypatch: pytest.MonkeyPatch, reads: int, verdict: str
    ) -> None:
        score = ModelPair.score

        def fail_first(pair: ModelPair, predictions: ChallengerPredictions) -> Any:
            if len(predictions.x) and rollout.reads <= reads:
                raise ChampionInputsError("the champion's features cannot be read: no answer")
            return score(pair, predictions)

        monkeypatch.setattr(ModelPair, "score", fail_first)
        rollout.active_customers = 60
        record = rollout.finish_step(SLOW_POLLING.model_copy(update={"max_hours": 0.2}))
        assert record.verdict == verdict
        assert rollout.reads > min(reads, 8)
        assert verdict == "passed" or "the champion's features cannot be read: no answer" in record.why

    def test_run_step_customers_that_the_champion_cannot_score_waits(
        self, rollout: SimulatedRollout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        score = ModelPair.score

        def score_few(pair: ModelPair, predictions: ChallengerPredictions) -> Any:
            challenger, champion = score(pair, predictions)
            champion[MIN_ROWS - 1 :] = np.nan
            return challenger, champion

        monkeypatch.setattr(ModelPair, "score", score_few)
        rollout.active_customers = 60
        record = rollout.finish_step(SLOW_POLLING.model_copy(update={"max_hours": 0.2}))
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "9 different active customers scored by both versions, of at least 10" in record.why


class _Registry:
    """Client of a registry that does not respond while ``trouble`` returns an error."""

    def __init__(self, client: Any, trouble: Callable[[str], int | None]) -> None:
        self._client, self._trouble = client, trouble

    def __getattr__(self, name: str) -> Any:
        if (code := self._trouble(name)) is not None:
            raise MlflowException("the registry rejects it", code)
        return getattr(self._client, name)


class TestRegistryOutage:
    """Outage of nine minutes from the second minute on, far longer than task retries or a lease."""

    def away(self, rollout: SimulatedRollout) -> list[Any]:
        """Return the end of the lease before each pause."""
        client, pause, leases = rollout.client, rollout.advance, []

        def trouble(_: str) -> int | None:
            minutes = (rollout.now - NOON).total_seconds() / 60
            return INTERNAL_ERROR if 1 < minutes < 10 else None

        def noted(seconds: float) -> None:
            leases.append((rollout.now, getattr(TrafficRecord.load(client, rollout.challenger), "until", None)))
            pause(seconds)

        rollout.client = _Registry(client, trouble)
        rollout.advance = noted  # type: ignore[method-assign]
        return leases

    def test_run_step_registry_outage_waits_without_lease_and_continues(self, rollout: SimulatedRollout) -> None:
        leases = self.away(rollout)
        record = rollout.run_step(SLOW_POLLING.model_copy(update={"shadow": False, "min_requests": 300})).record
        assert (record.verdict, rollout.reachability_changes) == ("passed", [True, False])
        assert rollout.now - NOON > timedelta(minutes=10)
        assert len({until for now, until in leases if now - NOON < timedelta(minutes=9)}) == 1
        assert any(until < now for now, until in leases), "services had stopped by themselves"
        assert leases[-1][1] > leases[-1][0], "it was given again"

    def test_run_step_registry_outage_bad_champion_rolled_back_afterwards(
        self, inverted_rollout: SimulatedRollout
    ) -> None:
        """The monitoring goes on, as the rollback needs the registry."""
        self.away(inverted_rollout)
        inverted_rollout.active_customers, pause = 0, inverted_rollout.advance

        def asked_at_last(seconds: float) -> None:
            inverted_rollout.active_customers = 30 if inverted_rollout.now - NOON > timedelta(minutes=9) else 0
            pause(seconds)

        inverted_rollout.advance = asked_at_last  # type: ignore[method-assign]
        record = watch_promoted(inverted_rollout)
        assert (record.verdict, inverted_rollout.reachability_changes) == ("breached", [True]), (
            "the end of the step resolves the alert"
        )
        assert timedelta(minutes=10) <= inverted_rollout.now - NOON < timedelta(minutes=11)
        assert get_champion_version(inverted_rollout.client) == inverted_rollout.champion

    def test_run_step_unknown_version_raises(self, rollout: SimulatedRollout) -> None:
        client = rollout.client
        removed = {"get_model_version": RESOURCE_DOES_NOT_EXIST}
        rollout.client = _Registry(client, lambda name: removed.get(name) if rollout.reads == 2 else None)
        with pytest.raises(MlflowException, match="rejects it"):
            rollout.run_step(CANARY)


def find_ended_summary(rollout: SimulatedRollout) -> str:
    """Return the summary of the ended rollout in the reason of the flow."""
    found = find_next_rollout(rollout.client)
    assert isinstance(found, NoPendingRollout)
    return found.reason.partition("has had its rollout: ")[2].partition(". `--version")[0]
