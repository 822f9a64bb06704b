"""Scenario: worker and training are killed during the training."""

import time
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from holdfast.model_versions.aliases import list_versions
from holdfast.model_versions.records import GatesRecord
from holdfast.models.registered_version import RegisteredVersion
from holdfast.models.registry_client import RegistryClient
from holdfast.training.mlflow_client import EXPERIMENT, open_registry, open_tracking
from holdfast.training.mlflow_tracking import read_evaluation
from simulations.assessment import describe_run, list_alerts
from simulations.baseline_state import TRAINING
from simulations.daily_data import start_of_day
from simulations.environment import Environment
from simulations.scenario import FAULT_DAY, Scenario
from simulations.scenario_result import Detection, Expectation, direct_detection
from simulations.servers import wait_until

_TRAINS_WITHIN, _RECOVERS_WITHIN = 120.0, 420.0


class KilledTraining(Scenario):
    """Scenario with the worker and a running training killed.

    The process manager starts another worker; the missing heartbeat is detected, and the training runs again.
    """

    name = "killed-training"
    fault = "On the second day the worker and a running training are killed (SIGKILL)."
    days = 3
    unexpected_runs = ("retrain", "rollback")
    _killed_run = ""
    _seconds = 0.0

    @override
    def inject_fault(self, environment: Environment) -> None:
        shop = environment.shop
        known = shop.today + timedelta(hours=2)
        self._killed_run = shop.api.start_run(
            "train",
            {
                "as_of": shop.today.isoformat(),
                "known_at": known.isoformat(),
                "training": TRAINING.model_dump(mode="json"),
            },
        )
        wait_until(lambda: _trials(environment), _TRAINS_WITHIN, "The first trial of the training")
        environment.worker.kill()
        start = time.monotonic()
        environment.restart_worker()
        with shop.clients.continuous_load(threads=1):
            wait_until(
                lambda: _completed_trainings(environment) > 0, _RECOVERS_WITHIN, "A training after the killed one"
            )
        shop.wait_until_idle(threads=1)
        self._seconds = time.monotonic() - start

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        killed = [item for item in environment.shop.api.list_runs("train") if item.id == self._killed_run]
        others = [item for item in environment.shop.api.list_runs("train") if item.id != self._killed_run]
        versions, runs = _versions(environment), _mlflow_runs(environment)
        day = start_of_day(FAULT_DAY)
        crashed = [alert for alert in list_alerts(environment.shop.settings) if "holdfast.run.crashed:train" in alert]
        return [
            direct_detection(
                "holdfast.run.crashed", "train", "its heartbeat is missing for two minutes", day, "; ".join(crashed)
            )
        ], [
            Expectation(
                expected="the killed run is marked as crashed",
                found="; ".join(map(describe_run, killed)) or "no run was killed",
                met=bool(killed) and killed[0].state == "CRASHED",
            ),
            Expectation(
                expected="one other run repeats the training without intervention",
                found=f"{'; '.join(map(describe_run, others)) or 'none'}; {self._seconds:.0f} s after the kill",
                met=[item.state for item in others] == ["COMPLETED"],
            ),
            Expectation(
                expected="one new version, with evaluation, model file and verdict",
                found="; ".join(versions) or "none",
                met=versions == ["version 2: complete"],
            ),
            Expectation(
                expected="no training is left open in MLflow",
                found=f"{len(runs)} runs, {runs.count('RUNNING')} open",
                met=bool(runs) and "RUNNING" not in runs,
            ),
        ]


def _trials(environment: Environment) -> int:
    """Count the finished trials of the simulation."""
    return sum(status == "FINISHED" for status in _mlflow_runs(environment, since=environment.shop.started))


def _mlflow_runs(environment: Environment, since: datetime | None = None) -> list[str]:
    client = open_tracking(environment.shop.settings)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None  # created by open_tracking
    earliest = 0 if since is None else since.astimezone(UTC).timestamp() * 1000
    found = client.search_runs([experiment.experiment_id], max_results=500)
    return [item.info.status for item in found if item.info.start_time >= earliest]


def _completed_trainings(environment: Environment) -> int:
    return sum(item.state == "COMPLETED" for item in environment.shop.api.list_runs("train"))


def _versions(environment: Environment) -> list[str]:
    """Describe the versions except the first: complete, or the missing part."""
    client, descriptions = open_registry(environment.shop.settings), list[str]()
    registry = RegistryClient(environment.shop.settings.mlflow_tracking_uri)
    for item in list_versions(client):
        number = str(item.version)
        if number == "1":
            continue
        try:
            registry.download_model(RegisteredVersion.from_mlflow(item).contract())
            read_evaluation(client, str(item.run_id))
            descriptions.append(
                f"version {number}: {'complete' if GatesRecord.load(client, number) else 'without a verdict'}"
            )
        except Exception as error:  # any missing part
            descriptions.append(f"version {number}: {error}")
    return sorted(descriptions)
