"""Outcomes of scored customers, by the label of the model version that scored them, once they are known."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.types import Bools, Floats
from holdfast.ingestion.history_extent import DataGap
from holdfast.ingestion.kinds import KindName
from holdfast.models.label import LabelDefinition, LabelTerms
from holdfast.training.label_extent import read_label_extent
from holdfast.training.label_query import query_labels, scan_label_tables

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_LABELS = 500_000  # at once: takes about 300 MB


def maturity_time(label: LabelTerms, cohort: datetime) -> datetime:
    """Return the time at which the outcomes of a cohort are known.

    Args:
        label: Label of the version that scored.
        cohort: Scoring time of the cohort.

    Returns:
        The time, UTC.
    """
    return cohort + timedelta(days=label.outcome_days)


def is_mature(
    settings: Settings,
    label: LabelDefinition,
    cohort: datetime,
    as_of: datetime,
    known_at: datetime,
    ends_at: datetime | None = None,
) -> bool:
    """Check that the outcomes of a cohort are known.

    Days after the end of the data, or in a gap, are not days without purchases or renewals.

    Args:
        settings: Settings with the data folder.
        label: Label of the version that scored.
        cohort: Scoring time of the cohort; the earliest of several.
        as_of: Logical time of the evaluation.
        known_at: Arrival time up to which data count.
        ends_at: Latest scoring time of the cohort; None for ``cohort``.

    Returns:
        True for a mature cohort that data cover until its outcomes.
    """
    extent, matures_at = read_label_extent(settings, label, known_at, as_of), maturity_time(label, ends_at or cohort)
    if extent is None or min(as_of, extent.end) < matures_at:
        return False
    return extent.find_gap(cohort, matures_at) is None


def find_outcome_gap(
    settings: Settings,
    label: LabelDefinition,
    cohort: datetime,
    ends_at: datetime,
    as_of: datetime,
    known_at: datetime,
) -> DataGap | None:
    """Find a gap in the data before the outcomes of a cohort, which it hides.

    Args:
        settings: Settings with the data folder.
        label: Label of the version that scored.
        cohort: Earliest scoring time of the cohort.
        ends_at: Latest scoring time of the cohort.
        as_of: Logical time of the evaluation.
        known_at: Arrival time up to which data count.

    Returns:
        The gap; None without one.
    """
    extent = read_label_extent(settings, label, known_at, as_of)
    return None if extent is None else extent.find_gap(cohort, maturity_time(label, ends_at))


def load_cohort_outcomes(
    settings: Settings, label: LabelDefinition, scored: pd.DataFrame, cohort: datetime, known_at: datetime
) -> "pd.Series[bool]":
    """Compute the outcomes of a mature cohort.

    With subscriptions a customer has no outcome whose subscription did not end in the horizon after all: a renewal or a
    cancellation of before the scoring time arrived after it.

    Args:
        settings: Settings with the data folder.
        label: Label of the version that scored.
        scored: Score table with ``customer_id``.
        cohort: Scoring time; the cohort must be mature at ``known_at``.
        known_at: Arrival time up to which data count.

    Returns:
        True for customers who churned, by their row in ``scored``, without those who have no outcome.

    Raises:
        RuntimeError: A scored customer was never active: scores and data do not belong together.
    """
    churned = load_outcomes(settings, label, scored[[ENTITY_KEY]].assign(cutoff=cohort), known_at)
    if churned.isna().any() and not label.has_subscriptions:
        missing = scored[ENTITY_KEY][churned.isna().to_numpy()].iloc[0]
        raise RuntimeError(f"Customer {missing!r} was scored at {cohort:%Y-%m-%d} but is not in the data as active.")
    return churned.set_axis(scored.index).dropna().astype(bool)


def load_outcomes(
    settings: Settings, label: LabelDefinition, rows: pd.DataFrame, known_at: datetime
) -> "pd.Series[bool]":
    """Compute outcomes by customer and cut-off.

    Memory grows with ``rows``, not with the customers of the shop: other customers are filtered before labeling, and
    cut-offs are labeled in parts.

    Args:
        settings: Settings with the data folder.
        label: Label of the version that scored.
        rows: Columns ``customer_id`` and ``cutoff``; every cut-off must be mature at ``known_at``.
        known_at: Arrival time up to which data count.

    Returns:
        Nullable booleans, shape (rows,); null for a customer who was not active before the cut-off.
    """
    churned, unknown = _load_column(settings, label, rows, known_at, "churned")
    return pd.Series(pd.arrays.BooleanArray(churned.astype(bool), unknown), name="churned")


def load_spend(settings: Settings, label: LabelDefinition, rows: pd.DataFrame, known_at: datetime) -> Floats:
    """Compute the spend by customer and cut-off; memory as for :func:`load_outcomes`.

    Args:
        settings: Settings with the data folder.
        label: Label of the version that scored, with a spend.
        rows: Columns ``customer_id`` and ``cutoff``; every cut-off must be mature at ``known_at``.
        known_at: Arrival time up to which data count.

    Returns:
        Spend, shape (rows,); NaN for a customer who was not active before the cut-off.
    """
    spend, unknown = _load_column(settings, label, rows, known_at, "spend")
    return np.where(unknown, np.nan, spend)


def _load_column(
    settings: Settings, label: LabelDefinition, rows: pd.DataFrame, known_at: datetime, column: str
) -> tuple[Floats, Bools]:
    """Compute a column of the labels, and mark the rows without a label."""
    values, unknown = np.zeros(len(rows)), np.ones(len(rows), dtype=bool)
    cutoffs = rows["cutoff"].astype("datetime64[us, UTC]")
    connection = ibis.duckdb.connect()
    for positions in _iter_label_batches(cutoffs, rows[ENTITY_KEY].nunique()):
        columns = {"row": positions, ENTITY_KEY: rows[ENTITY_KEY].iloc[positions], "cutoff": cutoffs.iloc[positions]}
        requested = pa.table({name: pa.array(values) for name, values in columns.items()})
        table = connection.create_table("requested", requested, overwrite=True)
        times = sorted(requested["cutoff"].unique().to_pylist())
        tables = _scan_history(connection, settings, label, times, known_at)
        known = {name: rows.semi_join(table, ENTITY_KEY) for name, rows in tables.items()}
        labels = query_labels(connection, label, known, times)
        found = connection.to_pyarrow(table.join(labels, [ENTITY_KEY, "cutoff"]).select("row", column))
        labeled = found["row"].to_numpy()
        values[labeled], unknown[labeled] = found[column].to_numpy(), False
    connection.disconnect()
    return values, unknown


def _iter_label_batches(cutoffs: "pd.Series[pd.Timestamp]", customers: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield row positions in groups of cut-offs with at most ``_LABELS`` labels each."""
    codes, distinct = pd.factorize(cutoffs, sort=True)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(distinct)))
    first = start = 0
    for number, end in enumerate(ends):
        labels = min(end - start, customers) * (number + 1 - first)
        if labels > _LABELS and number > first:
            yield order[start : ends[number - 1]]
            first, start = number, ends[number - 1]
    if len(order):
        yield order[start:]


def _scan_history(
    connection: "Backend", settings: Settings, label: LabelDefinition, cutoffs: Sequence[datetime], known_at: datetime
) -> dict[KindName, ir.Table]:
    tables = scan_label_tables(connection, settings, label, maturity_time(label, cutoffs[-1]), known_at)
    if not label.has_subscriptions:
        # The label needs no earlier rows, so the filter avoids reading whole files.
        rows, start = tables["transactions"], ibis.literal(cutoffs[0] - timedelta(days=label.activity_days))
        tables["transactions"] = rows.filter(rows.event_timestamp >= start)
    return tables
