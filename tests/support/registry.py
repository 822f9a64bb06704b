"""MLflow registry with small models, registered as training does."""

import atexit
import functools
import hashlib
import io
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

from feature_repo.names import FEATURE_SERVICE
from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.models.contract import MODEL_FILE, MODEL_NAME, SERVED_MODEL_TAG, ScoredExample, ServedModel
from holdfast.models.registered_version import TRAFFIC_TAG

INPUTS = ["silence", "purchases", "gap"]
DEFINITIONS = {"feature_service": "a", "on_demand": "b", "transformations": "c", "labels": "d"}


@functools.cache
def fit_classifier(seed: int = 0, inputs: int = len(INPUTS)) -> CalibratedModel:
    """Fit additive boosting on random rows with missing values in the last input."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, inputs))
    churned = x[:, 0] + rng.normal(size=200) > 0
    x[::3, -1] = np.nan
    boosting = HistGradientBoostingClassifier(max_iter=5, random_state=seed, interaction_cst="no_interactions")
    with threadpool_limits(limits=1):  # on a busy machine two threads are slower than one
        boosting.fit(x, churned)
    platt = LogisticRegression().fit(boosting.decision_function(x).reshape(-1, 1), churned)
    return CalibratedModel(boosting, platt)


def serialize_model(model: Any) -> bytes:
    """Return the model file."""
    file = io.BytesIO()
    skops.io.dump(model, file)
    return file.getvalue()


def build_contract(model: Any, content: bytes, **changed: Any) -> ServedModel:
    """Build the serving contract as training does."""
    rows = [[0.0, 1.0, None], [1.5, -1.0, 0.25], [-2.0, 0.0, 3.0]]
    scores = model.predict_proba(np.array(rows, dtype=float))[:, 1].tolist() if hasattr(model, "predict_proba") else []
    fields: dict[str, Any] = {
        "model_name": MODEL_NAME,
        "model_version": "",
        "feature_service": FEATURE_SERVICE,
        "inputs": INPUTS,
        "reference": rows[0],
        "threshold": 0.5,
        "horizon_days": 90,
        "activity_days": 180,
        "fingerprint": DEFINITIONS,
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "examples": [ScoredExample(inputs=x, churn_probability=p) for x, p in zip(rows, scores, strict=False)],
    }
    return ServedModel(**fields | changed)


@dataclass(frozen=True)
class Registry:
    """MLflow client with its URI and artifact folder."""

    client: Any
    uri: str
    artifacts: Path

    def register(self, content: bytes | None, tag: str | None) -> str:
        """Register a version with or without file and contract; return its number."""
        experiment = self.client.get_experiment_by_name("models").experiment_id
        run = self.client.create_run(experiment)
        if content is not None:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / MODEL_FILE
                file.write_bytes(content)
                self.client.log_artifact(run.info.run_id, str(file), "model")
        tags = {} if tag is None else {SERVED_MODEL_TAG: tag}
        source = f"{run.info.artifact_uri}/model"
        return str(self.client.create_model_version(MODEL_NAME, source, run.info.run_id, tags=tags).version)

    def register_model(self, seed: int = 0, **changed: Any) -> str:
        """Register a servable version, with ``changed`` fields of its contract."""
        model = fit_classifier(seed)
        content = serialize_model(model)
        return self.register(content, build_contract(model, content, **changed).model_dump_json())

    def set_alias(self, alias: str, version: str | None) -> None:
        """Move or remove an alias."""
        if version is None:
            self.client.delete_registered_model_alias(MODEL_NAME, alias)
        else:
            self.client.set_registered_model_alias(MODEL_NAME, alias, version)

    def set_traffic(self, version: str, traffic: str) -> None:
        """Set the traffic tag of a challenger, as JSON."""
        self.client.set_model_version_tag(MODEL_NAME, version, TRAFFIC_TAG, traffic)

    def model_path(self, version: str) -> Path:
        """Return the path of a version's model file."""
        run = self.client.get_model_version(MODEL_NAME, version).run_id
        (file,) = self.artifacts.rglob(f"{run}/artifacts/model/{MODEL_FILE}")
        return Path(file)


@functools.cache
def _empty_database() -> Path:
    """Create MLflow's tables once per process, as this takes seconds."""
    from mlflow import MlflowClient

    folder = tempfile.mkdtemp(prefix="holdfast-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = Path(folder) / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


def copy_empty_database(folder: Path) -> None:
    """Copy MLflow's tables without rows to a folder of a data folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_empty_database(), folder / "mlflow.db")


def make_registry(folder: Path, uri: str = "") -> Registry:
    """Create an empty registry in a database under ``folder``, or on the server at ``uri``."""
    from holdfast.training.mlflow_client import ModelClient

    if not uri:
        copy_empty_database(folder)
    client = ModelClient(uri or f"sqlite:///{folder / 'mlflow.db'}")
    artifacts = folder / "artifacts"
    client.create_experiment("models", artifact_location=None if uri else artifacts.as_uri())
    client.create_registered_model(MODEL_NAME)
    return Registry(client, str(client.tracking_uri), artifacts)
