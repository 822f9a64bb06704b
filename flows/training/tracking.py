"""MLflow: the embedded database, runs and the model registry."""

import tempfile
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
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import infer_signature
from sklearn.base import BaseEstimator

from feature_repo.model_contract import MODEL_NAME, SERVED_MODEL_TAG, TRUSTED_TYPES, ServedModel
from feature_repo.settings import Settings
from flows.training.dataset import TrainingSet
from flows.training.lineage import Lineage
from flows.training.plots import quality_curves
from flows.training.selection import Fitted

EXPERIMENT = "holdfast-churn"
TAG_KEY = "holdfast.training_key"


@dataclass(frozen=True)
class Registered:
    """A registered version and the run it came from."""

    version: str
    run_id: str


def open_mlflow(settings: Settings) -> MlflowClient:
    """The tracking client; on first use creates the embedded database and the experiment.

    One process at a time: MLflow's migrations fail when two create the database together.
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
    """Held from looking for an earlier result to registering a new one, so that two at once give one version."""
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.mlflow / "train.lock")


def find_version(client: MlflowClient, lineage: Lineage) -> Registered | None:
    """The version that training from this lineage has given already, if any."""
    found = client.search_model_versions(f"name = '{MODEL_NAME}' and tags.`{TAG_KEY}` = '{lineage.key}'")
    return Registered(str(found[0].version), str(found[0].run_id)) if found else None


@contextmanager
def training_run(lineage: Lineage) -> Iterator[str]:
    """The parent run of one training; yields its id. It ends FAILED when the body raises."""
    with mlflow.start_run(run_name=f"train as of {lineage.as_of:%Y-%m-%d}") as run:
        mlflow.log_params(
            lineage.settings | {"horizon_days": lineage.horizon_days, "activity_days": lineage.activity_days}
        )
        mlflow.log_dict(_plain(asdict(lineage)), "lineage.json")
        yield run.info.run_id


def log_candidate(parent: str, fitted: Fitted, fit: TrainingSet, validation: TrainingSet, digest: str) -> None:
    """One run per candidate under the parent: parameters, validation metrics and curves, data digest, the model."""
    with mlflow.start_run(run_name=fitted.candidate.name, nested=True, parent_run_id=parent):
        mlflow.set_tag("family", fitted.candidate.family)
        mlflow.log_params(fitted.candidate.params | _scalar_params(fitted.model))
        mlflow.log_metrics({f"validation.{name}": value for name, value in fitted.validation.items()})
        log_dataset(fit, "fit", digest)
        log_pictures({"validation_curves": quality_curves(validation.y, {"model": fitted.scores})})
        log_model(fitted.model, fit)


def log_dataset(data: TrainingSet, context: str, digest: str) -> None:
    """Name the data of a run: the first rows as a sample, the digest of all."""
    frame = pd.DataFrame(data.x[:5], columns=[feature.name for feature in data.inputs])
    dataset = from_pandas(frame, name=f"{context} rows", digest=digest[:32])
    mlflow.log_input(dataset, context=context)


def log_model(model: BaseEstimator, data: TrainingSet) -> Any:
    """The model as skops, never pickle, with its signature."""
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


def log_pictures(figures: Mapping[str, Figure]) -> None:
    """Pictures into the active run."""
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"{name}.png")


def log_predictions(data: TrainingSet, scores: Mapping[str, np.ndarray]) -> None:
    """What each model said of each test row, as Parquet."""
    frame = data.keys.assign(churned=data.y, **scores)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test_predictions.parquet"
        frame.to_parquet(path, index=False)
        mlflow.log_artifact(str(path))


def register(
    client: MlflowClient, model_info: Any, run_id: str, served: ServedModel, lineage: Lineage, description: str
) -> Registered:
    """Register the model and set what serving and lineage need as tags."""
    if not client.search_registered_models(f"name = '{MODEL_NAME}'"):  # one at a time: see training_lock
        client.create_registered_model(MODEL_NAME, description="Probability that a customer churns.")
    tags = {
        SERVED_MODEL_TAG: served.model_dump_json(),
        TAG_KEY: lineage.key,
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
    return Registered(str(created.version), run_id)


def _scalar_params(model: BaseEstimator) -> dict[str, Any]:
    """Every parameter of the model and its steps that is a plain value."""
    return {
        name: value for name, value in model.get_params().items() if isinstance(value, str | int | float | bool | None)
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}
