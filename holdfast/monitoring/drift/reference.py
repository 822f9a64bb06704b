"""Reference data of a model version: its training set, and the population at training time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.batch_scoring.champion_model import ScoringModel
from holdfast.batch_scoring.population import ScoringPopulation, load_active_customers
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.core.parquet_files import read_parquet_file
from holdfast.core.types import Floats
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.snapshots import build_snapshots
from holdfast.models.categories import InputCategories
from holdfast.models.contract import MODEL_NAME, diff_registry_definitions, model_inputs
from holdfast.models.registered_version import RegisteredVersion
from holdfast.models.registry_client import RegistryClient
from holdfast.monitoring.drift.psi import SCORE
from holdfast.runtime.run_artifacts import read_file
from holdfast.training.dataset import TrainingSet, build_training_set
from holdfast.training.recipe import RECIPE_FILE, Recipe

# Column of the Parquet file and its values; "population" is the population at training.
_PART, _TRAINING, _POPULATION = "part", "training", "population"


class NoReferenceError(HoldfastError):
    """A version without reference data."""


@dataclass(frozen=True)
class DriftReference:
    """Reference data of one version, with one column per input and the score as last column.

    Attributes:
        as_of: Time of the training.
        training: Rows that the version was fitted on, over many months, shape (rows, names).
        training_population: Customers active at ``as_of``, for which the version was accepted, shape (rows, names).
        categories: Categorical input to its categories.
    """

    version: str
    as_of: datetime
    names: list[str]
    training: Floats
    training_population: Floats
    categories: Mapping[str, InputCategories] = field(default_factory=dict)


def load_training_rows(client: MlflowClient, settings: Settings, version: str) -> TrainingSet:
    """Load the rows that a version was fitted on, joined again as known at its training.

    Feast's registry must hold the definitions of the training, because they determine the order of the inputs.

    Args:
        client: MLflow client.
        settings: Settings with the data folder.
        version: Number of the version.

    Returns:
        The training set.
    """
    registered = client.get_model_version(MODEL_NAME, version)
    recipe = Recipe.model_validate_json(read_file(client, str(registered.run_id), RECIPE_FILE))
    as_of, known_at = _read_times(registered.tags)
    return build_training_set(settings, recipe.shipped, as_of, known_at)


def load_reference(client: MlflowClient, settings: Settings, version: str) -> DriftReference:
    """Load the reference data of a version.

    The data are joined once and stored as Parquet, so that a later change of the definitions does not affect them.

    Args:
        client: MLflow client.
        settings: Settings with the data folder.
        version: Number of the version.

    Returns:
        The reference data.

    Raises:
        NoReferenceError: The version or its run is missing, or the definitions have changed since its training.
    """
    try:
        registered = client.get_model_version(MODEL_NAME, version)
        path = settings.monitoring / "reference" / f"{version}-{registered.run_id}.parquet"
        model = RegisteredVersion(version, dict(registered.tags))
        if not path.exists():
            frame = _join(client, settings, model)
            with replace_file(path) as temporary:
                frame.to_parquet(temporary, index=False)
        return replace(_read(version, _read_times(registered.tags)[0], path), categories=model.contract().categories)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise NoReferenceError(f"version {version} or its run is no longer in the registry") from error


def _join(client: MlflowClient, settings: Settings, registered: RegisteredVersion) -> pd.DataFrame:
    contract = registered.contract()
    store = open_store()
    inputs = [feature.name for feature in model_inputs(store)]
    if parts := [part for part in diff_registry_definitions(store, contract, inputs) if part != "labels"]:
        raise NoReferenceError(
            f"the training set of version {registered.number} cannot be joined again: its definitions differ in "
            f"{', '.join(parts)}"
        )
    model = ScoringModel(RegistryClient(settings.mlflow_tracking_uri).download_and_load(contract))
    try:
        training = load_training_rows(client, settings, registered.number)
    except OSError as error:
        raise NoReferenceError(
            f"the files of the run of version {registered.number} cannot be read: {error}"
        ) from error
    as_of, known_at = _read_times(registered.tags)
    build_snapshots(settings, as_of, known_at)
    populations: dict[str, TrainingSet | ScoringPopulation] = {
        _TRAINING: training,
        _POPULATION: load_active_customers(settings, as_of, known_at),
    }
    frames = [
        pd.DataFrame(np.column_stack([rows.x, model.score(rows)]), columns=[*contract.inputs, SCORE]).assign(part=part)
        for part, rows in populations.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _read(version: str, as_of: datetime, path: Path) -> DriftReference:
    frame = read_parquet_file(path).to_pandas()
    names = [name for name in frame.columns if name != _PART]
    training, population = (frame.loc[frame[_PART] == part, names].to_numpy() for part in (_TRAINING, _POPULATION))
    return DriftReference(version, as_of, names, training, population)


def _read_times(tags: Mapping[str, str]) -> tuple[datetime, datetime]:
    try:
        as_of, known_at = (datetime.fromisoformat(tags[f"holdfast.{name}"]) for name in ("as_of", "known_at"))
    except KeyError as error:
        raise NoReferenceError(f"tag {error} is missing: the version was not registered by flows.train") from error
    return as_of, known_at
