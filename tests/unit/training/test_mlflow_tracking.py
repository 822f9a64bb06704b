"""MLflow tracking on its real database: one run per training after any interruption, and each trial once."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import MODEL_NAME, ServedModel
from holdfast.training import mlflow_tracking
from holdfast.training.evaluation_report import Evaluation, Interval, ProfitEstimate
from holdfast.training.hyperparameter_search import SearchTrial
from holdfast.training.lineage import Lineage
from holdfast.training.mlflow_client import open_tracking
from holdfast.training.mlflow_tracking import (
    LINEAGE_FILE,
    PREDICTIONS_FILE,
    TrialLog,
    close_orphaned_runs,
    find_trained_version,
    read_evaluation,
    register_version,
    training_run,
)
from holdfast.training.recipe import RECIPE_FILE, Recipe
from holdfast.training.registration import _log_evaluation, log_dataset, log_predictions
from holdfast.training.settings import TrainingSettings
from tests.support.small_shop import join_process, start_process, use_data_folder
from tests.support.training_sets import synthetic_training_set

AS_OF = datetime(2024, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Use an empty data folder with MLflow's database; every test has a different lineage."""
    data = tmp_path_factory.mktemp("tracking")
    with use_data_folder(data) as settings:
        open_tracking(settings)
    return data


@pytest.fixture
def settings(folder: Path) -> Iterator[Settings]:
    with use_data_folder(folder) as settings:
        yield settings


@pytest.fixture
def client(settings: Settings) -> Any:
    return open_tracking(settings)


@pytest.fixture
def lineage(request: pytest.FixtureRequest) -> Lineage:
    return _lineage(request.node.name)


def _lineage(name: str) -> Lineage:
    return Lineage(
        as_of=AS_OF,
        known_at=AS_OF,
        batches=[name],
        fingerprint={"labels": "a"},
        settings=TrainingSettings().model_dump(),
        horizon_days=90,
        activity_days=180,
        training_code="code",
        lock="lock",
        python="3.11",
        git_commit="commit",
    )


def _children(client: Any, run_id: str) -> list[Any]:
    return mlflow_tracking._runs(client, f"tags.`mlflow.parentRunId` = '{run_id}'")


def _trial(number: int = 0, roc_auc: float | None = 0.7) -> SearchTrial:
    return SearchTrial("logistic", number, {"C": 0.01}, [0.6, 0.8][: 2 if roc_auc else 1], roc_auc, 2.5)


class TestTrainingRun:
    def test_training_run_finished_contains_lineage(self, settings: Settings, client: Any, lineage: Lineage) -> None:
        with training_run(client, settings, lineage) as run_id:
            assert client.get_run(run_id).info.status == "RUNNING"
        run = client.get_run(run_id)
        assert (run.info.status, run.info.run_name) == ("FINISHED", "train as of 2024-07-01")
        assert run.data.tags[mlflow_tracking._TRAINING_KEY_TAG] == lineage.key
        assert run.data.metrics.keys() == {mlflow_tracking.TRAINING_TIME_METRIC}
        assert run.data.params["search.trials"] == "10"
        assert run.data.params["value.offer_cost"] == "2.0"
        assert run.data.params["horizon_days"] == "90"
        stored = mlflow.artifacts.load_dict(f"runs:/{run_id}/{LINEAGE_FILE}")
        assert stored["batches"] == lineage.batches
        assert stored["as_of"] == "2024-07-01T00:00:00+00:00"

    def test_training_run_failed_training_resumed(self, settings: Settings, client: Any, lineage: Lineage) -> None:
        with pytest.raises(ZeroDivisionError), training_run(client, settings, lineage) as first:
            mlflow.log_metric("before", 1.0)
            raise ZeroDivisionError
        assert client.get_run(first).info.status == "FAILED"
        with training_run(client, settings, replace(lineage, git_commit="another")) as second:
            mlflow.log_metric("after", 2.0)
        assert second == first
        run = client.get_run(first)
        assert run.info.status == "FINISHED"
        assert run.data.metrics == {"before": 1.0, "after": 2.0}, "how long it took in all is not known"

    def test_training_run_other_training_other_run(self, settings: Settings, client: Any, lineage: Lineage) -> None:
        with training_run(client, settings, lineage) as first:
            pass
        with training_run(client, settings, replace(lineage, lock="another")) as second:
            pass
        assert first != second

    def test_training_run_run_of_other_machine_not_resumed(
        self, settings: Settings, client: Any, lineage: Lineage
    ) -> None:
        """On a shared server another machine may run the same training: no lock excludes it."""
        with training_run(client, settings, lineage) as first:
            pass
        client.set_tag(first, mlflow_tracking._WORKSPACE, "elsewhere:/data")
        client.update_run(first, status="RUNNING")
        with training_run(client, settings, lineage) as second:
            pass
        assert second != first
        assert client.get_run(first).info.status == "RUNNING"
        client.set_terminated(first)


def _killed_in_a_trial(lineage: Lineage) -> None:
    from feature_repo.settings import Settings

    settings = Settings.from_environment()
    client = open_tracking(settings)
    with training_run(client, settings, lineage) as run_id:
        log = TrialLog(client, run_id)
        log.log(_trial(0))
        type(client).log_batch = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        log.log(_trial(1))


class TestKilledTraining:
    @pytest.mark.long
    def test_training_run_killed_training_resumed_without_duplicate_trials(
        self, settings: Settings, client: Any, lineage: Lineage
    ) -> None:
        assert join_process(start_process(_killed_in_a_trial, settings.data, lineage)) == -signal.SIGKILL
        (killed,) = mlflow_tracking._runs(client, f"tags.`{mlflow_tracking._TRAINING_KEY_TAG}` = '{lineage.key}'")
        assert killed.info.status == "RUNNING"
        assert [run.info.status for run in _children(client, killed.info.run_id)] == ["FINISHED", "RUNNING"]

        close_orphaned_runs(client, settings)
        assert client.get_run(killed.info.run_id).info.status == "KILLED"
        assert [run.info.status for run in _children(client, killed.info.run_id)] == ["FINISHED", "KILLED"]

        with training_run(client, settings, lineage) as run_id:
            log = TrialLog(client, run_id)
            for number in range(3):
                log.log(_trial(number))
        assert run_id == killed.info.run_id
        assert client.get_run(run_id).info.status == "FINISHED"
        finished = [run.data.tags["holdfast.trial"] for run in _children(client, run_id)
                    if run.info.status == "FINISHED"]  # fmt: skip
        assert finished == ["logistic/0", "logistic/1", "logistic/2"]


class TestCloseOrphanedRuns:
    def _left_running(self, client: Any, settings: Settings, lineage: Lineage) -> str:
        with training_run(client, settings, lineage) as run_id:
            pass
        client.update_run(run_id, status="RUNNING")
        return run_id

    def test_close_orphaned_runs_with_registered_version_finished(
        self, settings: Settings, client: Any, lineage: Lineage
    ) -> None:
        run_id = self._left_running(client, settings, lineage)
        _register(client, run_id, lineage)
        close_orphaned_runs(client, settings)
        assert client.get_run(run_id).info.status == "FINISHED"

    def test_close_orphaned_runs_without_registered_version_killed(
        self, settings: Settings, client: Any, lineage: Lineage
    ) -> None:
        run_id = self._left_running(client, settings, lineage)
        close_orphaned_runs(client, settings)
        assert client.get_run(run_id).info.status == "KILLED"

    def test_close_orphaned_runs_ended_or_foreign_runs_unchanged(
        self, settings: Settings, client: Any, lineage: Lineage
    ) -> None:
        run_id = self._left_running(client, settings, lineage)
        client.set_tag(run_id, mlflow_tracking._WORKSPACE, f"another-machine:{settings.data}")
        with (
            pytest.raises(ZeroDivisionError),
            training_run(client, settings, replace(lineage, lock="another")) as failed,
        ):
            raise ZeroDivisionError
        close_orphaned_runs(client, settings)
        assert client.get_run(run_id).info.status == "RUNNING"
        assert client.get_run(failed).info.status == "FAILED"
        client.set_terminated(run_id)


class TestTrialLog:
    def test_trial_log_two_trials_child_runs(self, settings: Settings, client: Any, lineage: Lineage) -> None:
        with training_run(client, settings, lineage) as run_id:
            log = TrialLog(client, run_id)
            log.log(_trial(0))
            log.log(_trial(1, roc_auc=None))
        completed, pruned = _children(client, run_id)
        assert (completed.info.run_name, completed.info.status) == ("logistic C=0.01", "FINISHED")
        assert completed.data.params == {"C": "0.01"}
        assert completed.data.metrics == {"fold.log_loss": 0.8, "folds.log_loss": 0.7}
        history = client.get_metric_history(completed.info.run_id, "fold.log_loss")
        assert [(metric.step, metric.value) for metric in history] == [(0, 0.6), (1, 0.8)]
        assert completed.info.end_time - completed.info.start_time >= 2500
        assert (completed.data.tags["pruned"], completed.data.tags["family"]) == ("false", "logistic")
        assert pruned.data.tags["pruned"] == "true"
        assert pruned.data.metrics == {"fold.log_loss": 0.6}

    def test_trial_log_repeated_trial_logged_once(self, settings: Settings, client: Any, lineage: Lineage) -> None:
        with training_run(client, settings, lineage) as run_id:
            first = TrialLog(client, run_id)
            first.log(_trial(0))
            first.log(_trial(0))
            again = TrialLog(client, run_id)
            again.log(_trial(0))
            again.log(replace(_trial(0), family="boosting"))
        assert [run.data.tags["holdfast.trial"] for run in _children(client, run_id)] == ["logistic/0", "boosting/0"]


def _register(client: Any, run_id: str, lineage: Lineage) -> Any:
    served = ServedModel(
        model_name=MODEL_NAME,
        model_version="",
        feature_service="churn_v1",
        inputs=["a"],
        reference=[None],
        threshold=0.5,
        horizon_days=90,
        activity_days=180,
        fingerprint={"labels": "a"},
        model_sha256="",
    )
    model: Any = SimpleNamespace(model_uri=f"runs:/{run_id}/model", model_id=None)
    return register_version(client, model, run_id, served, lineage, "what it is")


class TestFindTrainedVersion:
    def test_find_trained_version_registered_version_found_by_lineage(
        self, settings: Settings, client: Any, lineage: Lineage
    ) -> None:
        with training_run(client, settings, lineage) as run_id:
            registered = _register(client, run_id, lineage)
        assert registered.run_id == run_id
        assert find_trained_version(client, lineage) == registered
        assert find_trained_version(client, replace(lineage, git_commit="another")) == registered
        assert find_trained_version(client, replace(lineage, lock="another")) is None
        version = client.get_model_version(MODEL_NAME, registered.version)
        assert version.description == "what it is"
        assert version.tags["holdfast.fingerprint.labels"] == "a"
        assert version.tags["holdfast.batches"] == "1"


def _evaluation() -> Evaluation:
    some, none = Interval(value=0.7, low=0.6, high=0.8), Interval(value=float("nan"), low=float("nan"), high=0.9)
    value = ProfitEstimate(
        threshold=0.6, earned=some, at_half=some, lost_by_half=some, offers_to_all=0.1, best_threshold=0.5, best=1
    )
    return Evaluation(
        rows=2, customers=2, cutoffs=[AS_OF], base_rate=0.5, family="logistic", chosen="logistic C=0.01",
        reason="the only one", over_families=None, metrics={"model": {"roc_auc": some, "pr_auc": none}},
        over_baselines={}, months=[], slices=[], calibration="none", calibration_reason="", calibration_methods=[],
        value=value, importance=[], instability=some,
    )  # fmt: skip


class TestLogging:
    def test_log_evaluation_read_evaluation_equal(self, settings: Settings, client: Any, lineage: Lineage) -> None:
        """The round trip includes values that cannot be computed."""
        evaluation = _evaluation()
        recipe = Recipe(family="logistic", params={"C": 0.01}, calibration="none", seed=0, threshold=0.6, folds=(),
                        development=(AS_OF,), test=(AS_OF,), digests={})  # fmt: skip
        with training_run(client, settings, lineage) as run_id:
            _log_evaluation(recipe, evaluation)
        found = read_evaluation(client, run_id)
        assert found.model_dump_json() == evaluation.model_dump_json()
        assert np.isnan(found.metrics["model"]["pr_auc"].low)
        assert Recipe.model_validate(mlflow.artifacts.load_dict(f"runs:/{run_id}/{RECIPE_FILE}")) == recipe
        run = client.get_run(run_id)
        assert run.data.metrics["test.model.roc_auc"] == 0.7
        assert run.data.metrics["test.model.roc_auc.low"] == 0.6
        assert run.data.metrics["test.model.roc_auc.high"] == 0.8
        assert (run.data.tags["chosen"], run.data.tags["calibration"]) == ("logistic C=0.01", "none")

    def testlog_dataset_changed_values_other_digest(self, settings: Settings, client: Any, lineage: Lineage) -> None:
        """Other values of a feature change the digest, even for the same rows."""
        data = synthetic_training_set(customers=5, months=1)
        x = data.x.copy()
        x[-1, 0] += 1
        with training_run(client, settings, lineage) as run_id:
            log_dataset(data, "development", data.digests())
            log_dataset(replace(data, x=x), "changed", replace(data, x=x).digests())
            log_dataset(replace(data, y=~data.y), "other outcomes", replace(data, y=~data.y).digests())
            log_dataset(data, "the same", data.digests())
        inputs = {item.tags[0].value: item.dataset for item in client.get_run(run_id).inputs.dataset_inputs}
        digests = {context: dataset.digest for context, dataset in inputs.items()}
        assert inputs["development"].name == "development rows"
        assert digests["development"] == digests["the same"]
        assert len(set(digests.values())) == 3

    def testlog_predictions_file_contains_all_models_and_rows(
        self, settings: Settings, client: Any, lineage: Lineage
    ) -> None:
        data = synthetic_training_set(customers=5, months=2)
        with training_run(client, settings, lineage) as run_id:
            log_predictions(data, {"model": np.arange(10) / 10, "recency": np.ones(10)})
        frame = pd.read_parquet(client.download_artifacts(run_id, PREDICTIONS_FILE))
        assert frame.columns.tolist() == ["customer_id", "cutoff", "churned", "model", "recency"]
        pd.testing.assert_frame_equal(frame[["customer_id", "cutoff"]], data.keys)
        assert (frame["churned"].to_numpy() == data.y).all()
        assert (frame["model"] == np.arange(10) / 10).all()
