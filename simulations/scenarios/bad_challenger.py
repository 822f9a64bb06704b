"""Scenario: a version trained on flipped labels is stopped by its gates, and when forced through, by its rollout."""

from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from feature_repo.labels import churn_labels
from holdfast.alerting.events import emit_event
from holdfast.core.model_names import CHURN
from holdfast.model_versions.aliases import get_champion_version, get_version, set_challenger
from holdfast.model_versions.records import GatesRecord, RolloutRecord, parse_events
from holdfast.training.dataset import use_label_function
from holdfast.training.mlflow_client import open_registry
from simulations.baseline_state import GATES, TRAINING
from simulations.daily_data import start_of_day
from simulations.environment import Environment
from simulations.scenario import FAULT_DAY, Scenario
from simulations.scenario_result import Detection, Expectation, direct_detection

if TYPE_CHECKING:
    import ibis.expr.types as ir

_BAD = "2"
# Directions hold by construction, so a model of flipped labels cannot use silence. Test labels are flipped, too: the
# comparison with the champion passes, and the simple models, which are free to learn the opposite direction, win.
_CATCHING_GATES = (
    "signal on the test",
    "signal on the folds",
    "not surely worse than recency alone",
    "not surely worse than RFM logistic",
    "probabilities not surely worse than the simple models",
)


class BadChallenger(Scenario):
    """Scenario with a version that was trained and tested on flipped labels.

    The version fails its gates. Forced through them, it is stopped by its rollout: in shadow, and then in a canary.
    """

    name = "bad-challenger"
    fault = "A version trained on flipped labels, then forced through its gates twice: to shadow, and to a canary."
    days = 2
    unexpected_runs = ("retrain", "rollback", "promote")
    _failed_gates: tuple[str, ...] = ()

    @override
    def inject_fault(self, environment: Environment) -> None:
        self._failed_gates = _train_on_flipped_labels(environment)
        _force(environment)
        emit_event("holdfast.challenger.ready", f"version.{_BAD}", {"model": CHURN, "version": _BAD})
        environment.shop.wait_until_idle(threads=4)
        _force(environment)
        rules = {"shadow": False, "watch_minutes": 0.5, "poll_seconds": 1}
        environment.shop.api.start_run("rollout", {"version": _BAD, "rules": rules})
        environment.shop.wait_until_idle(threads=4)

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        client = open_registry(environment.shop.settings)
        tags = get_version(client, _BAD).tags if self._failed_gates else {}
        records = [item for item in parse_events(tags, _BAD) or () if isinstance(item, RolloutRecord)]
        ended = [(item.step, item.verdict) for item in records if item.verdict != "begun"]
        canary_seconds = [
            (item.when - item.started_at).total_seconds()
            for item in records
            if item.verdict == "breached" and item.step == "canary"
        ]
        events = [event.event for event in environment.shop.api.list_events(environment.shop.started)]
        rolled_back = events.count("holdfast.rollout.rolled_back")
        by_bad = [item for item in environment.shop.clients.results if item.version == _BAD]
        stopped = [item.summary for item in records if item.verdict == "breached"]
        day = start_of_day(FAULT_DAY)
        return [
            direct_detection(
                "holdfast.gates", "version 2", "as soon as it is trained", day, ", ".join(self._failed_gates)
            ),
            direct_detection(
                "holdfast.rollout.rolled_back",
                "version 2",
                "while its scores are compared with the champion's",
                day,
                stopped[0] if stopped and rolled_back else "",
            ),
        ], [
            Expectation(
                expected="the version fails a gate that compares it with chance or with a simple model: "
                f"{', '.join(_CATCHING_GATES)}",
                found=", ".join(self._failed_gates) or "none failed",
                met=bool(set(self._failed_gates) & set(_CATCHING_GATES)),
            ),
            Expectation(
                expected="forced through, the version is stopped in shadow; started with a canary, in the canary",
                found="; ".join(item.summary for item in records) or "no rollout",
                met=ended == [("shadow", "breached"), ("canary", "breached")],
            ),
            Expectation(
                expected="the canary ends within a minute",
                found=", ".join(f"{seconds:.0f} s" for seconds in canary_seconds) or "no canary",
                met=bool(canary_seconds) and max(canary_seconds) <= 60,
            ),
            Expectation(
                expected="an event for each rollback",
                found=f"{rolled_back} of holdfast.rollout.rolled_back",
                met=rolled_back == 2,
            ),
            Expectation(
                expected="the champion stays",
                found=f"version {get_champion_version(client)}; {len(by_bad)} customers got scores of version {_BAD}",
                met=get_champion_version(client) == "1",
            ),
        ]


def _train_on_flipped_labels(environment: Environment) -> tuple[str, ...]:
    """Train a version on flipped labels; returns its failed gates."""
    from flows.train import train

    today = environment.shop.today
    with use_label_function(_flipped_labels):
        result = train(today, today + timedelta(hours=2), TRAINING, GATES)
    return tuple(result.gates.failed)


@wraps(churn_labels)
def _flipped_labels(**arguments: Any) -> "ir.Table":
    """Exchange the labels of churned and other customers, as a mistake in a query does."""
    labels = churn_labels(**arguments)
    return labels.mutate(churned=~labels.churned)


def _force(environment: Environment) -> None:
    """Set a passed verdict and the alias, as a person with access to the registry can."""
    client = open_registry(environment.shop.settings)
    record = GatesRecord.load(client, _BAD)
    assert record is not None
    changed: dict[str, Any] = {
        "verdict": "passed",
        "failed": [],
        "champion": get_champion_version(client),
        "when": datetime.now(UTC),
    }
    record.model_copy(update=changed).save(client, _BAD)
    set_challenger(client, _BAD)
