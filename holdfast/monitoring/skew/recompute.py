"""Point-in-time recomputation of features through Feast, by the definitions of this checkout."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.settings import Settings
from holdfast.core.types import Floats
from holdfast.feast_stores._feast_imports import FeatureStore
from holdfast.feast_stores._feast_private import reset_stores
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.feature_store.historical_features import join_features
from holdfast.feature_store.parity import input_definitions
from holdfast.feature_store.snapshots import build_snapshots
from holdfast.models.categories import encode_categories
from holdfast.models.contract import Feature, model_inputs
from holdfast.models.fingerprint import differing_parts

if TYPE_CHECKING:
    from feast.repo_config import RepoConfig

_ROW = "holdfast_row"


@dataclass(frozen=True)
class PointInTimeDefinitions:
    """Feature definitions of this checkout.

    Attributes:
        parts: Fingerprint by part of the definitions.
        inputs: Model inputs.
        not_applied: Parts that differ from Feast's registry.
        registry: Registry file with the definitions of this checkout; None if Feast's registry has the same.
    """

    parts: dict[str, str]
    inputs: list[Feature]
    not_applied: list[str]
    registry: Path | None = None

    def changed_since(self, fingerprint: Mapping[str, str]) -> list[str]:
        """List the parts that differ from a version's fingerprint, or from Feast's registry.

        Args:
            fingerprint: Fingerprint of the version, by part.

        Returns:
            The differing parts, sorted.
        """
        inputs = {part: value for part, value in fingerprint.items() if part != "labels"}
        return sorted({*differing_parts(inputs, self.parts), *self.not_applied})

    def store(self, known_at: datetime) -> FeatureStore:
        """Open a Feast store with these definitions.

        Args:
            known_at: Snapshots that were built from later arrivals are ignored.

        Returns:
            The store.
        """
        store = open_store(known_at)
        return store if self.registry is None else FeatureStore(config=_in_temporary_store(store.config, self.registry))


@contextmanager
def checkout_definitions(settings: Settings) -> Iterator[PointInTimeDefinitions]:
    """Load the definitions of this checkout.

    The definitions are applied to a temporary registry: changes that are not applied are detected without affecting
    the registry of the service.

    Args:
        settings: Settings with the data folder.

    Yields:
        The definitions; valid inside the block.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-definitions-") as folder:
        registry = Path(folder) / "registry.db"
        served = open_store()
        checkout = FeatureStore(config=_in_temporary_store(open_store().config, registry))
        apply_definitions(checkout)
        parts = input_definitions(checkout, settings)
        has_service = any(service.name == FEATURE_SERVICE for service in served.list_feature_services())
        applied = input_definitions(served, settings) if has_service else {}
        not_applied = differing_parts(applied, parts)
        yield PointInTimeDefinitions(parts, model_inputs(checkout), not_applied, registry if not_applied else None)


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
    for timestamp in sorted(timestamps.unique()):
        build_snapshots(settings, pd.Timestamp(timestamp).to_pydatetime(), known_at)
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
    store = definitions.store(known_at)
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


def _in_temporary_store(config: "RepoConfig", registry: Path) -> "RepoConfig":
    """Copy the configuration with a separate registry and an unused online store."""
    changed = config.model_copy(deep=True)
    changed.registry_config = {"registry_type": "file", "path": str(registry)}
    changed.online_config = {"type": "sqlite", "path": str(registry.with_name("online.db"))}
    reset_stores(changed)
    return changed
