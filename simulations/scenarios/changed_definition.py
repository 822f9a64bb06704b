"""Scenario: a data scientist applies changed feature code and trains on it, while the service answers."""

import time
from datetime import datetime, timedelta

from typing_extensions import override

from feature_repo.settings import Settings
from holdfast.core.prediction_log import read_predictions
from holdfast.feature_store.definition_versions import list_versions
from holdfast.feature_store.parity import load_parity
from holdfast.model_versions.aliases import get_champion_version, get_contract
from holdfast.models.registered_version import NotServableError
from holdfast.training.mlflow_client import UnknownVersionError, open_registry
from simulations.baseline_state import GATES, TRAINING
from simulations.daily_data import START
from simulations.environment import Environment
from simulations.load_clients import RequestResult, count_retries
from simulations.scenario import Scenario
from simulations.scenario_result import Detection, Expectation
from simulations.scenarios.common_expectations import expect_no_findings
from simulations.workspace import copy_source, replace_in_file

_NOON = timedelta(hours=12)
_FIRST, _SECOND = "1", "2"


class ChangedDefinition(Scenario):
    """Scenario with a changed feature that is applied and trained on under load.

    The models of both definitions answer at once, each from its own version of the features, until the second one is
    the champion. Worker, service and daily runs keep the code of the first definitions.
    """

    name = "changed-definition"
    fault = (
        "None: at noon of the second day another mean_purchase_amount is applied and trained on, by other code than "
        "that of worker and service."
    )
    days = 3
    unexpected_runs = ("features", "daily", "retrain", "rollback")
    _during: tuple[RequestResult, ...] = ()

    @override
    def inject_fault(self, environment: Environment) -> None:
        shop = environment.shop
        changed = copy_source(environment.workspace.state / "source")
        replace_in_file(
            changed,
            "feature_repo/transformations.py",
            'mean_purchase_amount=totals.gross.cast("float64") / totals.purchase_days.cast("float64")',
            'mean_purchase_amount=totals.net.cast("float64") / totals.purchase_days.cast("float64") * 0.9',
        )
        noon, before, start = shop.today + _NOON, len(shop.clients.results), time.time()
        as_of = ["--as-of", _option(shop.today)]
        settings = ["--training", TRAINING.model_dump_json(), "--thresholds", GATES.model_dump_json()]
        with shop.clients.continuous_load():
            environment.run_command(changed, "flows.features", *as_of)
            shop.record_materializations(start)
            environment.run_command(changed, "flows.train", *as_of, "--known-at", _option(noon), *settings)
        self._during = tuple(shop.clients.results[before:])
        shop.run_monitoring(noon)
        shop.wait_until_idle()

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        settings = environment.shop.settings
        definitions = [_definitions(settings, number) for number in (_FIRST, _SECOND)]
        parity = {version: load_parity(settings, version) for version in list_versions(settings)}
        mismatches = sum(report.mismatches for report in parity.values())
        logged = read_predictions(settings.predictions)["version"].to_pylist().count(_SECOND)
        champion = get_champion_version(open_registry(settings))
        return [], [
            Expectation(
                expected="no request is repeated while the definitions are applied and trained on",
                found=f"{count_retries(self._during)} repeated attempts, {len(self._during)} predictions",
                met=count_retries(self._during) == 0 < len(self._during),
            ),
            Expectation(
                expected="the training makes a version on other definitions, which is logged and becomes champion",
                found=f"definitions {definitions[0]} and {definitions[1]}; {logged} predictions of version {_SECOND}; "
                f"the champion is version {champion}",
                met=len(set(definitions)) == 2 and "" not in definitions and logged > 0 and champion == _SECOND,
            ),
            Expectation(
                expected="the online features of both definitions equal those of training",
                found="; ".join(
                    f"{version}: {report.values_compared:,} values, {report.mismatches} mismatches"
                    for version, report in parity.items()
                ),
                met=set(parity) == set(definitions) and mismatches == 0,
            ),
            expect_no_findings(environment, "after", START),
        ]


def _option(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}"


def _definitions(settings: Settings, number: str) -> str:
    """Return the version of the feature definitions of a model; "" without the model."""
    try:
        return get_contract(open_registry(settings), number).definitions
    except (UnknownVersionError, NotServableError):
        return ""
