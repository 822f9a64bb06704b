"""Whom to score, and what the model reads of them."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.types import Bools, Floats
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.historical_features import read_features_at
from holdfast.feature_store.snapshots import NoDataError, build_snapshots, read_customers
from holdfast.models.contract import RECENCY_FEATURE, Feature, input_matrix, model_inputs
from holdfast.training.dataset import assemble_training_set


@dataclass(frozen=True)
class ScoringPopulation:
    """Customers at ``as_of``, sorted by id; ``x`` is (customers, inputs), as the model reads it."""

    as_of: datetime
    ids: list[str]
    x: Floats
    inputs: list[Feature]

    def active_mask(self, activity_days: int) -> Bools:
        """Who bought in the ``activity_days`` before ``as_of``, shape (customers,)."""
        recency = [feature.name for feature in self.inputs].index(RECENCY_FEATURE)
        active: Bools = self.x[:, recency] <= activity_days
        return active


def load_all_customers(settings: Settings, as_of: datetime, known_at: datetime) -> ScoringPopulation:
    """Everybody who ever bought before ``as_of``, active or not, with the features known then.

    Snapshots of ``as_of`` that are not there yet are built. The online store, which may stand at another time, is
    not read: where it stands at ``as_of`` it holds the same, bit for bit, as ``flows.features`` proves.

    Raises:
        NoDataError: Nothing from before ``as_of`` had arrived by ``known_at``.
        MissingFeatureError: A feature that may not be null is.
    """
    snapshot = build_snapshots(settings, as_of, known_at)[0]
    store, ids = open_store(snapshot.known_at), read_customers(snapshot)
    inputs, values = model_inputs(store), read_features_at(store, ids, as_of)
    columns = {feature.name: values[feature.name].to_numpy(zero_copy_only=False) for feature in inputs}
    return ScoringPopulation(as_of, ids, input_matrix(inputs, columns), inputs)


def load_active_customers(settings: Settings, as_of: datetime, known_at: datetime) -> ScoringPopulation:
    """Every customer who bought in the ``activity_days`` before ``as_of``, with the features known then.

    They are chosen and joined by the functions that make the training set: who is scored is who was learned from.
    Nothing at or after ``as_of`` is read, so the labels say "no purchase so far" of everybody, and are left out.
    The snapshots of ``as_of`` must have been built at ``known_at``.

    Raises:
        NoDataError: Nobody was active.
    """
    rows = assemble_training_set(settings, [as_of], as_of, known_at)
    if not len(rows.y):
        raise NoDataError(
            f"Nobody bought in the {settings.activity_days} days before {as_of:%Y-%m-%d %H:%M} UTC, as known at "
            f"{known_at:%Y-%m-%d %H:%M} UTC: there is nobody to score. Ingest newer data, or choose another time."
        )
    return ScoringPopulation(as_of, rows.keys[ENTITY_KEY].tolist(), rows.x, rows.inputs)


def active_mask(recency_days: npt.ArrayLike, activity_days: int) -> Bools:
    """Who bought in the last ``activity_days``, or of whom it is not known; both of shape (customers,).

    A model learns from active customers only. Of others it knows nobody, then as now: no training could change that.
    """
    return ~(np.asarray(recency_days, dtype=np.float64) > activity_days)
