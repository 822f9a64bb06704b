"""MLflow tracking: the embedded database, training runs and registration of versions."""

import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.models.contract import AS_OF_TAG, SERVED_MODEL_TAG, ServedModel
from holdfast.models.declaration import declared_name, load_declaration
from holdfast.shared_state.work_locks import work_lock
from holdfast.training.evaluation_report import EVALUATION_FILE, Evaluation
from holdfast.training.hyperparameter_search import SearchTrial
from holdfast.training.lineage import Lineage
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.run_artifacts import read_file
from holdfast.training.trainer import TRAINER_TAG, render_trainer

_TRAINING_KEY_TAG = "holdfast.training_key"
LINEAGE_FILE = "lineage.json"
PREDICTIONS_FILE = "test_predictions.parquet"
TRAINING_TIME_METRIC = "training_cpu_seconds"
_WORKSPACE = "holdfast.workspace"
_TRIAL = "holdfast.trial"


@dataclass(frozen=True)
class TrainedVersion:
    """Registered version and its training run."""

    version: str
    run_id: str


def training_lock(settings: Settings) -> AbstractContextManager[None]:
    """Return the lock from the search for an earlier version to registration; concurrent runs give one version.

    Args:
        settings: Settings with the place of the lock.

    Returns:
        Lock, not acquired.
    """
    return work_lock(settings, "training")


def find_trained_version(client: ModelClient, lineage: Lineage) -> TrainedVersion | None:
    """Find the version of an earlier training with the same key.

    Args:
        client: Tracking client.
        lineage: Lineage of the training.

    Returns:
        Version and run; None without such a training.
    """
    query = f"name = '{client.model_name}' and tags.`{_TRAINING_KEY_TAG}` = '{lineage.key}'"
    found = client.search_model_versions(query)
    return TrainedVersion(str(found[0].version), str(found[0].run_id)) if found else None


def close_orphaned_runs(client: ModelClient, settings: Settings) -> None:
    """End the RUNNING runs of killed trainings of this data folder. The caller holds the training lock.

    A run with a registered version becomes FINISHED, any other run KILLED.

    Args:
        client: Tracking client.
        settings: Settings with the data folder.
    """
    for run in _runs(client, f"tags.`{_WORKSPACE}` = '{_workspace_id(settings)}' and attributes.status = 'RUNNING'"):
        registered = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        client.set_terminated(run.info.run_id, "FINISHED" if registered else "KILLED")


@contextmanager
def training_run(client: ModelClient, settings: Settings, lineage: Lineage) -> Iterator[str]:
    """Open the parent run of a training, or resume the run of an interrupted training of this data folder.

    The run ends FAILED when the body raises. An uninterrupted training logs its processor time as
    ``TRAINING_TIME_METRIC``, which other processes on the machine do not affect.

    Args:
        client: Tracking client.
        settings: Settings with the data folder, which distinguishes trainings on a shared tracking server.
        lineage: Lineage of the training.

    Yields:
        Run id.
    """
    earlier = _runs(
        client, f"tags.`{_TRAINING_KEY_TAG}` = '{lineage.key}' and tags.`{_WORKSPACE}` = '{_workspace_id(settings)}'"
    )
    target = {"run_id": earlier[0].info.run_id} if earlier else {"run_name": f"train as of {lineage.as_of:%Y-%m-%d}"}
    with mlflow.start_run(**target, tags={_TRAINING_KEY_TAG: lineage.key, _WORKSPACE: _workspace_id(settings)}) as run:
        mlflow.log_params(lineage.parameters)
        mlflow.log_dict(_to_json(asdict(lineage)), LINEAGE_FILE)
        start = time.process_time()
        yield run.info.run_id
        if not earlier:  # a resumed training measures only its last part
            mlflow.log_metric(TRAINING_TIME_METRIC, time.process_time() - start)


class TrialLog:
    """Log of one child run per trial; a trial that is logged already is skipped.

    Args:
        client: Tracking client.
        parent: Run id of the training.
    """

    def __init__(self, client: ModelClient, parent: str) -> None:
        self._client, self._parent = client, parent
        run = client.get_run(parent)
        self._experiment, self._workspace = run.info.experiment_id, run.data.tags[_WORKSPACE]
        children = _runs(client, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'")
        self._logged = {run.data.tags.get(_TRIAL) for run in children if run.info.status == "FINISHED"}

    def log(self, trial: SearchTrial) -> None:
        """Log the parameters of a trial, its ROC-AUC by fold, and whether it was pruned.

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
                _WORKSPACE: self._workspace,
                _TRIAL: key,
                "family": trial.family,
                "pruned": str(trial.log_loss is None).lower(),
            },
        )
        metrics = [Metric("fold.log_loss", value, now, step) for step, value in enumerate(trial.fold_log_loss)]
        if trial.log_loss is not None:
            metrics.append(Metric("folds.log_loss", trial.log_loss, now, 0))
        params = [Param(name, str(value)) for name, value in trial.params.items()]
        self._client.log_batch(run.info.run_id, metrics=metrics, params=params)
        self._client.set_terminated(run.info.run_id)
        self._logged.add(key)


def read_evaluation(client: ModelClient, run_id: str) -> Evaluation:
    """Read the evaluation of a training run.

    Args:
        client: Tracking client.
        run_id: Run id of the training.

    Returns:
        Evaluation.
    """
    return Evaluation.model_validate_json(read_file(client, run_id, EVALUATION_FILE))


def read_model_evaluation(client: ModelClient, run_id: str) -> Evaluation | RegressionEvaluation:
    """Read the evaluation of a training run, by the kind of the model.

    Args:
        client: Tracking client, bound to the model.
        run_id: Run id of the training.

    Returns:
        Evaluation.
    """
    return parse_evaluation(client.model_name, read_file(client, run_id, EVALUATION_FILE))


def parse_evaluation(model_name: str, content: bytes) -> Evaluation | RegressionEvaluation:
    """Parse the evaluation of a version, by the kind of its model.

    Args:
        model_name: Name of the registered model.
        content: Content of the file.

    Returns:
        Evaluation.
    """
    is_regression = load_declaration(declared_name(model_name)).kind == "regression"
    return (RegressionEvaluation if is_regression else Evaluation).model_validate_json(content)


def register_version(
    client: ModelClient, model_info: Any, run_id: str, served: ServedModel, lineage: Lineage, description: str
) -> TrainedVersion:
    """Register a model version together with the tags that serving and lineage need.

    Args:
        client: Tracking client.
        model_info: MLflow's model info.
        run_id: Run id of the training.
        served: Contract of the model.
        lineage: Lineage of the training.
        description: Description of the version.

    Returns:
        Version and run.
    """
    # The caller holds the training lock, so no other process creates the model in between.
    if not client.search_registered_models(f"name = '{client.model_name}'"):
        client.create_registered_model(client.model_name, description=load_declaration(lineage.model).description)
    tags = {
        SERVED_MODEL_TAG: served.model_dump_json(),
        _TRAINING_KEY_TAG: lineage.key,
        AS_OF_TAG: lineage.as_of.isoformat(),
        TRAINER_TAG: render_trainer(),
        "holdfast.known_at": lineage.known_at.isoformat(),
        "holdfast.batches": str(len(lineage.batches)),
        "holdfast.git_commit": lineage.git_commit,
        "holdfast.lock": lineage.lock,
        **{f"holdfast.fingerprint.{part}": value for part, value in lineage.fingerprint.items()},
    }
    created: ModelVersion = client.create_model_version(
        client.model_name,
        source=model_info.model_uri,
        run_id=run_id,
        tags=tags,
        model_id=model_info.model_id,
        description=description,
    )
    return TrainedVersion(str(created.version), run_id)


def _runs(client: ModelClient, query: str) -> list[Run]:
    experiment = client.get_experiment_by_name(client.model_name)
    assert experiment is not None  # created by open_tracking
    return list(
        client.search_runs([experiment.experiment_id], query, ViewType.ACTIVE_ONLY, 1000, ["attributes.start_time ASC"])
    )


def _workspace_id(settings: Settings) -> str:
    """Return the id of the data folder, which distinguishes its runs on a shared tracking server."""
    path = settings.mlflow / "place"
    if not path.exists():
        with replace_file(path) as temporary:
            temporary.write_text(uuid.uuid4().hex)
    return path.read_text()


def _to_json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}
