"""The training flow on the small shop: its MLflow run, once per lineage, also after a failure."""

import contextlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from holdfast.models.contract import MODEL_NAME, SERVED_MODEL_TAG, ServedModel, model_inputs
from holdfast.models.fingerprint import fingerprint
from holdfast.training.settings import ValueSettings
from tests.support.labels import purchase_label
from tests.support.shop_fixtures import QUICK, Trained
from tests.support.small_shop import (
    AS_OF,
    KNOWN_AT,
    copy_shop,
    fast_flows,
    fork_server,
    ingest,
    join_process,
    prefect_api,
    start_process,
    transactions,
    use_data_folder,
)

PNG = b"\x89PNG\r\n\x1a\n"
PLOTS = ("test_curves", "test_months", "reliability", "profit", "importance")
BASELINES = {"base_rate", "recency", "rfm", "bg_nbd", "pareto_nbd"}
TRIALS = ["bg_nbd/0", "boosting/0", "boosting/1", "logistic/0", "logistic/1", "pareto_nbd/0"]
METRICS = {"roc_auc", "pr_auc", "brier", "log_loss", "ece"}
OTHER_VALUE = QUICK.model_copy(update={"value": ValueSettings(kept_customer=40)})


@pytest.fixture
def client(trained: Trained) -> Iterator[Any]:
    """MLflow's client on the trained shop, with this process at work there."""
    from holdfast.training.mlflow_client import open_tracking

    with use_data_folder(trained.data) as settings:
        yield open_tracking(settings)


def _children(client: Any, run_id: str) -> list[Any]:
    experiment = client.get_run(run_id).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")


def _versions(client: Any) -> set[str]:
    return {str(item.version) for item in client.search_model_versions(f"name = '{MODEL_NAME}'")}


def _runs(client: Any) -> list[Any]:
    from holdfast.training.mlflow_client import EXPERIMENT

    experiment = client.get_experiment_by_name(EXPERIMENT)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def _artifact(client: Any, run_id: str, name: str) -> Any:
    return json.loads(Path(client.download_artifacts(run_id, name)).read_text())


class TestRuns:
    def test_train_logs_one_parent_and_one_child_per_trial(self, trained: Trained, client: Any) -> None:
        parent = client.get_run(trained.result.run_id)
        children = _children(client, trained.result.run_id)
        assert sorted(run.data.tags["holdfast.trial"] for run in children) == TRIALS
        assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
        assert "mlflow.parentRunId" not in parent.data.tags

    def test_train_child_runs_have_parameters_and_scores(self, trained: Trained, client: Any) -> None:
        folds = len(_artifact(client, trained.result.run_id, "recipe.json")["folds"])
        for run in _children(client, trained.result.run_id):
            names = {"logistic": {"C"}, "boosting": {"learning_rate", "max_iter", "max_leaf_nodes"}}
            assert set(run.data.params) >= names.get(run.data.tags["family"], set())
            assert run.info.run_name.startswith(run.data.tags["family"])
            history = [metric.value for metric in client.get_metric_history(run.info.run_id, "fold.log_loss")]
            assert run.data.tags["pruned"] == "false"
            assert len(history) == folds
            assert run.data.metrics["folds.log_loss"] == pytest.approx(sum(history) / folds)

    def test_train_parent_run_has_test_metrics_and_datasets(self, trained: Trained, client: Any, dataset: Any) -> None:
        from holdfast.training.registration import _dataset_digest

        run, evaluation = client.get_run(trained.result.run_id), trained.result.evaluation
        development, test, fitted = (
            dataset.data.at_cutoffs(cutoffs)
            for cutoffs in (dataset.split.development, dataset.split.test, evaluation.served.cutoffs)
        )
        assert {item.dataset.digest for item in run.inputs.dataset_inputs} == {
            _dataset_digest(development.digests()),
            _dataset_digest(test.digests()),
            _dataset_digest(fitted.digests()),
        }
        assert evaluation.served.refitted
        assert (trained.result.training_rows, evaluation.rows) == (len(fitted.y), len(test.y))
        assert set(evaluation.metrics) == {"model"} | BASELINES
        for model, values in evaluation.metrics.items():
            assert set(values) == METRICS
            for metric, value in values.items():
                assert run.data.metrics[f"test.{model}.{metric}"] == value.value
        assert run.data.metrics["test.model.roc_auc.low"] == evaluation.metrics["model"]["roc_auc"].low
        assert run.data.metrics["training_cpu_seconds"] > 0.1
        assert run.data.params["seed"] == "0"
        assert run.data.params["search.trials"] == "2"
        assert run.data.params["horizon_days"] == "90"
        assert (run.data.tags["chosen"], run.data.tags["reason"]) == (evaluation.chosen, evaluation.reason)

    def test_train_logged_predictions_reproduce_the_metrics(self, trained: Trained, client: Any) -> None:
        from holdfast.training.metrics import compute_metrics

        path = client.download_artifacts(trained.result.run_id, "test_predictions.parquet")
        frame, evaluation = pd.read_parquet(path), trained.result.evaluation
        assert len(frame) == evaluation.rows
        for name in ("model", *BASELINES):
            found = compute_metrics(frame["churned"].to_numpy(), frame[name].to_numpy())
            assert found == {metric: value.value for metric, value in evaluation.metrics[name].items()}

    def test_train_plots_are_images(self, trained: Trained, client: Any) -> None:
        for name in PLOTS:
            content = Path(client.download_artifacts(trained.result.run_id, f"{name}.png")).read_bytes()
            assert content.startswith(PNG)
            assert len(content) > 10_000

    def test_train_model_is_skops_with_signature_and_no_pickle(self, trained: Trained, client: Any) -> None:
        import skops.io
        import yaml

        from holdfast.models.contract import TRUSTED_TYPES

        with use_data_folder(trained.data):
            from holdfast.feast_stores.open_store import open_store

            inputs = [feature.name for feature in model_inputs(open_store())]
        artifacts = trained.data / "mlflow" / "artifacts"
        models = list(artifacts.rglob("MLmodel"))
        assert models
        for path in models:
            signature = yaml.safe_load(path.read_text())["signature"]
            assert all(f'"name": "{name}"' in signature["inputs"] for name in inputs)
            assert signature["inputs"].index(inputs[0]) < signature["inputs"].index(inputs[-1])
            model = skops.io.load(path.with_name("model.skops"), trusted=TRUSTED_TYPES)
            assert hasattr(model, "predict_proba")
        for path in artifacts.rglob("*"):
            assert path.suffix not in (".pkl", ".pickle", ".joblib", ".cloudpickle"), path
            assert not path.is_file() or not path.read_bytes().startswith((b"\x80\x03", b"\x80\x04", b"\x80\x05")), path


class TestVersion:
    def test_train_version_tags_have_contract_and_lineage(self, trained: Trained, client: Any, dataset: Any) -> None:
        version = client.get_model_version(MODEL_NAME, trained.result.model_version)
        assert version.run_id == trained.result.run_id
        served = ServedModel.model_validate_json(version.tags[SERVED_MODEL_TAG])
        assert served.inputs == [feature.name for feature in dataset.data.inputs]
        assert served.threshold == pytest.approx(2 / 3)  # an offer of 2 that keeps one churner in ten, worth 30
        assert (served.horizon_days, served.activity_days) == (90, 180)
        latest = dataset.data.at_cutoffs(trained.result.evaluation.served.cutoffs[-1:])
        purchase_days = pd.Series(latest.column("purchase_days"))
        assert served.reference[served.inputs.index("purchase_days")] == purchase_days.median()
        assert len(served.examples) > 2 * len(served.inputs) - 2  # low and high of each input, but for constants
        with use_data_folder(trained.data):
            from holdfast.feast_stores.open_store import open_store

            expected = fingerprint(open_store(), purchase_label())
        assert served.fingerprint == expected
        prefix = "holdfast.fingerprint."
        assert {k.removeprefix(prefix): v for k, v in version.tags.items() if k.startswith(prefix)} == expected
        assert version.tags["holdfast.as_of"] == AS_OF.isoformat()
        assert version.tags["holdfast.known_at"] == KNOWN_AT.isoformat()
        assert version.tags["holdfast.batches"] == "3"
        assert len(version.tags["holdfast.training_key"]) == len(version.tags["holdfast.lock"]) == 64
        assert version.tags["holdfast.git_commit"]

    def test_train_registered_model_reproduces_the_logged_scores(
        self, trained: Trained, client: Any, dataset: Any
    ) -> None:
        """The registered model is refitted after the test, whose scores are logged beside those of the tested model."""
        import mlflow

        from holdfast.training.fitting import predict_churn

        model = mlflow.sklearn.load_model(f"models:/{MODEL_NAME}/{trained.result.model_version}")
        test = dataset.data.at_cutoffs(dataset.split.test)
        logged = pd.read_parquet(client.download_artifacts(trained.result.run_id, "test_predictions.parquet"))
        assert predict_churn(model, test.x).tolist() == logged["served"].tolist()

    def test_load_model_accepts_the_registered_file_only(self, trained: Trained, client: Any) -> None:
        from holdfast.models.registered_version import RegisteredVersion
        from holdfast.models.registry_client import RegistryClient
        from services.errors import NotReadyError
        from services.models.loader import load_served_model

        version = client.get_model_version(MODEL_NAME, trained.result.model_version)
        contract = RegisteredVersion(str(version.version), version.tags).contract()
        content = RegistryClient(f"sqlite:///{trained.data / 'mlflow' / 'mlflow.db'}").download_model(contract)
        model = load_served_model(contract, content)  # every example is scored as in training
        assert model.scorer is not None
        with pytest.raises(NotReadyError, match="SHA-256"):
            load_served_model(contract, content + b"x")

    def test_train_does_not_move_the_champion(self, trained: Trained, client: Any) -> None:
        assert "champion" not in client.get_registered_model(MODEL_NAME).aliases

    def test_train_evaluates_the_gates(self, trained: Trained, client: Any) -> None:
        judged = trained.result.gates
        assert judged.version == trained.result.model_version
        assert judged.challenger == judged.passed
        aliases = client.get_registered_model(MODEL_NAME).aliases
        assert str(aliases.get("challenger")) == (judged.version if judged.passed else "None")

    def test_train_summary_has_test_metrics_and_verdict(self, trained: Trained) -> None:
        result = trained.result
        test, verdict = result.summary().splitlines()
        assert test.startswith(f"Version {result.model_version} is registered: {result.evaluation.chosen}; ROC-AUC ")
        assert str(result.evaluation.metrics["model"]["roc_auc"]) in test
        assert all(name in verdict for name in result.gates.failed)
        command = "promote" if result.gates.challenger else "gates"
        assert f"python -m flows.{command} --version {result.model_version}" in verdict


class TestRepeatedTraining:
    def test_train_same_data_and_settings_adds_no_version(
        self, flows_in_process: None, trained: Trained, client: Any
    ) -> None:
        from flows.train import train

        before = len(_runs(client)), len(_versions(client))
        again = train(AS_OF, KNOWN_AT + timedelta(hours=1), QUICK)  # known later, but nothing arrived in between
        assert again.trained is False
        assert (again.model_version, again.evaluation) == (trained.result.model_version, trained.result.evaluation)
        verdicts = [(gate.name, gate.verdict) for gate in trained.result.gates.gates]
        assert [(gate.name, gate.verdict) for gate in again.gates.gates] == verdicts
        assert (len(_runs(client)), len(_versions(client))) == before

    @pytest.mark.long
    def test_train_new_data_adds_a_version(self, flows_in_process: None, trained: Trained, client: Any) -> None:
        from flows.train import train

        before, known_at = _versions(client), KNOWN_AT + timedelta(days=2)
        ingest(trained.data, [transactions()[0]._replace(amount=1.25, ingested_at=known_at)], known_at)
        result = train(AS_OF, known_at, QUICK)
        assert result.trained is True
        assert result.model_version not in before
        assert _versions(client) == before | {result.model_version}
        assert train(AS_OF, known_at, QUICK).model_version == result.model_version
        assert train(AS_OF, KNOWN_AT, QUICK).model_version == trained.result.model_version


@pytest.mark.long
@pytest.mark.parametrize("place", ["in the search", "before the test", "before the registration", "after it"])
def test_train_killed_at_any_stage_next_run_leaves_one_version(
    flows_in_process: None, trained: Trained, client: Any, place: str
) -> None:
    from flows.train import train

    number = ["in the search", "before the test", "before the registration", "after it"].index(place)
    training = QUICK.model_copy(update={"seed": 100 + number})
    before, runs, aliases = _versions(client), len(_runs(client)), client.get_registered_model(MODEL_NAME).aliases
    assert (
        join_process(start_process(_killed, trained.data, place, training, api=prefect_api()), 180) == -signal.SIGKILL
    )
    (left,) = [run for run in _runs(client) if run.info.status == "RUNNING"]
    assert "mlflow.parentRunId" not in left.data.tags
    assert len(_versions(client) - before) == (place == "after it")
    assert client.get_registered_model(MODEL_NAME).aliases == aliases

    result = train(AS_OF, KNOWN_AT, training)
    assert result.trained is (place != "after it")
    assert result.run_id == left.info.run_id, "the killed training goes on in its own run"
    assert _versions(client) == before | {result.model_version}
    assert len(_runs(client)) == runs + 1 + len(TRIALS), "the parent and each trial once"
    assert {run.info.status for run in _runs(client)} == {"FINISHED"}


def _killed(place: str, training: Any) -> None:
    """Train until ``place``."""
    from flows.train import train
    from holdfast.training import evaluation, mlflow_tracking

    def dies(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if place == "in the search":
        log, logged = mlflow_tracking.TrialLog.log, []

        def dies_at_the_third(self: Any, trial: Any) -> None:
            logged.append(trial)
            return log(self, trial) if len(logged) < 3 else dies()

        mlflow_tracking.TrialLog.log = dies_at_the_third
    elif place == "before the test":
        evaluation.evaluate_model = dies
    elif place == "before the registration":
        mlflow_tracking.register_version = dies
    else:
        register = mlflow_tracking.register_version

        def registers_and_dies(*arguments: Any) -> None:
            register(*arguments)
            dies()

        mlflow_tracking.register_version = registers_and_dies
    train(AS_OF, KNOWN_AT, training)


def _train_and_meet(meet: Any) -> None:
    from mlflow import MlflowClient

    from flows.train import train

    hyperparameter_search = MlflowClient.search_registered_models

    def both_have_looked(*arguments: Any, **options: Any) -> Any:
        found = hyperparameter_search(*arguments, **options)
        with contextlib.suppress(threading.BrokenBarrierError):  # where one has to wait for the other to end
            meet.wait(3)
        return found

    MlflowClient.search_registered_models = both_have_looked
    with fast_flows():
        train(AS_OF, KNOWN_AT, QUICK)


@pytest.mark.long
def test_train_two_concurrent_runs_register_one_version(prefect_server: None, tmp_path: Path, trained: Trained) -> None:
    from holdfast.training.mlflow_client import open_tracking

    data = copy_shop(tmp_path)
    shutil.copytree(trained.data / "snapshots", data / "snapshots")
    meet = fork_server().Barrier(2)
    children = [start_process(_train_and_meet, data, meet, api=prefect_api()) for _ in range(2)]
    assert [join_process(child, 180) for child in children] == [0, 0]
    with use_data_folder(data) as settings:
        client = open_tracking(settings)
        assert {run.info.status for run in _runs(client)} == {"FINISHED"}
        assert _versions(client) == {"1"}
