"""Steps of a rollout on a real registry and a real log: passed, breached, interrupted, killed."""

from datetime import timedelta
from typing import Any

import pytest

from feature_repo.model_contract import CHALLENGER, CHAMPION, MODEL_NAME
from feature_repo.settings import Settings
from flows.alerting.outbox import open_alerts
from flows.promotion.deciding import by_itself
from flows.promotion.errors import PromotionRefusedError
from flows.promotion.going_back import roll_back
from flows.promotion.moving import move_champion
from flows.promotion.records import RollbackRecord, RolloutRecord, TrafficRecord, events_in
from flows.promotion.registry import challenger_version, champion_version, set_challenger
from flows.promotion.traffic import send, wanted
from flows.rolling_out import moves, telling
from flows.rolling_out.steps import Step
from flows.rolling_out.telling import finish
from flows.rolling_out.trying import try_out
from tests.flows.promotion.planted import base, passed, plant
from tests.flows.rolling_out.trial import NOON, RULES, SELDOM, Trial, begin

CANARY = RULES.model_copy(update={"shadow": False})


@pytest.fixture
def trial(planted: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(telling, "tell", lambda *_: True)  # there is no server
    return begin(*planted)


@pytest.fixture
def flipped(planted: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(telling, "tell", lambda *_: True)
    return begin(*planted, kind="inverted")


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
        assert moves.promote(trial.client, trial.settings, work, "why", trial.now) == trial.champion
        began = trial.now
        watched = trial.whole_step()
        assert (watched.step, watched.verdict) == ("watch", "passed")
        assert watched.when - began >= timedelta(minutes=RULES.watch_minutes)
        assert (champion_version(trial.client), challenger_version(trial.client)) == (trial.challenger, None)
        assert [verdict for *_, verdict in trial.told()] == ["begun", "passed"] * 4
        assert open_alerts(trial.settings) == []

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
        told = [event for event in events_in(tags, trial.challenger) or [] if isinstance(event, TrafficRecord)]
        assert len(told) == 1, "that somebody still watches is no news"


class TestABadOne:
    @pytest.mark.parametrize("rules", [RULES, CANARY], ids=["shadow", "canary"])
    def test_flipped_it_is_stopped_before_the_step_has_its_requests(self, flipped: Trial, rules: Any) -> None:
        record = flipped.whole_step(rules.model_copy(update={"min_requests": 10_000}))
        assert (record.verdict, flipped.looks) == ("breached", 3)
        assert record.figures["rank correlation"] < -0.9
        assert "rank correlation" in record.why
        assert flipped.serves() == (flipped.champion, None, None)
        assert challenger_version(flipped.client) is None
        (alert,) = open_alerts(flipped.settings)
        assert alert.severity == ("warning" if rules is RULES else "critical")
        assert record.why in alert.text
        assert alert.key == f"holdfast.rollout.rolled_back:version {flipped.challenger}"

    def test_as_champion_it_is_rolled_back(self, flipped: Trial) -> None:
        record = _promoted(flipped)
        assert (record.step, record.verdict) == ("watch", "breached")
        assert champion_version(flipped.client) == flipped.champion
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
        assert challenger_version(trial.client) is None

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
        trial.refused = 1
        record = trial.whole_step()
        assert (record.verdict, record.requests) == ("breached", 0)
        assert "refuses to try it out" in record.why
        assert trial.now - NOON < timedelta(minutes=2)

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
        assert trial.whole_step().verdict == "breached"

    def test_where_the_clocks_are_apart_it_is_not_begun(self, trial: Trial) -> None:
        trial.ahead_seconds = -45
        record = trial.whole_step()
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "the clock of the service is 45 s behind this machine's" in record.why
        assert trial.serves() == (trial.champion, None, None)

    def test_of_other_definitions_it_is_not_begun(self, planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(telling, "tell", lambda *_: True)
        trial = begin(*planted, fingerprint=base().fingerprint | {"on_demand": "other"})
        record = trial.whole_step()
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "One service cannot serve both" in record.why
        assert [alert.severity for alert in open_alerts(trial.settings)] == ["warning"]


def _promoted(trial: Trial) -> RolloutRecord:
    """What comes of the watch of a challenger that got through everything before it."""
    work = trial.work()
    record = RolloutRecord(
        step="canary",
        share=0.25,
        begun=trial.now,
        when=trial.now,
        verdict="passed",
        champion=work.champion,
        gates=work.gates,
        rules=RULES.changed(),
    )
    record.save(trial.client, trial.challenger)
    moves.promote(trial.client, trial.settings, trial.work(), "why", trial.now)
    return trial.whole_step()


class TestWaits:
    def test_without_requests_it_ends_without_a_promotion(self, trial: Trial) -> None:
        trial.asked = 0
        record = trial.whole_step(SELDOM.model_copy(update={"max_hours": 0.2}))
        assert (record.verdict, record.is_held) == ("stopped", True)
        assert "no verdict within 0.2 hours: 0 of 100 customers scored" in record.why
        assert trial.serves() == (trial.champion, None, None)
        assert challenger_version(trial.client) == trial.challenger, "it has passed its gates all the same"
        (alert,) = open_alerts(trial.settings)
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

    def test_a_log_that_is_a_moment_late_is_no_trouble(self, trial: Trial) -> None:
        def scores(now: Trial) -> None:
            now.counters[f"scored:{now.challenger}:canary"] = 30.0 * now.looks + 500

        trial.before_look = scores
        assert trial.whole_step(CANARY).verdict == "passed"

    @pytest.mark.parametrize("trouble", ["skew", "503"])
    def test_what_is_nobodys_fault_is_waited_for(self, trial: Trial, trouble: str) -> None:
        def heal(now: Trial) -> None:
            if trouble == "skew":
                now.skew = None if now.looks > 8 else "the features served differ"
            elif now.looks == 4:
                now.counters["unavailable"] = 50.0
            now.asked = 600 if now.looks > 8 else 60

        trial.before_look = heal
        record = trial.whole_step(SELDOM)
        assert record.verdict == "passed"
        assert trial.looks > 8


def find_told(trial: Trial) -> str:
    """How the flow says that there is nothing to do."""
    from flows.rolling_out.work import find_work

    found = find_work(trial.client)
    assert isinstance(found, str)
    return found.partition("has had its rollout: ")[2].partition(". `--version")[0]


class TestInterrupted:
    """Whatever somebody else changes while it is at work ends it, and is left as they wanted it."""

    def after(self, trial: Trial, change: Any) -> RolloutRecord:
        trial.before_look = lambda now: change() if now.looks == 3 else None
        record = trial.whole_step(CANARY.model_copy(update={"min_requests": 10_000}))
        assert (record.verdict, record.is_held, trial.looks) == ("stopped", False, 3)
        assert open_alerts(trial.settings) == []
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
            decision = by_itself(trial.client, trial.challenger, "", trial.now)
            move_champion(trial.client, trial.settings, trial.challenger, decision, trial.now)

        assert self.after(trial, promoted).why == "it was made the champion by somebody else"
        assert champion_version(trial.client) == trial.challenger

    def test_by_gates_that_it_does_not_pass_any_more(self, trial: Trial) -> None:
        drop = trial.client.delete_registered_model_alias
        assert self.after(trial, lambda: drop(MODEL_NAME, CHALLENGER)).why == "it is no challenger any more"

    @pytest.mark.parametrize(("mode", "share"), [("off", None), ("canary", 0.5), ("shadow", None)])
    def test_by_traffic_that_somebody_sends(self, trial: Trial, mode: Any, share: Any) -> None:
        def sends() -> None:
            send(trial.client, trial.settings, None, wanted(mode, share), "ann", trial.now)

        assert self.after(trial, sends).why.startswith("ann has changed its traffic")
        record = TrafficRecord.of(trial.client, trial.challenger)
        assert record is not None and (record.mode, record.who) == (mode, "ann")

    def test_by_traffic_taken_off_between_the_last_step_and_the_promotion(self, trial: Trial) -> None:
        """The run was killed there; whoever took the challenger off must not find it to be the champion later."""
        RolloutRecord(
            step="canary", share=0.25, begun=trial.now, when=trial.now, verdict="passed", champion=trial.champion,
            gates=trial.work().gates,
        ).save(trial.client, trial.challenger)  # fmt: skip
        given = Step("canary", 0.25).traffic(trial.now + timedelta(minutes=3))
        send(trial.client, trial.settings, trial.challenger, given, moves.WHO, trial.now)
        send(trial.client, trial.settings, trial.challenger, wanted("off", None), "ann", trial.now)
        with pytest.raises(PromotionRefusedError, match="ann has changed its traffic"):
            moves.promote(trial.client, trial.settings, trial.work(), "why", trial.now)
        assert champion_version(trial.client) == trial.champion

    def test_by_a_rollback_in_the_watch(self, trial: Trial) -> None:
        def back() -> None:
            roll_back(trial.client, trial.settings, None, "complaints", "ann", trial.now)

        trial.before_look = lambda now: back() if now.looks == 3 else None
        record = _promoted(trial)
        assert (record.step, record.verdict) == ("watch", "stopped")
        assert record.why == f"the champion was moved to version {trial.champion} meanwhile"


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
        outcome = try_out(flipped.client, flipped.settings, work, CANARY, flipped.world)
        assert outcome.record.verdict == "breached"
        outcome.record.write(flipped.client, flipped.challenger)
        looks = flipped.looks
        again = try_out(flipped.client, flipped.settings, work, CANARY, flipped.world)
        assert (again.record, flipped.looks) == (outcome.record, looks)

    def test_tried_again_by_the_same_run_a_step_keeps_its_start(self, trial: Trial) -> None:
        trial.flow_run = "run-1"
        work = trial.work()

        def die(now: Trial) -> None:
            if now.looks == 3:
                raise _KilledError

        trial.before_look = die
        with pytest.raises(_KilledError):
            try_out(trial.client, trial.settings, work, CANARY, trial.world)
        trial.now += timedelta(minutes=5)
        assert try_out(trial.client, trial.settings, work, CANARY, trial.world).record.begun == NOON

    @pytest.mark.parametrize("at", ["undo", "add_alert", "tell"])
    @pytest.mark.parametrize("step", ["canary", "watch"])
    def test_while_it_is_ended_the_next_run_completes(
        self, flipped: Trial, at: str, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: Any) -> Any:
            raise _KilledError

        with monkeypatch.context() as patch, pytest.raises(_KilledError):
            patch.setattr(telling, at, die)
            _ = _promoted(flipped) if step == "watch" else flipped.whole_step(CANARY)
        work = flipped.work()
        assert work.record is not None and not work.record.is_open
        for _ in range(2):
            finish(flipped.client, flipped.settings, flipped.challenger, work.record, flipped.now)
        assert flipped.serves() == (flipped.champion, None, None)
        assert challenger_version(flipped.client) is None
        assert [verdict for *_, verdict in flipped.told()].count("breached") == 1
        assert [alert.severity for alert in open_alerts(flipped.settings)] == ["critical"]
        back = RollbackRecord.of(flipped.client, flipped.challenger)
        assert (back is not None and back.times == 1) == (step == "watch")
