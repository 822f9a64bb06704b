"""Likely causes of differences between logged and recomputed features."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from feature_repo.transformations import BUILDERS
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
_COMPUTED = "on_demand"


@dataclass(frozen=True)
class FeatureComparison:
    """Logged and recomputed features of one version.

    Attributes:
        recomputed: Values, shape (rows, inputs).
        changed: Parts of the version's definitions that have changed.
    """

    logged: LoggedFeatures
    recomputed: Floats
    changed: Sequence[str]

    @property
    def different(self) -> Bools:
        """Return True where the values differ, shape (rows, inputs)."""
        return differs_bitwise(self.logged.x, self.recomputed)


def explain_differences(
    settings: Settings,
    definitions: PointInTimeDefinitions,
    comparison: FeatureComparison,
    known_at: datetime,
    max_delay_hours: float,
) -> pd.DataFrame:
    """Find the likely cause of each difference.

    The first of these causes that applies: "changed definition", the definition of the feature has changed since the
    training; "stale store", the served snapshot was too old and has the logged value; "late data", the data known when
    the served snapshot was built give the logged value; "unexplained", no computation gives the logged value.

    Args:
        settings: Settings with the data folder.
        definitions: Definitions that the features were recomputed by.
        comparison: Logged and recomputed features of one version.
        known_at: Data that arrived later are ignored.
        max_delay_hours: Hours after midnight UTC in which features of the day before may be served.

    Returns:
        One row per difference, with ``COLUMNS``; the value of a categorical input is its text, or the code of a text
        that the latest snapshot lacks.
    """
    logged, different = comparison.logged, comparison.different
    rows, columns = np.nonzero(different)
    views = {feature.name: feature.view for feature in definitions.inputs}
    causes = np.full(different.shape, "unexplained", dtype=object)
    explained = _explained_by_definitions(logged.inputs, views, comparison.changed)
    if not explained[columns].all():
        late, stale = _explain_by_snapshots(settings, definitions, comparison, known_at, max_delay_hours)
        causes[late] = "late data"
        causes[stale] = "stale store"
    causes[:, explained] = "changed definition"
    names = np.array(logged.inputs, dtype=object)[columns]
    is_text = [feature.name in names for feature in definitions.inputs if feature.is_categorical]
    texts = read_category_texts(definitions.store(known_at)) if any(is_text) else {}
    return logged.keys.loc[rows, [ENTITY_KEY, "as_of", "served"]].assign(
        version=logged.version,
        view=[views.get(name, "no view") for name in names],
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


def _explained_by_definitions(inputs: Sequence[str], views: dict[str, str], changed: Sequence[str]) -> Bools:
    """Return True for inputs that the changed parts affect, shape (inputs,); a removed input has changed."""
    only_computed = bool(changed) and set(changed) <= {_COMPUTED}
    return np.array(
        [name not in views or (bool(changed) and not (only_computed and views[name] in BUILDERS)) for name in inputs],
        dtype=bool,
    )


def _explain_by_snapshots(
    settings: Settings,
    definitions: PointInTimeDefinitions,
    comparison: FeatureComparison,
    known_at: datetime,
    max_delay_hours: float,
) -> tuple[Bools, Bools]:
    """Return where the served snapshot explains the logged value: by late data, and by a stale store."""
    logged, different = comparison.logged, comparison.different
    late, stale = np.zeros_like(different), np.zeros_like(different)
    keys = logged.keys
    usable = different.any(axis=1) & keys["served"].notna().to_numpy() & (keys["served"] <= keys["as_of"]).to_numpy()
    too_old = (keys["served"] < oldest_valid_timestamps(keys, max_delay_hours)).to_numpy()
    for served_at in keys["served"][usable].unique():
        at = np.flatnonzero(usable & (keys["served"] == served_at).to_numpy())
        answered_at = keys["answered_at"].iloc[at].max().to_pydatetime()
        for known in _candidate_known_ats(settings, pd.Timestamp(served_at).to_pydatetime(), known_at, answered_at):
            recomputed = recompute_features(settings, definitions, keys.iloc[at], keys["served"].iloc[at], known)
            same = ~differs_bitwise(logged.x[at], stack_columns(recomputed, logged.inputs, len(at))) & different[at]
            stale[at] |= same & too_old[at, np.newaxis]
            late[at] |= same & ~too_old[at, np.newaxis]
    return late, stale


def _candidate_known_ats(
    settings: Settings, served_at: datetime, known_at: datetime, answered_at: datetime
) -> list[datetime]:
    """List the possible known_at of a served snapshot, latest first: now, at the response, and of those on disk."""
    batches, times = list_batches(settings), set()
    for known in (known_at, min(answered_at, known_at)):
        with suppress(NoDataError):  # in a replay, the response may be older than the arrival of the data
            times.add(effective_known_at(batches, served_at, known))
    for view in BUILDERS:
        times |= {built for built in list_known_at_times(settings, view, served_at) if built <= known_at}
    return sorted(times, reverse=True)
