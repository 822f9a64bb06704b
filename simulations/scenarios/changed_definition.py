"""Scenario: a data scientist applies changed feature code and trains on it, while the service answers."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pyarrow.compute as pc
from typing_extensions import override

from feature_repo.settings import Settings
from holdfast.core.prediction_log import read_predictions
from holdfast.feature_store.definition_versions import list_versions
from holdfast.feature_store.parity import load_parity
from holdfast.model_versions.aliases import get_champion_version, get_contract, set_challenger
from holdfast.models.contract import CHAMPION
from holdfast.models.registered_version import NotServableError
from holdfast.rollout.service_metrics import ServiceState, read_service
from holdfast.training.mlflow_client import UnknownVersionError, open_registry
from simulations.baseline_state import GATES, TRAINING
from simulations.daily_data import START
from simulations.environment import Environment
from simulations.load_clients import RequestResult, count_retries
from simulations.scenario import Scenario
from simulations.scenario_result import Detection, Expectation
from simulations.scenarios.common_expectations import expect_no_findings
from simulations.servers import ComponentError, wait_until
from simulations.workspace import copy_source, replace_in_file

_NOON = timedelta(hours=12)
_FIRST, _SECOND = "1", "2"
_STEPS = {"shadow": None, "canary of 5%": 0.05, "canary of 25%": 0.25}
_LAST_SHARE = 0.25
_ROLLBACK_SECONDS = 60.0


class ChangedDefinition(Scenario):
    """Scenario with a changed feature that is applied and trained on under load.

    The models of both definitions answer at once, each from its own version of the features, until the second one is
    the champion. Then the champion, the shadow and the canaries are rolled back, each timed. Worker, service and daily
    runs keep the code of the first definitions.
    """

    name = "changed-definition"
    fault = (
        "None: at noon of the second day another mean_purchase_amount is applied and trained on, by other code than "
        "that of worker and service."
    )
    days = 3
    unexpected_runs = ("features", "daily", "retrain", "rollback")
    _during: tuple[RequestResult, ...] = ()

    def __init__(self, days: int, with_fault: bool, predictions: int = 0) -> None:
        super().__init__(days, with_fault, predictions)
        self._rollback_seconds: dict[str, float] = {}
        self._later_versions: set[str] = set()

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
        shop.run_monitoring(noon)
        shop.wait_until_idle()
        with shop.clients.continuous_load():
            self._roll_back_each_step(environment)
        self._during = tuple(shop.clients.results[before:])

    def _roll_back_each_step(self, environment: Environment) -> None:
        """Roll back the champion, then the challenger in shadow and in each canary."""
        from flows.rollback import rollback
        from flows.traffic import traffic

        settings, clients = environment.shop.settings, environment.shop.clients
        self._time_rollback(environment, "champion", lambda: rollback(reason="the changed feature is a mistake"))
        set_challenger(open_registry(settings), _SECOND)
        for step, share in _STEPS.items():
            traffic("canary" if share else "shadow", share=share)
            wait_until(lambda: _read_service(environment).challenger == _SECOND, _ROLLBACK_SECONDS, step)
            if share == _LAST_SHARE:
                while (missing := self._predictions - len(clients.results)) > 0:
                    clients.request_predictions(min(missing, len(clients.customers)))
            self._time_rollback(environment, step, lambda: traffic("off"))

    def _time_rollback(self, environment: Environment, step: str, roll_back: Callable[[], object]) -> None:
        """Measure the time until the service has only the first version, and record the versions that answer then."""
        start, clients = time.monotonic(), environment.shop.clients

        def is_followed() -> bool:
            service = _read_service(environment)
            return (service.champion, service.challenger) == (_FIRST, None)

        roll_back()
        wait_until(is_followed, 2 * _ROLLBACK_SECONDS, f"The rollback in the step {step}")
        self._rollback_seconds[step] = time.monotonic() - start
        before, followed = len(clients.results), time.time()
        clients.request_predictions(len(clients.customers))
        self._later_versions |= {item.version for item in clients.results[before:] if item.sent >= followed}

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        settings = environment.shop.settings
        definitions = [_definitions(settings, number) for number in (_FIRST, _SECOND)]
        parity = {version: load_parity(settings, version) for version in list_versions(settings)}
        mismatches = sum(report.mismatches for report in parity.values())
        log = read_predictions(settings.predictions)
        second = log.filter(pc.equal(log["version"], _SECOND))["route"].to_pylist()
        champion = get_champion_version(open_registry(settings))
        return [], [
            Expectation(
                expected="no request is repeated from the change of the definitions to the last rollback",
                found=f"{count_retries(self._during)} repeated attempts, {len(self._during)} predictions",
                met=count_retries(self._during) == 0 < len(self._during),
            ),
            Expectation(
                expected="the training makes a version on other definitions, which a rollout makes champion",
                found=f"definitions {definitions[0]} and {definitions[1]}; {len(second):,} predictions of version "
                f"{_SECOND}, {second.count(CHAMPION):,} of them as champion; then the champion is version {champion}",
                met=len({*definitions} - {""}) == 2 and CHAMPION in second and champion == _FIRST,
            ),
            Expectation(
                expected=f"each rollback is in service within {_ROLLBACK_SECONDS:.0f} s, features included",
                found=", ".join(f"{step}: {seconds:.1f} s" for step, seconds in self._rollback_seconds.items())
                + f"; then version {', '.join(sorted(self._later_versions))} answered",
                met=len(self._rollback_seconds) == 1 + len(_STEPS)
                and max(self._rollback_seconds.values()) <= _ROLLBACK_SECONDS
                and self._later_versions == {_FIRST},
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


def _read_service(environment: Environment) -> ServiceState:
    service = read_service(environment.shop.clients.url)
    if service is None:
        raise ComponentError("The service does not give its metrics.")
    return service


def _option(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}"


def _definitions(settings: Settings, number: str) -> str:
    """Return the version of the feature definitions of a model; "" without the model."""
    try:
        return get_contract(open_registry(settings), number).definitions
    except (UnknownVersionError, NotServableError):
        return ""
