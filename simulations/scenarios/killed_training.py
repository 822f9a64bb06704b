"""The worker dies in the middle of a training, and the training with it."""

import time
from datetime import UTC, datetime, timedelta

from simulations.assessment import alerts_told, none_of, told_of
from simulations.baseline_state import TRAINING
from simulations.daily_data import START, day_after
from simulations.environment import Running
from simulations.outcome import Detection, Expectation, noticed
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well
from simulations.servers import wait_until

_DAY = 1
_TRAINS_WITHIN, _RECOVERS_WITHIN = 120.0, 420.0


class KilledTraining(Scenario):
    """The process manager starts another worker; what was lost is noticed by its silence, and runs again."""

    name = "killed-training"
    planted = "On the second day the worker and the training under way are killed (SIGKILL)."
    days = 3

    def __init__(self, days: int, fault: bool) -> None:
        super().__init__(days, fault)
        self.killed = ""
        self.seconds = 0.0

    def during(self, run: Running) -> None:
        """Kill it between two trials of its search."""
        shop = run.shop
        if shop.number != _DAY:
            return
        known = shop.today + timedelta(hours=2)
        self.killed = shop.api.run(
            "train",
            {
                "as_of": shop.today.isoformat(),
                "known_at": known.isoformat(),
                "training": TRAINING.model_dump(mode="json"),
            },
        )
        wait_until(lambda: _trials(run), _TRAINS_WITHIN, "The first trial of the training")
        run.worker.kill()
        began = time.monotonic()
        run.restart_worker()
        with shop.callers.asking_on(threads=1):
            wait_until(lambda: _ended_trainings(run) > 0, _RECOVERS_WITHIN, "A training after the killed one")
        shop.settles(threads=1)
        self.seconds = time.monotonic() - began

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """One version comes of it, whole; the run that was killed is marked as what it is."""
        killed = [item for item in run.shop.api.runs("train") if item.id == self.killed]
        others = [item for item in run.shop.api.runs("train") if item.id != self.killed]
        versions, runs = _versions(run), _mlflow_runs(run)
        day = day_after(START, _DAY)
        crashed = [alert for alert in alerts_told(run.shop.settings) if "holdfast.run.crashed:train" in alert]
        return [
            noticed(
                "holdfast.run.crashed", "train", "its heartbeat is missing for two minutes", day, "; ".join(crashed)
            )
        ], [
            Expectation(
                expected="the killed run is marked as crashed",
                found="; ".join(map(told_of, killed)) or "no run was killed",
                met=bool(killed) and killed[0].state == "CRASHED",
            ),
            Expectation(
                expected="one other run does it again by itself",
                found=f"{'; '.join(map(told_of, others)) or 'none'}; {self.seconds:.0f} s after the kill",
                met=[item.state for item in others] == ["COMPLETED"],
            ),
            Expectation(
                expected="one new version, with its evaluation, its file and a verdict",
                found="; ".join(versions) or "none",
                met=versions == ["version 2: whole"],
            ),
            Expectation(
                expected="no training is left open in MLflow",
                found=f"{len(runs)} runs, {runs.count('RUNNING')} open",
                met=bool(runs) and "RUNNING" not in runs,
            ),
            none_of(run, ["retrain", "rollback"]),
            every_step_went_well(run),
        ]


def _trials(run: Running) -> int:
    """Trials of trainings that are under way."""
    return sum(status == "FINISHED" for status in _mlflow_runs(run, since=run.shop.began))


def _mlflow_runs(run: Running, since: datetime | None = None) -> list[str]:
    from holdfast.training.mlflow_tracking import EXPERIMENT, open_tracking

    client = open_tracking(run.shop.settings)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None  # open_mlflow makes it
    begun = 0 if since is None else since.astimezone(UTC).timestamp() * 1000
    found = client.search_runs([experiment.experiment_id], max_results=500)
    return [item.info.status for item in found if item.info.start_time >= begun]


def _ended_trainings(run: Running) -> int:
    return sum(item.state == "COMPLETED" for item in run.shop.api.runs("train"))


def _versions(run: Running) -> list[str]:
    """The versions but the first, and whether each is whole."""
    from holdfast.model_versions.aliases import list_versions, open_registry
    from holdfast.model_versions.records import GatesRecord
    from holdfast.models.registered_version import RegisteredVersion
    from holdfast.models.registry_client import RegistryClient
    from holdfast.training.mlflow_tracking import read_evaluation

    client, told = open_registry(run.shop.settings), []
    registry = RegistryClient(run.shop.settings.mlflow_tracking_uri)
    for item in list_versions(client):
        number = str(item.version)
        if number == "1":
            continue
        try:
            contract = RegisteredVersion(number, dict(item.tags)).contract()
            registry.download_model(contract)
            read_evaluation(client, str(item.run_id))
            told.append(f"version {number}: {'whole' if GatesRecord.of(client, number) else 'without a verdict'}")
        except Exception as error:  # whatever is missing of it
            told.append(f"version {number}: {error}")
    return sorted(told)
