"""Scenario: all prices rise by half from a day on."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd
from typing_extensions import override

from holdfast.model_versions.aliases import get_champion_version, get_version, list_versions
from holdfast.model_versions.records import RetrainingRecord, RolloutRecord, parse_events
from holdfast.training.mlflow_client import open_registry
from simulations.baseline_state import GATES, TRAINING
from simulations.daily_data import start_of_day
from simulations.environment import Environment
from simulations.faults import raise_prices
from simulations.scenario import Scenario
from simulations.scenario_result import Detection, Expectation, find_detection
from simulations.scenarios.common_expectations import expect_no_findings

_FACTOR = 1.5
_FIRST_DAY = 2


class PriceChange(Scenario):
    """Scenario with all prices raised by half from the third day on.

    A shift of this size is significant in the prices of a day from 20 purchases on; fewer are not tested.
    """

    name = "price-change"
    fault = f"Amounts times {_FACTOR} from the third day on."
    days = 5
    unexpected_runs = ("rollback",)
    # The gates of the first champion, which a model of a small shop can pass.
    deployment_parameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "retrain": {"training": TRAINING.model_dump(mode="json"), "thresholds": GATES.model_dump(mode="json")}
    }

    @override
    def change_delivery(self, environment: Environment, rows: pd.DataFrame) -> pd.DataFrame:
        return raise_prices(rows, _FACTOR) if environment.shop.number >= _FIRST_DAY else rows

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        visible = "the first run after a day with raised prices was ingested"
        detected = find_detection(
            "holdfast.drift.detected",
            "transactions.amount",
            visible,
            start_of_day(_FIRST_DAY + 1),
            environment.shop.findings,
        )
        trained = [item for item in environment.shop.api.list_runs("retrain") if item.state_name == "Completed"]
        return [detected], [
            expect_no_findings(environment, "before", detected.by),
            _expect_retraining(environment, len(trained)),
            _expect_rollout(environment),
        ]


def _expect_retraining(environment: Environment, runs: int) -> Expectation:
    """Expect one retrained version, by the record on the version."""
    versions = list_versions(open_registry(environment.shop.settings))
    records = {item.version: RetrainingRecord.from_tags(item.tags, str(item.version)) for item in versions}
    retrained = [f"version {version}: {record.why}" for version, record in records.items() if record]
    return Expectation(
        expected="once the drift persists (2 of 5 windows) the automation retrains once",
        found=f"{runs} runs of retrain; {'; '.join(retrained) or 'no version'}",
        met=len(retrained) == 1,
    )


def _expect_rollout(environment: Environment) -> Expectation:
    client = open_registry(environment.shop.settings)
    champion = get_champion_version(client) or ""
    records = parse_events(get_version(client, champion).tags, champion) or ()
    ended = [item for item in records if isinstance(item, RolloutRecord) and item.verdict != "begun"]
    return Expectation(
        expected="the new version passes its gates and becomes champion in steps: shadow, 5%, 25%, all, watch",
        found=f"version {champion} is champion; {'; '.join(item.summary for item in ended) or 'no rollout'}",
        met=champion != "1" and [item.step for item in ended] == ["shadow", "canary", "canary", "watch"],
    )
