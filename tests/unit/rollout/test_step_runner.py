"""Tests of rollout steps on a real registry and a real log: passed, breached, and resumed after a kill."""

from datetime import timedelta
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.alerting.outbox import list_open_alerts
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version
from holdfast.model_versions.records import (
    RollbackRecord,
    RolloutRecord,
    TrafficRecord,
    parse_events,
)
from holdfast.models.contract import MODEL_NAME
from holdfast.rollout import notifications, registry_actions
from holdfast.rollout.notifications import finish_step
from holdfast.rollout.rollout_selection import find_next_rollout
from holdfast.rollout.step_runner import run_step
from tests.support.registered_versions import base_shop
from tests.support.rollout_simulator import (
    CANARY,
    NOON,
    RULES,
    SLOW_POLLING,
    SimulatedRollout,
    start_rollout,
    watch_promoted,
)


class TestGoodChallenger:
    def test_run_step_good_challenger_passes_all_steps(self, rollout: SimulatedRollout) -> None:
        found = [rollout.finish_step() for _ in range(3)]
        assert [(one.step, one.share, one.verdict) for one in found] == [
            ("shadow", 0.0, "passed"),
            ("canary", 0.05, "passed"),
            ("canary", 0.25, "passed"),
        ]
        assert all(one.requests >= RULES.min_requests for one in found)
        assert found[0].guardrail_values["rank correlation"] == pytest.approx(1)
        assert found[0].guardrail_values["as registered"] < 1e-12
        pending = rollout.pending_rollout()
        assert pending.is_ready_for_promotion
        assert (
            registry_actions.promote_challenger(rollout.client, rollout.settings, pending, "why", rollout.now)
            == rollout.champion
        )
        began = rollout.now
        watched = rollout.finish_step()
        assert (watched.step, watched.verdict) == ("watch", "passed")
        assert watched.when - began >= timedelta(minutes=RULES.watch_minutes)
        assert (get_champion_version(rollout.client), get_challenger_version(rollout.client)) == (
            rollout.challenger,
            None,
        )
        assert [verdict for *_, verdict in rollout.list_recorded_steps()] == ["begun", "passed"] * 4
        assert list_open_alerts(rollout.settings) == []

    def test_run_step_long_step_renews_lease_before_end_not_at_each_poll(self, rollout: SimulatedRollout) -> None:
        leases: set[Any] = set()

        def note(now: SimulatedRollout) -> None:
            record = TrafficRecord.load(now.client, now.challenger)
            if record is not None:
                leases.add(record.until)
                assert record.until is not None and record.until > now.now

        rollout.before_read, rollout.active_customers = note, 0
        rules = RULES.model_copy(update={"max_hours": 0.25, "poll_seconds": 20.0})
        outcome = rollout.run_step(rules)
        assert outcome.record.verdict == "stopped"
        assert 15 * 60 / rules.lease_seconds <= len(leases) < rollout.reads / 3
        tags = rollout.client.get_model_version(MODEL_NAME, rollout.challenger).tags
        events = [event for event in parse_events(tags, rollout.challenger) or [] if isinstance(event, TrafficRecord)]
        assert len(events) == 1, "a renewed lease is no event"

    def test_run_step_inactive_customers_not_evaluated(self, rollout: SimulatedRollout) -> None:
        """Callers that score all customers include inactive ones, whose scores are no breach."""
        rollout.active_customers, rollout.inactive_customers = 60, 300
        found = rollout.finish_step()
        assert (found.verdict, found.inactive_customers) == ("passed", 300)
        assert 60 <= found.customers <= found.requests == 120
        assert found.guardrail_values["psi"] < 0.5
        assert (
            f"after 120 requests about {found.customers} active customers (and 300 inactive, not evaluated)"
            in found.summary
        )

    def test_run_step_only_inactive_customers_stops(self, rollout: SimulatedRollout) -> None:
        rollout.active_customers, rollout.inactive_customers = 0, 300
        found = rollout.finish_step(SLOW_POLLING.model_copy(update={"max_hours": 0.02}))
        assert (found.verdict, found.requests, found.inactive_customers) == ("stopped", 0, 300)

    def test_run_step_other_threshold_no_breach(
        self, registry_shop: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notifications, "emit_event", lambda *_: True)
        found = start_rollout(*registry_shop, threshold=0.95).finish_step()
        assert (found.verdict, found.guardrail_values["decisions"]) == ("passed", 0)


class TestBadChallenger:
    @pytest.mark.parametrize("rules", [RULES, CANARY], ids=["shadow", "canary"])
    def test_run_step_inverted_scores_breach_before_min_requests(
        self, inverted_rollout: SimulatedRollout, rules: Any
    ) -> None:
        record = inverted_rollout.finish_step(rules.model_copy(update={"min_requests": 10_000}))
        assert (record.verdict, inverted_rollout.reads) == ("breached", 3)
        assert record.guardrail_values["rank correlation"] < -0.9
        assert "rank correlation" in record.why
        assert inverted_rollout.find_served_versions() == (inverted_rollout.champion, None, None)
        assert get_challenger_version(inverted_rollout.client) is None
        (alert,) = list_open_alerts(inverted_rollout.settings)
        assert alert.severity == ("warning" if rules is RULES else "critical")
        assert record.why in alert.text
        assert alert.key == f"holdfast.rollout.rolled_back:version {inverted_rollout.challenger}"

    def test_run_step_inverted_champion_rolled_back(self, inverted_rollout: SimulatedRollout) -> None:
        record = watch_promoted(inverted_rollout)
        assert (record.step, record.verdict) == ("watch", "breached")
        assert get_champion_version(inverted_rollout.client) == inverted_rollout.champion
        back = RollbackRecord.load(inverted_rollout.client, inverted_rollout.challenger)
        assert back is not None and (back.to, back.who, back.why) == (inverted_rollout.champion, "rollout", record.why)

    @pytest.mark.parametrize("failure", ["failures", "failed"])
    def test_run_step_errors_breach_at_once(self, rollout: SimulatedRollout, failure: str) -> None:
        def fail(now: SimulatedRollout) -> None:
            if now.reads == 4:
                now.counters[{"failures": f"failures:{now.challenger}"}.get(failure, failure)] = 5.0

        rollout.before_read = fail
        record = rollout.finish_step(CANARY.model_copy(update={"min_requests": 10_000}))
        assert (record.verdict, rollout.reads) == ("breached", 4)
        assert get_challenger_version(rollout.client) is None

    def test_run_step_slow_responses_breach(self, rollout: SimulatedRollout) -> None:
        def slow(now: SimulatedRollout) -> None:
            for version, quick in ((now.champion, 99.0), (now.challenger, 50.0)):
                counts = {"0.01": quick, "0.1": quick, "1.0": 100.0, "inf": 100.0}
                now.counters |= {f"seconds:{version}:{le}": count * now.reads for le, count in counts.items()}

        rollout.before_read = slow
        record = rollout.finish_step(CANARY)
        assert record.verdict == "breached"
        assert "too slow" in record.why

    def test_run_step_scores_unlike_registered_model_breach(self, rollout: SimulatedRollout) -> None:
        rollout.shift = 1e-6
        record = rollout.finish_step()
        assert record.verdict == "breached"
        assert "difference from the registered model's scores" in record.why

    def test_run_step_refused_version_breaches(self, rollout: SimulatedRollout) -> None:
        rollout.find_served_versions = lambda: (rollout.champion, None, None)  # type: ignore[method-assign]
        rollout.refused = frozenset({rollout.challenger})
        record = rollout.finish_step()
        assert (record.verdict, record.requests) == ("breached", 0)
        assert "refuses to serve it as challenger" in record.why
        assert rollout.now - NOON < timedelta(minutes=2)

    @pytest.mark.parametrize("trouble", ["unavailable", "another"])
    def test_run_step_unavailable_version_waits(self, rollout: SimulatedRollout, trouble: str) -> None:
        """The artifact store is unavailable for two minutes, or another version is refused."""
        serves = rollout.find_served_versions

        def heal(now: SimulatedRollout) -> None:
            is_away = now.now - NOON < timedelta(minutes=2)
            now.find_served_versions = (lambda: (now.champion, None, None)) if is_away else serves  # type: ignore[method-assign]
            now.unavailable = frozenset({now.challenger} if is_away and trouble == "unavailable" else ())
            now.refused = frozenset({"99"} if trouble == "another" else ())

        rollout.before_read, rollout.active_customers = heal, 60
        record = rollout.finish_step(SLOW_POLLING)
        assert record.verdict == "passed"
        assert rollout.now - NOON >= timedelta(minutes=2)

    def test_run_step_permanently_unavailable_version_stops_and_stays_challenger(
        self, rollout: SimulatedRollout
    ) -> None:
        rollout.find_served_versions = lambda: (rollout.champion, None, None)  # type: ignore[method-assign]
        rollout.unavailable = frozenset({rollout.challenger})
        record = rollout.finish_step(SLOW_POLLING.model_copy(update={"max_hours": 0.1}))
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "the service cannot download it" in record.why
        assert get_challenger_version(rollout.client) == rollout.challenger

    def test_run_step_slow_machine_breach_found_within_minute(self, inverted_rollout: SimulatedRollout) -> None:
        """Reading the log takes eight seconds; ten times as much rest would be more than a minute."""
        inverted_rollout.active_customers = 12

        def slow(now: SimulatedRollout) -> None:
            now.now += timedelta(seconds=8)

        inverted_rollout.before_read = slow
        assert inverted_rollout.finish_step(CANARY.model_copy(update={"min_requests": 10_000})).verdict == "breached"
        assert inverted_rollout.now - NOON < timedelta(minutes=1)

    def test_run_step_nan_scores_breach(self, rollout: SimulatedRollout) -> None:
        rollout.shift = float("nan")
        record = rollout.finish_step()
        assert record.verdict == "breached"
        assert "the registered model's scores of the same inputs is inf" in record.why
        assert RolloutRecord.load(rollout.client, rollout.challenger) == record, "it can be read back"
        assert "there is nothing to roll out" in str(find_next_rollout(rollout.client)), (
            "and the next rollout is not in its way"
        )

    def test_run_step_clock_difference_not_begun(self, rollout: SimulatedRollout) -> None:
        rollout.clock_ahead_seconds = -45
        record = rollout.finish_step()
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "the clock of the service is 45 s behind this machine's" in record.why
        assert rollout.find_served_versions() == (rollout.champion, None, None)

    def test_run_step_other_definitions_not_begun(self, registry_shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notifications, "emit_event", lambda *_: True)
        rollout = start_rollout(*registry_shop, fingerprint=base_shop().fingerprint | {"on_demand": "other"})
        record = rollout.finish_step()
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "which a service cannot serve now" in record.why
        assert [alert.severity for alert in list_open_alerts(rollout.settings)] == ["warning"]


class _KilledError(BaseException):
    pass


class TestKilled:
    def test_run_step_killed_in_step_resumes_with_same_start(self, rollout: SimulatedRollout) -> None:
        def die(now: SimulatedRollout) -> None:
            if now.reads == 3:
                raise _KilledError

        rollout.before_read = die
        with pytest.raises(_KilledError):
            rollout.run_step(CANARY)
        began = RolloutRecord.load(rollout.client, rollout.challenger)
        assert began is not None and began.verdict == "begun"
        rollout.now += timedelta(hours=2)
        assert rollout.find_served_versions() == (rollout.champion, None, None), "the lease has ended"
        record = rollout.finish_step()  # by the rules it was begun with, whatever those of this run are
        assert (record.step, record.share, record.verdict) == ("canary", 0.05, "passed")
        assert record.started_at == began.started_at
        assert rollout.list_recorded_steps() == [("canary", 0.05, "begun"), ("canary", 0.05, "passed")]

    def test_run_step_retry_of_same_run_keeps_recorded_end(
        self, inverted_rollout: SimulatedRollout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After an outage between verdict and rollback the bad canary does not begin again."""
        inverted_rollout.flow_run = "run-1"
        pending = inverted_rollout.pending_rollout(CANARY)
        outcome = run_step(inverted_rollout.client, inverted_rollout.settings, pending, inverted_rollout.dependencies)
        assert outcome.record.verdict == "breached"
        outcome.record.write_tag(inverted_rollout.client, inverted_rollout.challenger)
        looks = inverted_rollout.reads
        again = run_step(inverted_rollout.client, inverted_rollout.settings, pending, inverted_rollout.dependencies)
        assert (again.record, inverted_rollout.reads) == (outcome.record, looks)

    def test_run_step_retry_of_same_run_keeps_start(self, rollout: SimulatedRollout) -> None:
        rollout.flow_run = "run-1"
        pending = rollout.pending_rollout(CANARY)

        def die(now: SimulatedRollout) -> None:
            if now.reads == 3:
                raise _KilledError

        rollout.before_read = die
        with pytest.raises(_KilledError):
            run_step(rollout.client, rollout.settings, pending, rollout.dependencies)
        rollout.now += timedelta(minutes=5)
        assert run_step(rollout.client, rollout.settings, pending, rollout.dependencies).record.started_at == NOON

    @pytest.mark.parametrize("at", ["rollback_step", "add_alert", "emit_event"])
    @pytest.mark.parametrize("step", ["canary", "watch"])
    def test_finish_step_killed_at_end_completed_by_next_run(
        self, inverted_rollout: SimulatedRollout, at: str, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: Any) -> Any:
            raise _KilledError

        with monkeypatch.context() as patch, pytest.raises(_KilledError):
            patch.setattr(notifications, at, die)
            _ = watch_promoted(inverted_rollout) if step == "watch" else inverted_rollout.finish_step(CANARY)
        pending = inverted_rollout.pending_rollout()
        assert pending.record is not None and not pending.record.is_open
        for _ in range(2):
            finish_step(
                inverted_rollout.client,
                inverted_rollout.settings,
                inverted_rollout.challenger,
                pending.record,
                inverted_rollout.now,
            )
        assert inverted_rollout.find_served_versions() == (inverted_rollout.champion, None, None)
        assert get_challenger_version(inverted_rollout.client) is None
        assert [verdict for *_, verdict in inverted_rollout.list_recorded_steps()].count("breached") == 1
        assert [alert.severity for alert in list_open_alerts(inverted_rollout.settings)] == ["critical"]
        back = RollbackRecord.load(inverted_rollout.client, inverted_rollout.challenger)
        assert (back is not None and back.times == 1) == (step == "watch")
