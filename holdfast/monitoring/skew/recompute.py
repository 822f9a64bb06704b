"""Feature values computed again, offline, through Feast: by the definitions of this checkout, as known at a time."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.settings import Settings
from holdfast.core.types import Floats
from holdfast.feast_stores._feast_imports import FeatureStore
from holdfast.feast_stores._feast_private import reset_stores
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.feature_store.parity import input_definitions
from holdfast.feature_store.snapshots import build_snapshots
from holdfast.models.contract import Feature, model_inputs
from holdfast.models.fingerprint import differing_parts

if TYPE_CHECKING:
    from feast.repo_config import RepoConfig

_ROW = "holdfast_row"


@dataclass(frozen=True)
class PointInTimeDefinitions:
    """What the model's inputs are by this checkout, and which parts of that Feast's registry holds otherwise.

    ``registry`` is the file to compute by where the two differ; None where Feast's own will do.
    """

    parts: dict[str, str]
    inputs: list[Feature]
    not_applied: list[str]
    registry: Path | None = None

    def changed_since(self, fingerprint: Mapping[str, str]) -> list[str]:
        """The parts that differ from a version's, or from those in Feast's registry."""
        inputs = {part: value for part, value in fingerprint.items() if part != "labels"}
        return sorted({*differing_parts(inputs, self.parts), *self.not_applied})

    def store(self, known_at: datetime) -> FeatureStore:
        """Feast over the snapshots known at ``known_at``."""
        store = open_store(known_at)
        return store if self.registry is None else FeatureStore(config=_elsewhere(store.config, self.registry))


@contextmanager
def checkout_definitions(settings: Settings) -> Iterator[PointInTimeDefinitions]:
    """The definitions of this checkout, for the block.

    Where they are not those in Feast's registry, they are applied to an empty registry aside: what has been changed
    and not applied is seen, and changes nothing that serves.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-definitions-") as folder:
        registry = Path(folder) / "registry.db"
        served = open_store()
        here = FeatureStore(config=_elsewhere(open_store().config, registry))
        apply_definitions(here)
        parts = input_definitions(here, settings)
        has_service = any(service.name == FEATURE_SERVICE for service in served.list_feature_services())
        in_use = input_definitions(served, settings) if has_service else {}
        not_applied = differing_parts(in_use, parts)
        yield PointInTimeDefinitions(parts, model_inputs(here), not_applied, registry if not_applied else None)


def recompute_features(
    settings: Settings, by: PointInTimeDefinitions, rows: pd.DataFrame, moments: pd.Series, known_at: datetime
) -> dict[str, Floats]:
    """Every input of the model by name, each of shape (rows,), NaN where it is null.

    Stored features are of the snapshot at ``moments``, shape (rows,), as known at ``known_at``; missing ones are built.
    What depends on the time of the request is computed at ``as_of``. ``rows`` has customer_id and as_of.

    Raises:
        NoDataError: Nothing from before a moment had arrived by ``known_at``.
    """
    for moment in sorted(moments.unique()):
        build_snapshots(settings, pd.Timestamp(moment).to_pydatetime(), known_at)
    asked = pd.DataFrame(
        {
            ENTITY_KEY: rows[ENTITY_KEY],
            "event_timestamp": moments.astype("datetime64[us, UTC]"),
            REQUEST_TIME: rows["as_of"].astype("datetime64[us, UTC]").astype("int64"),
        }
    )
    # Versions and routes share customers and times: what is asked twice is computed once.
    distinct = asked.drop_duplicates(ignore_index=True)
    distinct = distinct.assign(**{_ROW: np.arange(len(distinct))})
    place = asked.merge(distinct, how="left", on=[ENTITY_KEY, "event_timestamp", REQUEST_TIME])[_ROW].to_numpy()
    store = by.store(known_at)
    joined = store.get_historical_features(
        features=store.get_feature_service(FEATURE_SERVICE), entity_df=distinct
    ).to_arrow()
    # Feast does not keep the order of the rows asked for.
    found = np.argsort(joined[_ROW].to_numpy())[place]
    return {
        feature.name: joined[feature.name].to_pandas().to_numpy(np.float64, na_value=np.nan)[found]
        for feature in by.inputs
    }


def _elsewhere(config: "RepoConfig", registry: Path) -> "RepoConfig":
    """The same configuration with a registry of its own, and an online store that nobody reads."""
    changed = config.model_copy(deep=True)
    changed.registry_config = {"registry_type": "file", "path": str(registry)}
    changed.online_config = {"type": "sqlite", "path": str(registry.with_name("online.db"))}
    reset_stores(changed)
    return changed
