"""The training flow on the small shop: what it leaves in MLflow, once, whoever starts it and however it ends."""

import contextlib
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

from feature_repo.model_contract import MODEL_NAME, SERVED_MODEL_TAG, ServedModel, fingerprint, model_inputs
from tests.flows.conftest import Trained
from tests.flows.small_shop import (
    AS_OF,
    KNOWN_AT,
    at_work_on,
    copy_shop,
    fast_flows,
    ingest,
    join,
    prefect_api,
    processes,
    start,
    transactions,
)

PNG = b"\x89PNG\r\n\x1a\n"
NAMES = ["logistic C=0.001", "logistic C=0.01", "logistic C=0.1", "logistic C=1", "boosting leaves=7"]
NAMES += ["boosting leaves=15"]


@pytest.fixture
def client(trained: Trained) -> Iterator[Any]:
    """MLflow's client on the trained shop, with this process at work there."""
    from flows.training.tracking import open_mlflow

    with at_work_on(trained.data) as settings:
        yield open_mlflow(settings)


def _children(client: Any, run_id: str) -> list[Any]:
    experiment = client.get_run(run_id).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")


def _versions(client: Any) -> set[str]:
    return {str(item.version) for item in client.search_model_versions(f"name = '{MODEL_NAME}'")}


def _runs(client: Any) -> list[Any]:
    from flows.training.tracking import EXPERIMENT

    experiment = client.get_experiment_by_name(EXPERIMENT)
    return client.search_runs([experiment.experiment_id]) if experiment else []


class TestRuns:
    def test_one_parent_and_one_child_per_candidate(self, trained: Trained, client: Any) -> None:
        parent = client.get_run(trained.result.run_id)
        children = _children(client, trained.result.run_id)
        assert sorted(run.info.run_name for run in children) == sorted(NAMES)
        assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
        assert "mlflow.parentRunId" not in parent.data.tags

    def test_each_child_holds_parameters_metrics_and_its_data(
        self, trained: Trained, client: Any, dataset: Any
    ) -> None:
        digest = dataset.data.at(dataset.split.fit).digest()[:32]
        for run in _children(client, trained.result.run_id):
            family, parameter = run.info.run_name.split(" ")
            name, value = parameter.split("=")
            assert run.data.tags["family"] == family
            assert (
                run.data.params.items()
                >= {"C" if name == "C" else "max_leaf_nodes": str(float(value) if name == "C" else value)}.items()
            )
            assert sorted(run.data.metrics) == [f"validation.{m}" for m in ("brier", "log_loss", "pr_auc", "roc_auc")]
            assert [item.dataset.digest for item in run.inputs.dataset_inputs] == [digest]

    def test_the_parent_holds_the_test_and_its_data(self, trained: Trained, client: Any, dataset: Any) -> None:
        run, result = client.get_run(trained.result.run_id), trained.result
        development, test = dataset.data.at(dataset.split.development), dataset.data.at(dataset.split.test)
        assert {item.dataset.digest for item in run.inputs.dataset_inputs} == {
            development.digest()[:32],
            test.digest()[:32],
        }
        assert (result.training_rows, result.test_rows) == (len(development.y), len(test.y))
        for model, values in {"model": result.metrics, **result.baselines}.items():
            for metric, value in values.items():
                assert run.data.metrics[f"test.{model}.{metric}"] == value
        assert run.data.params["seed"] == "0"
        assert run.data.params["horizon_days"] == "90"
        assert run.data.tags["chosen"] == result.chosen in NAMES
        assert run.data.tags["reason"] == result.reason

    def test_the_predictions_give_the_metrics(self, trained: Trained, client: Any) -> None:
        from flows.training.evaluation import metrics

        path = client.download_artifacts(trained.result.run_id, "test_predictions.parquet")
        frame = pd.read_parquet(path)
        assert len(frame) == trained.result.test_rows
        assert metrics(frame["churned"].to_numpy(), frame["model"].to_numpy()) == trained.result.metrics

    def test_pictures_are_pictures(self, trained: Trained, client: Any) -> None:
        for name in ("test_curves.png", "test_months.png"):
            content = Path(client.download_artifacts(trained.result.run_id, name)).read_bytes()
            assert content.startswith(PNG)
            assert len(content) > 10_000

    def test_every_model_is_skops_with_a_signature_and_nothing_is_a_pickle(self, trained: Trained, client: Any) -> None:
        import skops.io
        import yaml

        from feature_repo.model_contract import TRUSTED_TYPES

        with at_work_on(trained.data):
            from feature_repo.stores import open_store

            inputs = [feature.name for feature in model_inputs(open_store())]
        artifacts = trained.data / "mlflow" / "artifacts"
        models = list(artifacts.rglob("MLmodel"))
        assert len(models) >= len(NAMES) + 1
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
    def test_tags_say_how_to_serve_it_and_where_it_came_from(self, trained: Trained, client: Any, dataset: Any) -> None:
        version = client.get_model_version(MODEL_NAME, trained.result.model_version)
        assert version.run_id == trained.result.run_id
        served = ServedModel.model_validate_json(version.tags[SERVED_MODEL_TAG])
        assert served.inputs == [feature.name for feature in dataset.data.inputs]
        assert (served.threshold, served.horizon_days, served.activity_days) == (0.5, 90, 180)
        with at_work_on(trained.data):
            from feature_repo.stores import open_store

            expected = fingerprint(open_store(), 90, 180)
        assert served.fingerprint == expected
        prefix = "holdfast.fingerprint."
        assert {k.removeprefix(prefix): v for k, v in version.tags.items() if k.startswith(prefix)} == expected
        assert version.tags["holdfast.as_of"] == AS_OF.isoformat()
        assert version.tags["holdfast.known_at"] == KNOWN_AT.isoformat()
        assert version.tags["holdfast.batches"] == "3"
        assert len(version.tags["holdfast.training_key"]) == len(version.tags["holdfast.lock"]) == 64
        assert version.tags["holdfast.git_commit"]

    def test_the_registered_model_scores_as_the_test_says(self, trained: Trained, client: Any, dataset: Any) -> None:
        import mlflow

        from flows.training.evaluation import metrics
        from flows.training.selection import churn_scores

        model = mlflow.sklearn.load_model(f"models:/{MODEL_NAME}/{trained.result.model_version}")
        test = dataset.data.at(dataset.split.test)
        assert metrics(test.y, churn_scores(model, test.x)) == trained.result.metrics

    def test_no_alias_moved(self, trained: Trained, client: Any) -> None:
        assert client.get_registered_model(MODEL_NAME).aliases == {}


class TestAgain:
    def test_the_same_training_is_found_and_adds_nothing(self, flows_here: None, trained: Trained, client: Any) -> None:
        from flows.train import train

        before = len(_runs(client)), len(_versions(client))
        again = train(AS_OF, KNOWN_AT + timedelta(hours=1))  # known later, but nothing arrived in between
        assert again.trained is False
        assert again.__dict__ == trained.result.__dict__ | {"trained": False}
        assert (len(_runs(client)), len(_versions(client))) == before

    def test_new_data_make_a_new_version(self, flows_here: None, trained: Trained, client: Any, few: list[str]) -> None:
        from flows.train import train

        before, known_at = _versions(client), KNOWN_AT + timedelta(days=2)
        ingest(trained.data, [transactions()[0]._replace(amount=1.25, ingested_at=known_at)], known_at)
        result = train(AS_OF, known_at)
        assert result.trained is True
        assert result.model_version not in before
        assert _versions(client) == before | {result.model_version}
        assert train(AS_OF, known_at).model_version == result.model_version
        assert train(AS_OF, KNOWN_AT).model_version == trained.result.model_version

    def test_killed_in_a_fit_the_next_run_registers_exactly_one_version(
        self, flows_here: None, trained: Trained, client: Any, few: list[str]
    ) -> None:
        from flows.train import train
        from flows.training.settings import TrainingSettings

        before, runs = _versions(client), len(_runs(client))
        assert join(start(_killed_in_a_fit, trained.data, api=prefect_api()), 120) == -signal.SIGKILL
        assert len(_runs(client)) == runs + 2, "a parent and a candidate: it did not die where it should"
        assert _versions(client) == before
        result = train(AS_OF, KNOWN_AT, TrainingSettings(threshold=0.3))
        assert result.trained is True
        assert result.model_version not in before
        assert _versions(client) == before | {result.model_version}
        version = client.get_model_version(MODEL_NAME, result.model_version)
        assert ServedModel.model_validate_json(version.tags[SERVED_MODEL_TAG]).threshold == 0.3
        assert result.metrics == trained.result.metrics  # the threshold is no part of the fit
        children = _children(client, result.run_id)
        assert sorted(run.info.run_name for run in children) == sorted(few)
        assert {run.info.status for run in children} == {"FINISHED"}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Training compares two candidates only; returns their names."""
    from flows.training import candidates

    chosen = candidates.candidates()[1::3]
    monkeypatch.setattr(candidates, "candidates", lambda: chosen)
    return [candidate.name for candidate in chosen]


def _killed_in_a_fit() -> None:
    from flows.train import train
    from flows.training import selection
    from flows.training.settings import TrainingSettings

    original, calls = selection.fit_model, 0

    def fatal(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    selection.fit_model = fatal
    train(AS_OF, KNOWN_AT, TrainingSettings(threshold=0.3))


def _train_two_candidates(meet: Any) -> None:
    from mlflow import MlflowClient

    from flows.train import train
    from flows.training import candidates

    few, search = candidates.candidates()[1::3], MlflowClient.search_registered_models

    def both_have_looked(*arguments: Any, **options: Any) -> Any:
        found = search(*arguments, **options)
        with contextlib.suppress(threading.BrokenBarrierError):  # where one has to wait for the other to end
            meet.wait(3)
        return found

    candidates.candidates = lambda: few
    MlflowClient.search_registered_models = both_have_looked
    with fast_flows():
        train(AS_OF, KNOWN_AT)


def test_two_at_once_in_an_empty_folder_both_succeed(prefect_server: None, tmp_path: Path, trained: Trained) -> None:
    from flows.training.tracking import open_mlflow

    data = copy_shop(tmp_path)
    shutil.copytree(trained.data / "snapshots", data / "snapshots")
    meet = processes().Barrier(2)
    children = [start(_train_two_candidates, data, meet, api=prefect_api()) for _ in range(2)]
    assert [join(child, 120) for child in children] == [0, 0]
    with at_work_on(data) as settings:
        client = open_mlflow(settings)
        assert {run.info.status for run in _runs(client)} == {"FINISHED"}
        assert _versions(client) <= {"1", "2"}
