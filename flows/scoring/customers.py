"""Whom to score, and what the model reads of them."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from feature_repo.model_contract import ENTITY_KEY, Feature
from feature_repo.settings import Settings
from flows.feature_store.snapshots import NoDataError
from flows.training.dataset import assemble


@dataclass(frozen=True)
class Customers:
    """Customers at ``as_of``, sorted by id. ``x`` is (customers, inputs), as the model reads it."""

    as_of: datetime
    ids: list[str]
    x: npt.NDArray[np.float64]
    inputs: list[Feature]


def active_customers(settings: Settings, as_of: datetime, known_at: datetime) -> Customers:
    """Every customer who bought in the ``activity_days`` before ``as_of``, with the features known then.

    They are chosen and joined by the functions that make the training set: who is scored is who was learned from.
    Nothing at or after ``as_of`` is read, so the labels say "no purchase so far" of everybody, and are left out.
    The snapshots of ``as_of`` must have been built at ``known_at``.

    Raises:
        NoDataError: Nobody was active.
    """
    rows = assemble(settings, [as_of], as_of, known_at)
    if not len(rows.y):
        raise NoDataError(
            f"Nobody bought in the {settings.activity_days} days before {as_of:%Y-%m-%d %H:%M} UTC, as known at "
            f"{known_at:%Y-%m-%d %H:%M} UTC: there is nobody to score. Ingest newer data, or choose another time."
        )
    return Customers(as_of, rows.keys[ENTITY_KEY].tolist(), rows.x, rows.inputs)
