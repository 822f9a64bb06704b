"""Values that differ from those recomputed, and why they are likely to."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from feature_repo.transformations import BUILDERS
from holdfast.core.types import Bools, Floats
from holdfast.feature_store.snapshots import NoDataError, effective_known_at, list_known_at_times
from holdfast.ingestion.batches import list_batches
from holdfast.monitoring.skew.logged_features import (
    LoggedFeatures,
    differs_bitwise,
    oldest_valid_timestamps,
    stack_columns,
)
from holdfast.monitoring.skew.recompute import PointInTimeDefinitions, recompute_features

Cause = Literal["changed definition", "stale store", "late data", "unexplained"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
NO_VIEW = "no view"
COLUMNS = ["version", ENTITY_KEY, "as_of", "served", "view", "feature", "logged", "recomputed", "cause"]
_COMPUTED = "on_demand"


@dataclass(frozen=True)
class FeatureComparison:
    """One version's values beside those recomputed, (rows, inputs) both.

    ``changed``: the parts of its definitions that are others now.
    """

    logged: LoggedFeatures
    recomputed: Floats
    changed: Sequence[str]

    @property
    def different(self) -> Bools:
        """Where they differ, (rows, inputs)."""
        return differs_bitwise(self.logged.x, self.recomputed)


def explain_differences(
    settings: Settings,
    by: PointInTimeDefinitions,
    compared: FeatureComparison,
    known_at: datetime,
    max_delay_hours: float,
) -> pd.DataFrame:
    """One row per value that differs, with ``COLUMNS``.

    The causes, the first that holds: the definition of the feature has changed (``Compared.changed``); the snapshot
    that served was older than any that may, and its values are those logged; what was known when that snapshot was
    built gives the logged value, what is known now does not; else nothing explains it: the online store held a value
    that no computation gives.
    """
    logged = compared.logged
    rows, columns = np.nonzero(compared.different)
    if not len(rows):
        return pd.DataFrame(columns=COLUMNS)
    views = {feature.name: feature.view for feature in by.inputs}
    found = logged.keys.loc[rows, [ENTITY_KEY, "as_of", "served"]].reset_index(drop=True)
    found = found.assign(
        version=logged.version,
        feature=np.array(logged.inputs, dtype=object)[columns],
        logged=logged.x[rows, columns],
        recomputed=compared.recomputed[rows, columns],
    )
    found["view"] = found["feature"].map(views).fillna(NO_VIEW)
    causes = np.full(compared.different.shape, "unexplained", dtype=object)
    redefined = _redefined(logged.inputs, views, compared.changed)
    if not redefined[columns].all():
        late, stale = _by_known_at(settings, by, compared, known_at, max_delay_hours)
        causes[late] = "late data"
        causes[stale] = "stale store"
    causes[:, redefined] = "changed definition"
    return found.assign(cause=causes[rows, columns])[COLUMNS]


def _redefined(inputs: Sequence[str], views: dict[str, str], changed: Sequence[str]) -> Bools:
    """Which inputs the changed parts of the definitions touch, (inputs,); one that is gone has changed."""
    only_computed = bool(changed) and set(changed) <= {_COMPUTED}
    return np.array(
        [name not in views or (bool(changed) and not (only_computed and views[name] in BUILDERS)) for name in inputs],
        dtype=bool,
    )


def _by_known_at(
    settings: Settings,
    by: PointInTimeDefinitions,
    compared: FeatureComparison,
    known_at: datetime,
    max_delay_hours: float,
) -> tuple[Bools, Bools]:
    """Where the snapshot that served gives the logged value: by what had arrived earlier, and though it was too old."""
    logged, different = compared.logged, compared.different
    late, stale = np.zeros_like(different), np.zeros_like(different)
    keys = logged.keys
    usable = different.any(axis=1) & keys["served"].notna().to_numpy() & (keys["served"] <= keys["as_of"]).to_numpy()
    too_old = (keys["served"] < oldest_valid_timestamps(keys, max_delay_hours)).to_numpy()
    for moment in keys["served"][usable].unique():
        at = np.flatnonzero(usable & (keys["served"] == moment).to_numpy())
        answered = keys["answered_at"].iloc[at].max().to_pydatetime()
        for known in _known_ats(settings, pd.Timestamp(moment).to_pydatetime(), known_at, answered):
            then = recompute_features(settings, by, keys.iloc[at], keys["served"].iloc[at], known)
            same = ~differs_bitwise(logged.x[at], stack_columns(then, logged.inputs, len(at))) & different[at]
            stale[at] |= same & too_old[at, np.newaxis]
            late[at] |= same & ~too_old[at, np.newaxis]
    return late, stale


def _known_ats(settings: Settings, moment: datetime, known_at: datetime, answered: datetime) -> list[datetime]:
    """When the snapshot of a moment may have been built, latest first: now, at the answer, and as found on disk."""
    batches, found = list_batches(settings), set()
    for known in (known_at, min(answered, known_at)):
        with suppress(NoDataError):  # in a replay, answers may have been given before the data arrived
            found.add(effective_known_at(batches, moment, known))
    for view in BUILDERS:
        found |= {built for built in list_known_at_times(settings, view, moment) if built <= known_at}
    return sorted(found, reverse=True)
