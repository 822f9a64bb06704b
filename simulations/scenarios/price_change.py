"""From a day on everything costs half as much again."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from simulations.assessment import none_of
from simulations.baseline_state import GATES, TRAINING
from simulations.daily_data import START, day_after
from simulations.environment import Running
from simulations.faults import dearer
from simulations.outcome import Detection, Expectation, detection
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well, nothing_found_before

_FACTOR = 1.5
_FIRST = 2


class PriceChange(Scenario):
    """A shift of this size shows in the prices of a day from 20 purchases on, fewer are not judged."""

    name = "price-change"
    planted = f"Amounts times {_FACTOR} from the third day on."
    days = 5
    # A new version is judged as the first champion was: by gates that a model of a small shop can pass.
    deployed: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "retrain": {"training": TRAINING.model_dump(mode="json"), "thresholds": GATES.model_dump(mode="json")}
    }

    def delivered(self, run: Running, rows: pd.DataFrame) -> pd.DataFrame:
        """Dearer from the day on."""
        return dearer(rows, _FACTOR) if run.shop.number >= _FIRST else rows

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """The amounts of the first such day differ from those before; if that lasts, it is trained again."""
        visible = "the first run after a day of dearer purchases has come in"
        found = detection(
            "holdfast.drift.detected", "transactions.amount", visible, day_after(START, _FIRST + 1), run.shop.seen
        )
        trained = [item for item in run.shop.api.runs("retrain") if item.state_name == "Completed"]
        return [found], [
            nothing_found_before(run, found.by),
            _retrained(run, len(trained)),
            _rolled_out(run),
            none_of(run, ["rollback"]),
            every_step_went_well(run),
        ]


def _retrained(run: Running, runs: int) -> Expectation:
    """That the retraining happened is told by the record on the version that it gave."""
    from holdfast.model_versions.aliases import list_versions, open_registry
    from holdfast.model_versions.records import RetrainingRecord

    versions = list_versions(open_registry(run.shop.settings))
    records = {item.version: RetrainingRecord.in_tags(item.tags, str(item.version)) for item in versions}
    told = [f"version {version}: {record.why}" for version, record in records.items() if record]
    return Expectation(
        expected="once it lasts (2 of 5 windows) the automation trains again, once",
        found=f"{runs} runs of retrain; {'; '.join(told) or 'no version of them'}",
        met=len(told) == 1,
    )


def _rolled_out(run: Running) -> Expectation:
    from holdfast.model_versions.aliases import get_champion_version, get_version, open_registry
    from holdfast.model_versions.records import RolloutRecord, parse_events

    client = open_registry(run.shop.settings)
    champion = get_champion_version(client) or ""
    records = parse_events(get_version(client, champion).tags, champion) or ()
    ended = [item for item in records if isinstance(item, RolloutRecord) and item.verdict != "begun"]
    return Expectation(
        expected="what it gave passes its gates, and is champion by steps: shadow, 5%, 25%, all, watched",
        found=f"version {champion} is champion; {'; '.join(item.told for item in ended) or 'no rollout'}",
        met=champion != "1" and [item.step for item in ended] == ["shadow", "canary", "canary", "watch"],
    )
