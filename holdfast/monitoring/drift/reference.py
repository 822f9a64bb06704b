"""Reference data of a model version: its training set, and the population at training time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.batch_scoring.champion_model import ScoringModel
from holdfast.batch_scoring.population import ScoringPopulation, load_active_customers
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.core.parquet_files import read_parquet_file
from holdfast.core.path_names import require_path_name
from holdfast.core.types import Floats
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.feature_store.snapshots import build_snapshots
from holdfast.models.categories import InputCategories
from holdfast.models.loaded_model import load_verified_model
from holdfast.models.registered_version import RegisteredVersion
from holdfast.models.registry_client import RegistryClient
from holdfast.monitoring.drift.aging import OnDemandFunction, load_on_demand_functions
from holdfast.monitoring.drift.psi import SCORE
from holdfast.training.dataset import TrainingSet, build_training_set
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.recipe import RECIPE_FILE, Recipe
from holdfast.training.run_artifacts import read_file

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
        on_demand: Functions of the version's on-demand views.
        categories: Categorical input to its categories.
    """

    version: str
    as_of: datetime
    names: list[str]
    training: Floats
    training_population: Floats
    on_demand: list[OnDemandFunction] = field(default_factory=list)
    categories: Mapping[str, InputCategories] = field(default_factory=dict)


def load_training_rows(client: ModelClient, settings: Settings, version: str) -> TrainingSet:
    """Load the rows that a version was fitted on, joined again as known at its training, by its definitions and label.

    Args:
        client: MLflow client.
        settings: Settings with the data folder.
        version: Number of the version.

    Returns:
        The training set.
    """
    registered = client.get_model_version(client.model_name, version)
    recipe = Recipe.model_validate_json(read_file(client, str(registered.run_id), RECIPE_FILE))
    as_of, known_at = _read_times(registered.tags)
    contract = RegisteredVersion.from_mlflow(registered).contract()
    return build_training_set(settings, contract.definitions, recipe.shipped, as_of, known_at, label=contract.label)


def load_reference(client: ModelClient, settings: Settings, version: str) -> DriftReference:
    """Load the reference data of a version.

    The data are joined once and stored as Parquet, so that they outlive the version's feature definitions.

    Args:
        client: MLflow client.
        settings: Settings with the data folder.
        version: Number of the version.

    Returns:
        The reference data.

    Raises:
        NoReferenceError: The version or its run is missing.
        MissingVersionError: There are no stored data, and the version's feature definitions are not registered.
    """
    try:
        found = client.get_model_version(client.model_name, version)
        registered = RegisteredVersion.from_mlflow(found)
        path = settings.monitoring / "reference" / f"{version}-{require_path_name(str(found.run_id), 'run id')}.parquet"
        if not path.exists():
            frame = _join(client, settings, registered)
            with replace_file(path) as temporary:
                frame.to_parquet(temporary, index=False)
        return _read(settings, registered, path)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise NoReferenceError(f"version {version} or its run is no longer in the registry") from error


def _join(client: ModelClient, settings: Settings, registered: RegisteredVersion) -> pd.DataFrame:
    contract = registered.contract()
    content = RegistryClient(settings.mlflow_tracking_uri).download_model(contract)
    model = ScoringModel(load_verified_model(contract, content))
    try:
        training = load_training_rows(client, settings, registered.number)
    except OSError as error:
        raise NoReferenceError(
            f"the files of the run of version {registered.number} cannot be read: {error}"
        ) from error
    as_of, known_at = _read_times(registered.tags)
    build_snapshots(settings, open_version(settings, contract.definitions), as_of, known_at)
    populations: dict[str, TrainingSet | ScoringPopulation] = {
        _TRAINING: training,
        _POPULATION: load_active_customers(settings, contract.definitions, as_of, known_at, contract.label),
    }
    frames = [
        pd.DataFrame(np.column_stack([rows.x, model.score(rows)]), columns=[*contract.inputs, SCORE]).assign(part=part)
        for part, rows in populations.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _read(settings: Settings, registered: RegisteredVersion, path: Path) -> DriftReference:
    frame = read_parquet_file(path).to_pandas()
    names = [name for name in frame.columns if name != _PART]
    training, population = (frame.loc[frame[_PART] == part, names].to_numpy() for part in (_TRAINING, _POPULATION))
    as_of, _ = _read_times(registered.tags)
    contract = registered.contract()
    try:
        on_demand = load_on_demand_functions(open_version(settings, contract.definitions))
    except MissingVersionError:  # the version is not served any more
        on_demand = []
    return DriftReference(registered.number, as_of, names, training, population, on_demand, contract.categories)


def _read_times(tags: Mapping[str, str]) -> tuple[datetime, datetime]:
    try:
        as_of, known_at = (datetime.fromisoformat(tags[f"holdfast.{name}"]) for name in ("as_of", "known_at"))
    except KeyError as error:
        raise NoReferenceError(f"tag {error} is missing: the version was not registered by flows.train") from error
    return as_of, known_at
