"""MLflow tracking of a training: database, runs, artifacts and registration."""

import hashlib
import json
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from filelock import FileLock
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Metric, Param, Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import infer_signature
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from sklearn.base import BaseEstimator

from feature_repo.settings import Settings
from feature_repo.source_hash import sha256
from holdfast.core.atomic_files import replace_file
from holdfast.models.contract import MODEL_NAME, SERVED_MODEL_TAG, TRUSTED_TYPES, ServedModel
from holdfast.models.registry_client import RegistryClient
from holdfast.runtime.run_artifacts import read_file
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import EVALUATION_FILE, Evaluation
from holdfast.training.hyperparameter_search import SearchTrial
from holdfast.training.lineage import Lineage
from holdfast.training.recipe import RECIPE_FILE, Recipe

EXPERIMENT = "holdfast-churn"
TRAINING_KEY_TAG = "holdfast.training_key"
LINEAGE_FILE = "lineage.json"
PREDICTIONS_FILE = "test_predictions.parquet"
TRAINING_TIME_METRIC = "training_cpu_seconds"
_PLACE = "holdfast.place"
_TRIAL = "holdfast.trial"


@dataclass(frozen=True)
class TrainedVersion:
    """Registered version with its run."""

    version: str
    run_id: str


def open_tracking(settings: Settings) -> MlflowClient:
    """Open the tracking client; the first call creates the embedded database and the experiment.

    One process at a time: MLflow's migrations fail when two processes create the database together.

    Args:
        settings: Settings with the tracking URI.

    Returns:
        The client.
    """
    uri = settings.mlflow_tracking_uri
    mlflow.set_tracking_uri(uri)
    embedded = uri.startswith("sqlite:///")
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.mlflow / "setup.lock"):
        client = MlflowClient(uri, registry_uri=uri)
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(
                EXPERIMENT, artifact_location=(settings.mlflow / "artifacts").as_uri() if embedded else None
            )
    mlflow.set_experiment(EXPERIMENT)
    return client


def training_lock(settings: Settings) -> FileLock:
    """Return the lock from the search for an earlier result to the registration, so that concurrent trainings
    register once.

    Args:
        settings: Settings with the MLflow folder, which is created.

    Returns:
        The lock, not acquired.
    """
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.mlflow / "train.lock")


def find_trained_version(client: MlflowClient, lineage: Lineage) -> TrainedVersion | None:
    """Find the version of an earlier training with the same lineage.

    Args:
        client: MLflow client.
        lineage: Lineage of the training.

    Returns:
        The version; None if there is none.
    """
    found = client.search_model_versions(f"name = '{MODEL_NAME}' and tags.`{TRAINING_KEY_TAG}` = '{lineage.key}'")
    return TrainedVersion(str(found[0].version), str(found[0].run_id)) if found else None


def close_orphaned_runs(client: MlflowClient, settings: Settings) -> None:
    """Terminate runs that killed trainings of this data folder left RUNNING; the caller holds the training lock.

    A run with a registered version is marked as finished, any other as killed.

    Args:
        client: MLflow client.
        settings: Settings with the data folder.
    """
    for run in _runs(client, f"tags.`{_PLACE}` = '{_place(settings)}' and attributes.status = 'RUNNING'"):
        registered = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        client.set_terminated(run.info.run_id, "FINISHED" if registered else "KILLED")


@contextmanager
def training_run(client: MlflowClient, settings: Settings, lineage: Lineage) -> Iterator[str]:
    """Open the parent run of a training; an exception in the body marks the run as FAILED.

    An interrupted training resumes its own run. An uninterrupted one logs its processor time, which other load on the
    machine does not change.

    Args:
        client: MLflow client.
        settings: Settings with the data folder.
        lineage: Lineage of the training.

    Yields:
        Id of the run.
    """
    earlier = _runs(client, f"tags.`{TRAINING_KEY_TAG}` = '{lineage.key}' and tags.`{_PLACE}` = '{_place(settings)}'")
    begun = {"run_id": earlier[0].info.run_id} if earlier else {"run_name": f"train as of {lineage.as_of:%Y-%m-%d}"}
    with mlflow.start_run(**begun, tags={TRAINING_KEY_TAG: lineage.key, _PLACE: _place(settings)}) as run:
        mlflow.log_params(lineage.parameters)
        mlflow.log_dict(_plain(asdict(lineage)), LINEAGE_FILE)
        began = time.process_time()
        yield run.info.run_id
        if not earlier:  # else this is only the rest of it
            mlflow.log_metric(TRAINING_TIME_METRIC, time.process_time() - began)


class TrialLog:
    """Child runs of a search, one per trial; an existing run is not written again."""

    def __init__(self, client: MlflowClient, parent: str) -> None:
        self._client, self._parent = client, parent
        run = client.get_run(parent)
        self._experiment, self._place = run.info.experiment_id, run.data.tags[_PLACE]
        children = _runs(client, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'")
        self._logged = {run.data.tags.get(_TRIAL) for run in children if run.info.status == "FINISHED"}

    def log(self, trial: SearchTrial) -> None:
        """Log parameters, ROC-AUC by fold and the pruning of a trial.

        Args:
            trial: Finished trial.
        """
        key = f"{trial.family}/{trial.number}"
        if key in self._logged:
            return
        now = int(time.time() * 1000)
        run = self._client.create_run(
            self._experiment,
            start_time=now - int(trial.seconds * 1000),
            tags={
                MLFLOW_PARENT_RUN_ID: self._parent,
                MLFLOW_RUN_NAME: trial.name,
                _PLACE: self._place,
                _TRIAL: key,
                "family": trial.family,
                "pruned": str(trial.roc_auc is None).lower(),
            },
        )
        metrics = [Metric("fold.roc_auc", value, now, step) for step, value in enumerate(trial.fold_roc_auc)]
        if trial.roc_auc is not None:
            metrics.append(Metric("folds.roc_auc", trial.roc_auc, now, 0))
        params = [Param(name, str(value)) for name, value in trial.params.items()]
        self._client.log_batch(run.info.run_id, metrics=metrics, params=params)
        self._client.set_terminated(run.info.run_id)
        self._logged.add(key)


def log_dataset(data: TrainingSet, context: str, digests: Mapping[str, str]) -> None:
    """Log the data set of the active run: the first rows as a sample, and the digest of all rows.

    Args:
        data: Training set.
        context: Use of the data, such as "training".
        digests: SHA-256 of each part.
    """
    frame = pd.DataFrame(data.x[:5], columns=[feature.name for feature in data.inputs])
    mlflow.log_input(from_pandas(frame, name=f"{context} rows", digest=dataset_digest(digests)), context=context)


def dataset_digest(digests: Mapping[str, str]) -> str:
    """Combine the digests of a training set into one, with the length that MLflow accepts.

    Args:
        digests: SHA-256 of each part.

    Returns:
        Digest, 32 hexadecimal digits.
    """
    return sha256(json.dumps(dict(digests), sort_keys=True))[:32]


def log_model(model: BaseEstimator, data: TrainingSet) -> Any:
    """Log a model with its signature, as skops instead of pickle.

    Args:
        model: Fitted classifier.
        data: Training set, for the signature.

    Returns:
        MLflow's model info.
    """
    sample = pd.DataFrame(data.x[:5], columns=[feature.name for feature in data.inputs])
    return mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(sample, model.predict_proba(data.x[:5])),
        pyfunc_predict_fn="predict_proba",
        serialization_format="skops",
        skops_trusted_types=TRUSTED_TYPES,
        pip_requirements=[f"{name}=={version(name)}" for name in ("scikit-learn", "skops", "numpy", "pandas")],
    )


def compute_logged_sha256(client: MlflowClient, model_info: Any) -> str:
    """Compute the SHA-256 of a logged model file as read back from the artifact store.

    The digest is registered: a service loads no other file, even if the artifact store was changed.

    Args:
        client: MLflow client.
        model_info: Result of :func:`log_model`.

    Returns:
        SHA-256, hexadecimal.
    """
    content = RegistryClient(str(client.tracking_uri)).download_logged_model(model_info.model_id)
    return hashlib.sha256(content).hexdigest()


def log_evaluation(recipe: Recipe, evaluation: Evaluation) -> None:
    """Log evaluation and recipe as files, and the main values as metrics and tags of the active run.

    Args:
        recipe: Recipe of the model.
        evaluation: Evaluation of the model.
    """
    mlflow.log_text(evaluation.model_dump_json(indent=2), EVALUATION_FILE)
    mlflow.log_text(recipe.model_dump_json(indent=2), RECIPE_FILE)
    for name, values in evaluation.metrics.items():
        for metric, value in values.items():
            mlflow.log_metric(f"test.{name}.{metric}", value.value)
    mlflow.log_metrics({f"test.model.{name}.low": i.low for name, i in evaluation.metrics["model"].items()})
    mlflow.log_metrics({f"test.model.{name}.high": i.high for name, i in evaluation.metrics["model"].items()})
    mlflow.log_metrics(
        {"value.per_customer": evaluation.value.earned.value, "instability": evaluation.instability.value}
    )
    mlflow.set_tags({"chosen": evaluation.chosen, "reason": evaluation.reason, "calibration": evaluation.calibration})


def read_evaluation(client: MlflowClient, run_id: str) -> Evaluation:
    """Read the evaluation of a run.

    Args:
        client: MLflow client.
        run_id: Id of the run.

    Returns:
        The evaluation.
    """
    return Evaluation.model_validate_json(read_file(client, run_id, EVALUATION_FILE))


def log_plots(figures: Mapping[str, Figure]) -> None:
    """Log plots as PNG files of the active run.

    Args:
        figures: Figure by name.
    """
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"{name}.png")


def log_predictions(data: TrainingSet, scores: Mapping[str, np.ndarray]) -> None:
    """Log the scores of each model for each test row as Parquet.

    Args:
        data: Test rows.
        scores: Scores by model, each of shape (rows,).
    """
    frame = data.keys.assign(churned=data.y, **scores)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PREDICTIONS_FILE
        frame.to_parquet(path, index=False)
        mlflow.log_artifact(str(path))


def register_version(
    client: MlflowClient, model_info: Any, run_id: str, served: ServedModel, lineage: Lineage, description: str
) -> TrainedVersion:
    """Register a model with the tags for serving and lineage in one request.

    Args:
        client: MLflow client.
        model_info: Result of :func:`log_model`.
        run_id: Id of the run.
        served: Contract of the model.
        lineage: Lineage of the training.
        description: Description of the version.

    Returns:
        The registered version.
    """
    if not client.search_registered_models(f"name = '{MODEL_NAME}'"):  # one at a time: see training_lock
        client.create_registered_model(MODEL_NAME, description="Probability that a customer churns.")
    tags = {
        SERVED_MODEL_TAG: served.model_dump_json(),
        TRAINING_KEY_TAG: lineage.key,
        "holdfast.as_of": lineage.as_of.isoformat(),
        "holdfast.known_at": lineage.known_at.isoformat(),
        "holdfast.batches": str(len(lineage.batches)),
        "holdfast.git_commit": lineage.git_commit,
        "holdfast.lock": lineage.lock,
        **{f"holdfast.fingerprint.{part}": value for part, value in lineage.fingerprint.items()},
    }
    created: ModelVersion = client.create_model_version(
        MODEL_NAME,
        source=model_info.model_uri,
        run_id=run_id,
        tags=tags,
        model_id=model_info.model_id,
        description=description,
    )
    return TrainedVersion(str(created.version), run_id)


def _runs(client: MlflowClient, query: str) -> list[Run]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None  # open_mlflow made it
    return list(
        client.search_runs([experiment.experiment_id], query, ViewType.ACTIVE_ONLY, 1000, ["attributes.start_time ASC"])
    )


def _place(settings: Settings) -> str:
    """Return the id of the data folder whose training lock guards a run; a shared server holds runs of other
    folders.
    """
    path = settings.mlflow / "place"
    if not path.exists():
        with replace_file(path) as temporary:
            temporary.write_text(uuid.uuid4().hex)
    return path.read_text()


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}
