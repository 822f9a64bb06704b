"""What a version was trained on, and whom it met then, to hold the present against."""

from collections.abc import Mapping
from dataclasses import dataclass
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
from holdfast.core.types import Floats
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.snapshots import build_snapshots
from holdfast.models.contract import MODEL_NAME, differing_definitions, model_inputs
from holdfast.models.loaded_model import load_model
from holdfast.models.registered_version import RegisteredVersion
from holdfast.models.registry_client import RegistryClient
from holdfast.monitoring.drift.psi import SCORE
from holdfast.runtime.run_artifacts import read_file
from holdfast.training.dataset import TrainingSet, build_training_set
from holdfast.training.recipe import RECIPE_FILE, Recipe

_PART, _TRAINING, _MET = "part", "training", "met"


class NoReferenceError(HoldfastError):
    """There is nothing to compare a version with."""


@dataclass(frozen=True)
class DriftReference:
    """Two populations of one version; each of shape (rows, len(names)), the last column being its scores.

    ``training``: the rows it was fitted on, over many months. ``met``: everybody who was active at the moment it was
    trained, at ``as_of``, whom it was accepted for.
    """

    version: str
    as_of: datetime
    names: list[str]
    training: Floats
    training_population: Floats


def load_training_rows(client: MlflowClient, settings: Settings, version: str) -> TrainingSet:
    """The rows that a version was fitted on, joined again as known at its training.

    Feast's registry must hold the definitions it was trained on: its input order is theirs.
    """
    registered = client.get_model_version(MODEL_NAME, version)
    recipe = Recipe.model_validate_json(read_file(client, str(registered.run_id), RECIPE_FILE))
    as_of, known_at = _moments(registered.tags)
    return build_training_set(settings, recipe.development, as_of, known_at)


def load_reference(client: MlflowClient, settings: Settings, version: str) -> DriftReference:
    """Both populations, joined once and kept as Parquet: a later change of definitions does not reach them.

    Raises:
        NoReferenceError: There is no such version, its run is gone, or the definitions are other ones by now.
    """
    try:
        registered = client.get_model_version(MODEL_NAME, version)
        kept = settings.monitoring / "reference" / f"{version}-{registered.run_id}.parquet"
        if not kept.exists():
            frame = _join(client, settings, RegisteredVersion(version, dict(registered.tags)))
            with replace_file(kept) as temporary:
                frame.to_parquet(temporary, index=False)
        return _read(version, _moments(registered.tags)[0], kept)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise NoReferenceError(f"version {version} or its run is not in the registry any more") from error


def _join(client: MlflowClient, settings: Settings, registered: RegisteredVersion) -> pd.DataFrame:
    contract = registered.contract()
    store = open_store()
    inputs = [feature.name for feature in model_inputs(store)]
    if parts := [part for part in differing_definitions(store, contract, inputs) if part != "labels"]:
        raise NoReferenceError(
            f"what version {registered.number} was trained on cannot be joined again: its definitions differ in "
            f"{', '.join(parts)}"
        )
    model = ScoringModel(load_model(contract, RegistryClient(settings.mlflow_tracking_uri).download_model(contract)))
    try:
        training = load_training_rows(client, settings, registered.number)
    except OSError as error:
        raise NoReferenceError(
            f"the files of the run of version {registered.number} cannot be read: {error}"
        ) from error
    as_of, known_at = _moments(registered.tags)
    build_snapshots(settings, as_of, known_at)
    parts_of: dict[str, TrainingSet | ScoringPopulation] = {
        _TRAINING: training,
        _MET: load_active_customers(settings, as_of, known_at),
    }
    frames = [
        pd.DataFrame(np.column_stack([rows.x, model.score(rows)]), columns=[*contract.inputs, SCORE]).assign(part=part)
        for part, rows in parts_of.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _read(version: str, as_of: datetime, path: Path) -> DriftReference:
    frame = pd.read_parquet(path)
    names = [name for name in frame.columns if name != _PART]
    training, met = (frame.loc[frame[_PART] == part, names].to_numpy() for part in (_TRAINING, _MET))
    return DriftReference(version, as_of, names, training, met)


def _moments(tags: Mapping[str, str]) -> tuple[datetime, datetime]:
    try:
        as_of, known_at = (datetime.fromisoformat(tags[f"holdfast.{name}"]) for name in ("as_of", "known_at"))
    except KeyError as error:
        raise NoReferenceError(f"its tag {error} is missing: it was not registered by flows.train") from error
    return as_of, known_at
