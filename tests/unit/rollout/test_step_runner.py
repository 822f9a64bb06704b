"""Steps of a rollout on a real registry and a real log: passed, breached, waiting."""

from datetime import timedelta
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.alerting.outbox import list_open_alerts
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version
from holdfast.model_versions.records import RollbackRecord, RolloutRecord, TrafficRecord, parse_events
from holdfast.models.contract import MODEL_NAME
from holdfast.rollout import notifications, registry_actions
from holdfast.rollout.counters import RECENT
from holdfast.rollout.work_queue import find_work
from tests.support.registered_versions import base
from tests.support.rollout_simulator import CANARY, NOON, RULES, SELDOM, Trial, begin, promoted


class TestAGoodOne:
    def test_it_goes_from_step_to_step_to_champion(self, trial: Trial) -> None:
        found = [trial.whole_step() for _ in range(3)]
        assert [(one.step, one.share, one.verdict) for one in found] == [
            ("shadow", 0.0, "passed"),
            ("canary", 0.05, "passed"),
            ("canary", 0.25, "passed"),
        ]
        assert all(one.requests >= RULES.min_requests for one in found)
        assert found[0].figures["rank correlation"] == pytest.approx(1)
        assert found[0].figures["as registered"] < 1e-12
        work = trial.work()
        assert work.is_to_be_promoted(RULES)
        assert (
            registry_actions.promote_challenger(trial.client, trial.settings, work, "why", trial.now) == trial.champion
        )
        began = trial.now
        watched = trial.whole_step()
        assert (watched.step, watched.verdict) == ("watch", "passed")
        assert watched.when - began >= timedelta(minutes=RULES.watch_minutes)
        assert (get_champion_version(trial.client), get_challenger_version(trial.client)) == (trial.challenger, None)
        assert [verdict for *_, verdict in trial.told()] == ["begun", "passed"] * 4
        assert list_open_alerts(trial.settings) == []

    def test_the_lease_is_renewed_before_it_ends_and_not_at_every_look(self, trial: Trial) -> None:
        leases: set[Any] = set()

        def note(now: Trial) -> None:
            record = TrafficRecord.of(now.client, now.challenger)
            if record is not None:
                leases.add(record.until)
                assert record.until is not None and record.until > now.now

        trial.before_look, trial.asked = note, 0
        rules = RULES.model_copy(update={"max_hours": 0.25, "poll_seconds": 20.0})
        outcome = trial.step(rules)
        assert outcome.record.verdict == "stopped"
        assert 15 * 60 / rules.lease_seconds <= len(leases) < trial.looks / 3
        tags = trial.client.get_model_version(MODEL_NAME, trial.challenger).tags
        told = [event for event in parse_events(tags, trial.challenger) or [] if isinstance(event, TrafficRecord)]
        assert len(told) == 1, "that somebody still watches is no news"

    def test_it_is_not_judged_on_customers_whom_no_model_knows(self, trial: Trial) -> None:
        """Callers who ask about everybody ask about the inactive, too, whose scores are no reason to take it back."""
        trial.asked, trial.inactive = 60, 300
        found = trial.whole_step()
        assert (found.verdict, found.others) == ("passed", 300)
        assert 60 <= found.customers <= found.requests == 120
        assert found.figures["psi"] < 0.5
        assert f"after 120 requests about {found.customers} active customers (and 300 others, not judged)" in found.told

    def test_of_inactive_customers_alone_nothing_is_judged(self, trial: Trial) -> None:
        trial.asked, trial.inactive = 0, 300
        found = trial.whole_step(SELDOM.model_copy(update={"max_hours": 0.02}))
        assert (found.verdict, found.requests, found.others) == ("stopped", 0, 300)

    def test_another_threshold_is_no_change_of_scores(
        self, planted: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notifications, "tell", lambda *_: True)
        found = begin(*planted, threshold=0.95).whole_step()
        assert (found.verdict, found.figures["decisions"]) == ("passed", 0)


class TestABadOne:
    @pytest.mark.parametrize("rules", [RULES, CANARY], ids=["shadow", "canary"])
    def test_flipped_it_is_stopped_before_the_step_has_its_requests(self, flipped: Trial, rules: Any) -> None:
        record = flipped.whole_step(rules.model_copy(update={"min_requests": 10_000}))
        assert (record.verdict, flipped.looks) == ("breached", 3)
        assert record.figures["rank correlation"] < -0.9
        assert "rank correlation" in record.why
        assert flipped.serves() == (flipped.champion, None, None)
        assert get_challenger_version(flipped.client) is None
        (alert,) = list_open_alerts(flipped.settings)
        assert alert.severity == ("warning" if rules is RULES else "critical")
        assert record.why in alert.text
        assert alert.key == f"holdfast.rollout.rolled_back:version {flipped.challenger}"

    def test_as_champion_it_is_rolled_back(self, flipped: Trial) -> None:
        record = promoted(flipped)
        assert (record.step, record.verdict) == ("watch", "breached")
        assert get_champion_version(flipped.client) == flipped.champion
        back = RollbackRecord.of(flipped.client, flipped.challenger)
        assert back is not None and (back.to, back.who, back.why) == (flipped.champion, "rollout", record.why)

    @pytest.mark.parametrize("failure", ["failures", "failed"])
    def test_errors_end_it_at_once(self, trial: Trial, failure: str) -> None:
        def fail(now: Trial) -> None:
            if now.looks == 4:
                now.counters[{"failures": f"failures:{now.challenger}"}.get(failure, failure)] = 5.0

        trial.before_look = fail
        record = trial.whole_step(CANARY.model_copy(update={"min_requests": 10_000}))
        assert (record.verdict, trial.looks) == ("breached", 4)
        assert get_challenger_version(trial.client) is None

    def test_slow_answers_end_it(self, trial: Trial) -> None:
        def slow(now: Trial) -> None:
            for version, quick in ((now.champion, 99.0), (now.challenger, 50.0)):
                counts = {"0.01": quick, "0.1": quick, "1.0": 100.0, "inf": 100.0}
                now.counters |= {f"seconds:{version}:{le}": count * now.looks for le, count in counts.items()}

        trial.before_look = slow
        record = trial.whole_step(CANARY)
        assert record.verdict == "breached"
        assert "too slow" in record.why

    def test_what_it_says_must_be_what_the_registered_model_says(self, trial: Trial) -> None:
        trial.shift = 1e-6
        record = trial.whole_step()
        assert record.verdict == "breached"
        assert "what the registered model says" in record.why

    def test_one_that_services_refuse_is_taken_back(self, trial: Trial) -> None:
        trial.serves = lambda: (trial.champion, None, None)  # type: ignore[method-assign]
        trial.refused = frozenset({trial.challenger})
        record = trial.whole_step()
        assert (record.verdict, record.requests) == ("breached", 0)
        assert "refuses to try it out" in record.why
        assert trial.now - NOON < timedelta(minutes=2)

    @pytest.mark.parametrize("trouble", ["unavailable", "another"])
    def test_one_that_services_cannot_have_now_is_waited_for(self, trial: Trial, trouble: str) -> None:
        """The store of files is away for two minutes, or it is another version that is not as it should be."""
        serves = trial.serves

        def heal(now: Trial) -> None:
            is_away = now.now - NOON < timedelta(minutes=2)
            now.serves = (lambda: (now.champion, None, None)) if is_away else serves  # type: ignore[method-assign]
            now.unavailable = frozenset({now.challenger} if is_away and trouble == "unavailable" else ())
            now.refused = frozenset({"99"} if trouble == "another" else ())

        trial.before_look, trial.asked = heal, 60
        record = trial.whole_step(SELDOM)
        assert record.verdict == "passed"
        assert trial.now - NOON >= timedelta(minutes=2)

    def test_one_that_services_never_get_is_held_and_stays_the_challenger(self, trial: Trial) -> None:
        trial.serves = lambda: (trial.champion, None, None)  # type: ignore[method-assign]
        trial.unavailable = frozenset({trial.challenger})
        record = trial.whole_step(SELDOM.model_copy(update={"max_hours": 0.1}))
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "the service cannot download it" in record.why
        assert get_challenger_version(trial.client) == trial.challenger

    def test_on_a_slow_machine_it_is_still_seen_within_the_minute(self, flipped: Trial) -> None:
        """Reading the log takes eight seconds, of which a tenth of the time would be a rest of more than a minute."""
        flipped.asked = 12

        def slow(now: Trial) -> None:
            now.now += timedelta(seconds=8)

        flipped.before_look = slow
        assert flipped.whole_step(CANARY.model_copy(update={"min_requests": 10_000})).verdict == "breached"
        assert flipped.now - NOON < timedelta(minutes=1)

    def test_scores_that_are_no_numbers_end_it(self, trial: Trial) -> None:
        trial.shift = float("nan")
        record = trial.whole_step()
        assert record.verdict == "breached"
        assert "what the registered model says of the same inputs is nan" in record.why
        assert RolloutRecord.of(trial.client, trial.challenger) == record, "it can be read back"
        assert "there is nothing to roll out" in str(find_work(trial.client)), "and the next rollout is not in its way"

    def test_where_the_clocks_are_apart_it_is_not_begun(self, trial: Trial) -> None:
        trial.ahead_seconds = -45
        record = trial.whole_step()
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "the clock of the service is 45 s behind this machine's" in record.why
        assert trial.serves() == (trial.champion, None, None)

    def test_of_other_definitions_it_is_not_begun(self, planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notifications, "tell", lambda *_: True)
        trial = begin(*planted, fingerprint=base().fingerprint | {"on_demand": "other"})
        record = trial.whole_step()
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "One service cannot serve both" in record.why
        assert [alert.severity for alert in list_open_alerts(trial.settings)] == ["warning"]


class TestWaits:
    def test_without_requests_it_ends_without_a_promotion(self, trial: Trial) -> None:
        trial.asked = 0
        record = trial.whole_step(SELDOM.model_copy(update={"max_hours": 0.2}))
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "no verdict within 0.2 hours: 0 of 100 requests about active customers" in record.why
        assert trial.serves() == (trial.champion, None, None)
        assert get_challenger_version(trial.client) == trial.challenger, "it has passed its gates all the same"
        (alert,) = list_open_alerts(trial.settings)
        assert (alert.key, alert.severity) == (f"holdfast.rollout.held:version {trial.challenger}", "warning")
        assert find_told(trial) == record.told

    def test_a_service_that_is_silent_is_alerted_once_and_nobody_holds_the_lease(self, trial: Trial) -> None:
        def silent(now: Trial) -> None:
            now.answers = now.looks == 1 or now.looks > 15
            now.asked = 60 if now.looks > 15 else 0

        trial.before_look = silent
        record = trial.whole_step(SELDOM)
        assert record.verdict == "passed"
        assert trial.silences == [True, False]

    def test_the_lease_ends_while_the_service_is_silent(self, trial: Trial) -> None:
        trial.answers, trial.asked = False, 0
        trial.step(SELDOM.model_copy(update={"max_hours": 0.2}))
        record = TrafficRecord.of(trial.client, trial.challenger)
        assert record is not None and record.until is not None and record.until < trial.now - timedelta(minutes=5)

    def test_what_the_log_does_not_hold_is_not_watched_and_ends(self, trial: Trial) -> None:
        """The service scores a bad canary and says so, but its log is written elsewhere."""
        trial.asked, leases = 0, set()

        def scores(now: Trial) -> None:
            now.counters[f"scored:{now.challenger}:canary"] = 20.0 * now.looks
            leases.add(TrafficRecord.of(now.client, now.challenger))

        trial.before_look = scores
        record = trial.whole_step(CANARY)
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "the prediction log holds none" in record.why
        assert trial.now - NOON < timedelta(minutes=CANARY.unreachable_minutes + 1)
        assert len(leases - {None}) == 1, "it was never renewed"
        assert trial.serves() == (trial.champion, None, None)

    def test_a_service_that_is_started_again_in_the_watch_is_no_breach(self, trial: Trial) -> None:
        """Three of a hundred failed, which is chance; three of the ten beyond the old process's counters is not."""
        trial.counters["answered"] = 50.0

        def again(now: Trial) -> None:
            if now.looks == 3:
                now.counters |= {"answered": 0.0}
            now.counters["failed"] = 3.0 * (now.looks >= 5)

        trial.before_look = again
        record = promoted(trial)
        assert (record.verdict, record.base, record.carried) == ("passed", {}, {})
        assert record.figures["errors"] < 0.01

    def test_a_log_that_is_a_moment_late_is_no_trouble(self, trial: Trial) -> None:
        def scores(now: Trial) -> None:
            now.counters[f"scored:{now.challenger}:canary"] = 30.0 * now.looks + 500

        trial.before_look = scores
        assert trial.whole_step(CANARY).verdict == "passed"

    def test_open_skew_is_nobodys_fault_and_waited_for(self, trial: Trial) -> None:
        def heal(now: Trial) -> None:
            now.skew = None if now.looks > 8 else "the features served differ"

        trial.before_look, trial.asked = heal, 60
        record = trial.whole_step(SELDOM)
        assert record.verdict == "passed"
        assert trial.looks > 8

    @pytest.mark.parametrize("away", [2, 15])
    def test_a_store_that_was_away_is_nobodys_fault_and_waited_for(self, trial: Trial, away: float) -> None:
        """Callers ask as often as before: the step passes a few minutes after the outage, however long that was."""
        rules, per_look = SELDOM.model_copy(update={"max_hours": 1}), 60
        ends = NOON + timedelta(minutes=away)

        def heal(now: Trial) -> None:
            now.asked = per_look if now.now >= ends else 0
            if 0 < (now.now - NOON).total_seconds() < away * 60:
                now.counters["unavailable"] += per_look
                now.counters["answered"] += per_look

        trial.before_look = heal
        record = trial.whole_step(rules)
        assert record.verdict == "passed"
        assert timedelta() < trial.now - ends <= RECENT + timedelta(seconds=rules.poll_seconds)

    def test_while_the_store_is_away_no_step_passes(self, trial: Trial) -> None:
        def fall(now: Trial) -> None:
            now.counters["unavailable"] += 30

        trial.before_look, trial.asked = fall, 60
        record = trial.whole_step(SELDOM.model_copy(update={"max_hours": 0.2}))
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "got 503: the service is not well" in record.why


def find_told(trial: Trial) -> str:
    """How the flow says that there is nothing to do."""
    found = find_work(trial.client)
    assert isinstance(found, str)
    return found.partition("has had its rollout: ")[2].partition(". `--version")[0]
