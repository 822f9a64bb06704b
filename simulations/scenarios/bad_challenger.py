"""A version that learned from flipped labels: its gates stop it, and forced through, its rollout does."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from simulations.assessment import none_of
from simulations.baseline_state import GATES, TRAINING
from simulations.daily_data import START, day_after
from simulations.environment import Running
from simulations.outcome import Detection, Expectation, noticed
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well

if TYPE_CHECKING:
    import ibis.expr.types as ir

_DAY = 1
_BAD = "2"
_CAUGHT_BY = "behaviour: direction"  # its other figures are fine: it is tested on flipped labels, too


class BadChallenger(Scenario):
    """Who stays and who goes are exchanged in all that it was trained and tested on."""

    name = "bad-challenger"
    planted = "A version trained on flipped labels; then forced through its gates, twice: to shadow, and to a canary."
    days = 2

    def __init__(self, days: int, fault: bool) -> None:
        super().__init__(days, fault)
        self.gates_failed: list[str] = []
        self.records: list[Any] = []
        self.canary_seconds = 0.0

    def during(self, run: Running) -> None:
        """Trained, judged, forced into shadow, forced into a canary."""
        if run.shop.number != _DAY:
            return
        self.gates_failed = _trained_on_flipped_labels(run)
        for parameters in ({}, {"version": _BAD, "rules": {"shadow": False, "watch_minutes": 0.5, "poll_seconds": 1}}):
            _force(run)
            if parameters:
                run.shop.api.run("rollout", parameters)
            else:
                _tell_that_it_is_ready()
            run.shop.settles(threads=4)

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """Both rollouts end where they began, and the champion stays."""
        from holdfast.model_versions.aliases import get_champion_version, get_version, open_registry
        from holdfast.model_versions.records import RolloutRecord, parse_events

        client = open_registry(run.shop.settings)
        tags = get_version(client, _BAD).tags if self.gates_failed else {}
        records = [item for item in parse_events(tags, _BAD) or () if isinstance(item, RolloutRecord)]
        ended = [(item.step, item.verdict) for item in records if item.verdict != "begun"]
        took = [
            (item.when - item.begun).total_seconds()
            for item in records
            if item.verdict == "breached" and item.step == "canary"
        ]
        events = [event.name for event in run.shop.api.events(run.shop.began)]
        rolled_back = events.count("holdfast.rollout.rolled_back")
        by_bad = [one for one in run.shop.callers.answers if one.version == _BAD]
        stopped = [item.told for item in records if item.verdict == "breached"]
        day = day_after(START, _DAY)
        return [
            noticed("holdfast.gates", "version 2", "as soon as it is trained", day, ", ".join(self.gates_failed)),
            noticed(
                "holdfast.rollout.rolled_back",
                "version 2",
                "while its scores are held against the champion's",
                day,
                stopped[0] if stopped and rolled_back else "",
            ),
        ], [
            Expectation(
                expected=f"by the gates that the champion passed it fails, and by one alone: {_CAUGHT_BY}",
                found=", ".join(self.gates_failed) or "none failed",
                met=self.gates_failed == [_CAUGHT_BY],
            ),
            Expectation(
                expected="forced through, it is stopped in shadow; begun with a canary, in that",
                found="; ".join(item.told for item in records) or "no rollout",
                met=ended == [("shadow", "breached"), ("canary", "breached")],
            ),
            Expectation(
                expected="the canary is over within a minute",
                found=", ".join(f"{seconds:.0f} s" for seconds in took) or "there was none",
                met=bool(took) and max(took) <= 60,
            ),
            Expectation(
                expected="an event for each",
                found=f"{rolled_back} of holdfast.rollout.rolled_back",
                met=rolled_back == 2,
            ),
            Expectation(
                expected="the champion stays",
                found=f"version {get_champion_version(client)}; {len(by_bad)} customers got scores of version {_BAD}",
                met=get_champion_version(client) == "1",
            ),
            none_of(run, ["retrain", "rollback", "promote"]),
            every_step_went_well(run),
        ]


def _trained_on_flipped_labels(run: Running) -> list[str]:
    """The gates that it failed."""
    from flows.train import train
    from holdfast.training.dataset import use_label_function

    today = run.shop.today
    with use_label_function(_flipped_labels):
        result = train(today, today + timedelta(hours=2), TRAINING, GATES)
    return [gate.name for gate in result.gates.failed]


def _flipped_labels(*arguments: Any) -> "ir.Table":
    """Exchange who churned and who stayed, as after a slip in a query."""
    from feature_repo.labels import churn_labels

    labels = churn_labels(*arguments)
    return labels.mutate(churned=~labels.churned)


def _force(run: Running) -> None:
    """What somebody with access to the registry can do: a passed verdict by hand, and the alias."""
    from holdfast.model_versions.aliases import get_champion_version, open_registry, set_challenger
    from holdfast.model_versions.records import GatesRecord

    client = open_registry(run.shop.settings)
    record = GatesRecord.of(client, _BAD)
    assert record is not None
    changed: dict[str, Any] = {
        "verdict": "passed",
        "failed": [],
        "champion": get_champion_version(client),
        "when": datetime.now(UTC),
    }
    record.model_copy(update=changed).save(client, _BAD)
    set_challenger(client, _BAD)


def _tell_that_it_is_ready() -> None:
    from holdfast.alerting.events import emit_event

    emit_event("holdfast.challenger.ready", f"version.{_BAD}", {"version": _BAD})
