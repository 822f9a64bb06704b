"""Likely causes of differences between logged and recomputed features."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.definition_hashes import list_stored_views
from holdfast.core.types import Bools, Floats
from holdfast.feature_store.category_texts import read_category_texts
from holdfast.feature_store.snapshots import NoDataError, effective_known_at, list_known_at_times
from holdfast.ingestion.batches import list_batches
from holdfast.monitoring.skew.logged_features import (
    LoggedFeatures,
    differs_bitwise,
    oldest_valid_timestamps,
    stack_columns,
)
from holdfast.monitoring.skew.recompute import PointInTimeDefinitions, recompute_features

COLUMNS = [ENTITY_KEY, "as_of", "served", "version", "view", "feature", "logged", "recomputed", "cause"]


@dataclass(frozen=True)
class FeatureComparison:
    """Logged and recomputed features of one model version.

    Attributes:
        definitions: Definitions of the version, by which the features were recomputed.
        recomputed: Values, shape (rows, inputs).
    """

    definitions: PointInTimeDefinitions
    logged: LoggedFeatures
    recomputed: Floats

    @property
    def different(self) -> Bools:
        """Return True where the values differ, shape (rows, inputs)."""
        return differs_bitwise(self.logged.x, self.recomputed)


def explain_differences(
    settings: Settings, comparison: FeatureComparison, known_at: datetime, max_delay_hours: float
) -> pd.DataFrame:
    """Find the likely cause of each difference.

    The first of these causes that applies: "stale store", the served snapshot was too old and has the logged value;
    "late data", the data known when the served snapshot was built give the logged value; "unexplained", no computation
    gives the logged value.

    Args:
        settings: Settings with the data folder.
        comparison: Logged and recomputed features of one version.
        known_at: Data that arrived later are ignored.
        max_delay_hours: Hours after midnight UTC in which features of the day before may be served.

    Returns:
        One row per difference, with ``COLUMNS``; the value of a categorical input is its text, or the code of a text
        that the latest snapshot lacks.
    """
    logged, different = comparison.logged, comparison.different
    rows, columns = np.nonzero(different)
    views = {feature.name: feature.view for feature in comparison.definitions.inputs}
    causes = np.full(different.shape, "unexplained", dtype=object)
    late, stale = _explain_by_snapshots(settings, comparison, known_at, max_delay_hours)
    causes[late] = "late data"
    causes[stale] = "stale store"
    names = np.array(logged.inputs, dtype=object)[columns]
    definitions = comparison.definitions
    is_text = [feature.name in names for feature in definitions.inputs if feature.is_categorical]
    texts = read_category_texts(definitions.store(known_at)) if any(is_text) else {}
    return logged.keys.loc[rows, [ENTITY_KEY, "as_of", "served"]].assign(
        version=logged.version,
        view=[views[name] for name in names],
        feature=names,
        logged=_readable(names, logged.x[rows, columns], texts),
        recomputed=_readable(names, comparison.recomputed[rows, columns], texts),
        cause=causes[rows, columns],
    )


def _readable(names: Any, values: Floats, texts: Mapping[str, Mapping[float, str]]) -> Floats | list[float | str]:
    """Replace the codes of categorical inputs by their texts."""
    if not texts:
        return values
    return [texts.get(name, {}).get(value, value) for name, value in zip(names, values.tolist(), strict=True)]


def _explain_by_snapshots(
    settings: Settings, comparison: FeatureComparison, known_at: datetime, max_delay_hours: float
) -> tuple[Bools, Bools]:
    """Return where the served snapshot explains the logged value: by late data, and by a stale store."""
    definitions = comparison.definitions
    logged, different = comparison.logged, comparison.different
    late, stale = np.zeros_like(different), np.zeros_like(different)
    keys = logged.keys
    usable = different.any(axis=1) & keys["served"].notna().to_numpy() & (keys["served"] <= keys["as_of"]).to_numpy()
    too_old = (keys["served"] < oldest_valid_timestamps(keys, max_delay_hours)).to_numpy()
    for served_at in keys["served"][usable].unique():
        at = np.flatnonzero(usable & (keys["served"] == served_at).to_numpy())
        answered_at = keys["answered_at"].iloc[at].max().to_pydatetime()
        served = pd.Timestamp(served_at).to_pydatetime()
        for known in _candidate_known_ats(settings, definitions, served, known_at, answered_at):
            recomputed = recompute_features(settings, definitions, keys.iloc[at], keys["served"].iloc[at], known)
            same = ~differs_bitwise(logged.x[at], stack_columns(recomputed, logged.inputs, len(at))) & different[at]
            stale[at] |= same & too_old[at, np.newaxis]
            late[at] |= same & ~too_old[at, np.newaxis]
    return late, stale


def _candidate_known_ats(
    settings: Settings,
    definitions: PointInTimeDefinitions,
    served_at: datetime,
    known_at: datetime,
    answered_at: datetime,
) -> list[datetime]:
    """List the possible known_at of a served snapshot, latest first: now, at the response, and of those on disk."""
    batches, times = list_batches(settings), set()
    for known in (known_at, min(answered_at, known_at)):
        with suppress(NoDataError):  # in a replay, the response may be older than the arrival of the data
            times.add(effective_known_at(batches, served_at, known))
    for view in list_stored_views(definitions.store()):
        times |= {built for built in list_known_at_times(view, served_at) if built <= known_at}
    return sorted(times, reverse=True)
