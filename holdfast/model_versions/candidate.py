"""A model version and what its training left of it: the model file, the contract, the test."""

import json
import tempfile
from datetime import datetime
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from feature_repo.settings import Settings
from holdfast.core.types import Floats
from holdfast.feature_store.parity import without_label
from holdfast.model_versions.aliases import get_version
from holdfast.model_versions.evidence import NotComputedError
from holdfast.models.contract import MODEL_FILE, MODEL_NAME, SERVED_MODEL_TAG, TRUSTED_TYPES, ServedModel
from holdfast.runtime.run_artifacts import read_file
from holdfast.training.dataset import TrainingSet, build_training_set
from holdfast.training.evaluation_report import EVALUATION_FILE, Evaluation
from holdfast.training.mlflow_tracking import LINEAGE_FILE, PREDICTIONS_FILE
from holdfast.training.recipe import RECIPE_FILE, Recipe

_Model = TypeVar("_Model", bound=BaseModel)


class ModelCandidate:
    """A registered version. What cannot be read raises NotComputedError, or what reading it raised."""

    def __init__(self, client: MlflowClient, version: str) -> None:
        self._client, self._registered = client, get_version(client, version)
        self.version, self.run_id = version, str(self._registered.run_id)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Its one test."""
        return self._json(EVALUATION_FILE, Evaluation)

    @cached_property
    def recipe(self) -> Recipe:
        """How it was made."""
        return self._json(RECIPE_FILE, Recipe)

    @cached_property
    def contract(self) -> ServedModel:
        """How it is served."""
        return ServedModel.model_validate_json(self._contract_text)

    @property
    def definitions(self) -> dict[str, str]:
        """The fingerprint of its features, without that of its label; also of versions of an older contract."""
        fingerprint: dict[str, str] = json.loads(self._contract_text)["fingerprint"]
        return without_label(fingerprint)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Its test rows: customer_id, cutoff, churned, and the scores of "model" and each baseline."""
        return pd.read_parquet(BytesIO(self._artifact(PREDICTIONS_FILE)))

    @cached_property
    def model_file(self) -> bytes:
        """The file of the registered model."""
        place, uri = f"models:/{MODEL_NAME}/{self.version}", str(self._client.tracking_uri)
        with tempfile.TemporaryDirectory(prefix="holdfast-model-") as folder:
            file = Path(download_artifacts(place, dst_path=folder, tracking_uri=uri, registry_uri=uri)) / MODEL_FILE
            if not file.is_file():
                raise NotComputedError(f"version {self.version} holds no {MODEL_FILE}")
            return file.read_bytes()

    @cached_property
    def model(self) -> Any:
        """The classifier in it; a file with types that are not trusted is not loaded."""
        from skops.io import loads

        return loads(self.model_file, trusted=TRUSTED_TYPES)

    def score(self, x: Floats) -> Floats:
        """Churn probabilities of rows of inputs, shape (rows,)."""
        probabilities: Floats = self.model.predict_proba(x)[:, 1]
        return probabilities

    def test_rows(self, settings: Settings, definitions: dict[str, str]) -> TrainingSet:
        """Its test rows, joined again as known at its training, by the ``definitions`` in the registry of features."""
        if parts := sorted(part for part, value in self.definitions.items() if definitions.get(part) != value):
            raise NotComputedError(
                f"version {self.version} was trained on other definitions than Feast's registry holds "
                f"({', '.join(parts)} differ); train again with `python -m flows.train`"
            )
        lineage = json.loads(self._artifact(LINEAGE_FILE))
        as_of, known_at = (datetime.fromisoformat(lineage[name]) for name in ("as_of", "known_at"))
        rows = build_training_set(settings, self.recipe.test, as_of, known_at)
        if (names := [feature.name for feature in rows.inputs]) != self.contract.inputs:
            raise NotComputedError(f"version {self.version} reads {self.contract.inputs}, the feature service {names}")
        return rows

    @property
    def _contract_text(self) -> str:
        if SERVED_MODEL_TAG not in self._registered.tags:
            raise NotComputedError(f"version {self.version} has no tag {SERVED_MODEL_TAG}: flows.train did not make it")
        return str(self._registered.tags[SERVED_MODEL_TAG])

    def _json(self, name: str, model: type[_Model]) -> _Model:
        return model.model_validate_json(self._artifact(name))

    def _artifact(self, name: str) -> bytes:
        try:
            return read_file(self._client, self.run_id, name)
        except (MlflowException, OSError) as error:
            raise NotComputedError(f"run {self.run_id} of version {self.version} has no {name}") from error
