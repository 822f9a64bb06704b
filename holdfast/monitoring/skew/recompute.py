"""Point-in-time recomputation of features through Feast, by the definitions of the model that was served."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from feature_repo.names import ENTITY_KEY, REQUEST_TIME
from feature_repo.settings import Settings
from holdfast.core.definition_hashes import definitions_version
from holdfast.core.types import Floats
from holdfast.feast_stores._feast_imports import FeatureStore
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.historical_features import join_features
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.feature_store.snapshots import build_snapshots
from holdfast.model_versions.aliases import get_contract
from holdfast.models.categories import encode_categories
from holdfast.models.contract import Feature, model_inputs
from holdfast.models.registered_version import NotServableError
from holdfast.training.mlflow_client import UnknownVersionError, open_registry

_ROW = "holdfast_row"


@dataclass(frozen=True)
class PointInTimeDefinitions:
    """Registered version of the feature definitions.

    Attributes:
        version: Id of the version.
        inputs: Model inputs.
    """

    version: str
    inputs: list[Feature]

    def store(self, known_at: datetime | None = None) -> FeatureStore:
        """Open a Feast store with these definitions.

        Args:
            known_at: Snapshots that were built from later arrivals are ignored.

        Returns:
            The store.
        """
        return open_store(known_at, definitions=self.version)


@dataclass(frozen=True)
class ServedDefinitions:
    """Feature definitions of model versions.

    Attributes:
        found: Model version to its definitions.
        missing: Model version to the error about its definitions, which are not registered.
        notes: Sentences about model versions whose definitions are unknown.
    """

    found: Mapping[str, PointInTimeDefinitions]
    missing: Mapping[str, MissingVersionError]
    notes: list[str]


def load_served_definitions(settings: Settings, versions: Collection[str]) -> ServedDefinitions:
    """Load the feature definitions that the contracts of model versions name.

    Args:
        settings: Settings with the data folder and the registry's URL.
        versions: Numbers of model versions.

    Returns:
        The definitions of each version.
    """
    found: dict[str, PointInTimeDefinitions] = {}
    missing: dict[str, MissingVersionError] = {}
    notes, unknown = [], []
    for number in sorted(versions):
        try:
            version = definitions_version(get_contract(open_registry(settings), number).fingerprint)
            found[number] = PointInTimeDefinitions(version, model_inputs(open_version(settings, version)))
        except MissingVersionError as error:
            missing[number] = error
        except UnknownVersionError:
            unknown.append(number)
        except NotServableError as error:
            notes.append(str(error))
    if unknown:
        notes.append(f"The registry lacks version {', '.join(unknown)}, so that its predictions were not compared.")
    return ServedDefinitions(found, missing, notes)


def recompute_features(
    settings: Settings,
    definitions: PointInTimeDefinitions,
    rows: pd.DataFrame,
    timestamps: pd.Series,
    known_at: datetime,
) -> dict[str, Floats]:
    """Recompute the model inputs; missing snapshots are built.

    Args:
        settings: Settings with the data folder.
        definitions: Definitions to compute by.
        rows: Columns customer_id and as_of; features that depend on the request time are computed at ``as_of``.
        timestamps: Time of the snapshot with the stored features of each row, shape (rows,).
        known_at: Data that arrived later are ignored.

    Returns:
        Values by input as the model reads them, each of shape (rows,), NaN for null.

    Raises:
        NoDataError: No data from before a timestamp had arrived by ``known_at``.
    """
    store = definitions.store(known_at)
    for timestamp in sorted(timestamps.unique()):
        build_snapshots(settings, store, pd.Timestamp(timestamp).to_pydatetime(), known_at)
    requested = pd.DataFrame(
        {
            ENTITY_KEY: rows[ENTITY_KEY],
            "event_timestamp": timestamps.astype("datetime64[us, UTC]"),
            REQUEST_TIME: rows["as_of"].astype("datetime64[us, UTC]").astype("int64"),
        }
    )
    # Versions and routes share customers and times, so that equal rows are computed once.
    distinct = requested.drop_duplicates(ignore_index=True)
    distinct = distinct.assign(**{_ROW: np.arange(len(distinct))})
    row_numbers = requested.merge(distinct, how="left", on=[ENTITY_KEY, "event_timestamp", REQUEST_TIME])[
        _ROW
    ].to_numpy()
    joined = join_features(store, distinct)
    # Feast returns the rows in another order.
    order = np.argsort(joined[_ROW].to_numpy())[row_numbers]
    return {feature.name: _to_floats(joined[feature.name], feature)[order] for feature in definitions.inputs}


def _to_floats(column: pa.ChunkedArray, feature: Feature) -> Floats:
    """Convert a column to what the model reads: numbers, or the codes of texts."""
    if feature.is_categorical:
        return encode_categories(column.to_pylist())
    values: Floats = column.to_pandas().to_numpy(np.float64, na_value=np.nan)
    return values
