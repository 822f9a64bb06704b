"""A model version with its training artifacts: model file, contract, recipe, evaluation, test predictions."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from io import BytesIO
from typing import Any, TypeVar

import pandas as pd
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from feature_repo.settings import Settings
from holdfast.core.definition_hashes import definitions_version, without_label
from holdfast.core.types import Floats
from holdfast.model_versions.aliases import get_version
from holdfast.model_versions.evidence import NotComputedError
from holdfast.models.contract import SERVED_MODEL_TAG, TRUSTED_TYPES, ServedModel
from holdfast.models.registry_client import RegistryClient
from holdfast.training.dataset import TrainingSet, build_training_set
from holdfast.training.evaluation_report import EVALUATION_FILE, Evaluation
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.mlflow_tracking import LINEAGE_FILE, PREDICTIONS_FILE
from holdfast.training.recipe import RECIPE_FILE, Recipe
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.run_artifacts import read_file

_Model = TypeVar("_Model", bound=BaseModel)


class ModelCandidate:
    """A registered version whose artifacts are loaded on first access.

    Properties raise NotComputedError for a missing artifact, and any error of reading it.

    Args:
        client: MLflow's client.
        version: Version number.

    Raises:
        UnknownVersionError: There is no such version.
    """

    def __init__(self, client: ModelClient, version: str) -> None:
        self._client, self._registered = client, get_version(client, version)
        self.version, self.run_id = version, str(self._registered.run_id)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Return the evaluation on the test set."""
        return self._json(EVALUATION_FILE, Evaluation)

    @cached_property
    def regression_evaluation(self) -> RegressionEvaluation:
        """Return the evaluation of a regression on the test set."""
        return self._json(EVALUATION_FILE, RegressionEvaluation)

    @cached_property
    def recipe(self) -> Recipe:
        """Return the recipe of the training."""
        return self._json(RECIPE_FILE, Recipe)

    @cached_property
    def contract(self) -> ServedModel:
        """Return the serving contract."""
        return ServedModel.model_validate_json(self._contract_text)

    @property
    def definitions(self) -> dict[str, str]:
        """Return the fingerprints of the features, without the label; older contract formats are read too."""
        fingerprint: dict[str, str] = json.loads(self._contract_text)["fingerprint"]
        return without_label(fingerprint)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Return the test rows: customer_id, cutoff, churned, and the scores of "model" and each baseline."""
        return pd.read_parquet(BytesIO(self._artifact(PREDICTIONS_FILE)))

    @cached_property
    def model_file(self) -> bytes:
        """Return the bytes of the registered model file."""
        return RegistryClient(str(self._client.tracking_uri), self._client.model_name).download_unverified(self.version)

    @cached_property
    def model(self) -> Any:
        """Return the estimator; a file with untrusted types is not loaded."""
        from skops.io import loads

        return loads(self.model_file, trusted=TRUSTED_TYPES)

    def score(self, x: Floats) -> Floats:
        """Compute churn probabilities.

        Args:
            x: Inputs, shape (rows, inputs).

        Returns:
            Probabilities, shape (rows,).
        """
        probabilities: Floats = self.model.predict_proba(x)[:, 1]
        return probabilities

    def predict(self, x: Floats) -> Floats:
        """Compute the expected values of a regression.

        Args:
            x: Inputs, shape (rows, inputs).

        Returns:
            Expected values, shape (rows,).
        """
        values: Floats = self.model.predict(x)
        return values

    def test_rows(self, settings: Settings) -> TrainingSet:
        """Join the test rows again, with the data known at the training.

        Args:
            settings: Settings of the feature store.

        Returns:
            The rows of the test cut-offs.

        Raises:
            MissingVersionError: The version of the feature definitions is not registered.
            NotComputedError: The feature service of that version has other inputs.
        """
        return self.rows_of_test(settings, self)

    def rows_of_test(self, settings: Settings, tested: "ModelCandidate") -> TrainingSet:
        """Join the test rows of another version, by its label, with the inputs of this version.

        Args:
            settings: Settings of the feature store.
            tested: Version with the test cut-offs and the times of its training.

        Returns:
            The same customers, cut-offs and outcomes as the test rows of ``tested``.

        Raises:
            MissingVersionError: The version of the feature definitions is not registered.
            NotComputedError: The feature service of that version has other inputs.
            UnknownLabelError: ``tested`` was registered without the SQL of its label.
        """
        return self._rows_at(settings, tested, tested.recipe.test)

    def rows_of_training(self, settings: Settings) -> TrainingSet:
        """Join the rows of the development and test cut-offs again, with the data known at the training.

        Args:
            settings: Settings of the feature store.

        Returns:
            The rows on which the tested model was fitted, and those of the test.

        Raises:
            MissingVersionError: The version of the feature definitions is not registered.
            NotComputedError: The feature service of that version has other inputs.
        """
        return self._rows_at(settings, self, [*self.recipe.development, *self.recipe.test])

    def _rows_at(self, settings: Settings, tested: "ModelCandidate", cutoffs: Sequence[datetime]) -> TrainingSet:
        lineage = json.loads(tested._artifact(LINEAGE_FILE))
        as_of, known_at = (datetime.fromisoformat(lineage[name]) for name in ("as_of", "known_at"))
        definitions = definitions_version(self.definitions)
        label = tested.contract.label
        rows = build_training_set(settings, definitions, cutoffs, as_of, known_at, label=label)
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
