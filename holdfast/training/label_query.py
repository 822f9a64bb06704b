"""Label of the current code and settings, and the query of any label by DuckDB."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from feature_repo.labels import CUTOFFS, LABELS, LabelFunction, label_sql
from feature_repo.settings import Settings
from feature_repo.source_features import drop_corrected
from feature_repo.source_tables import SOURCE_TABLES
from feature_repo.transformations import known_rows
from holdfast.ingestion.kinds import KindName
from holdfast.ingestion.tables import scan_table
from holdfast.models.declaration import DeclarationError
from holdfast.models.label import SETTINGS_LABEL, LabelDefinition, LabelTerms

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def current_label(settings: Settings, build: LabelFunction | None = None) -> LabelDefinition:
    """Compile the label of the current code and settings, for new model versions.

    Args:
        settings: Settings with the label.
        build: Label function; None for that of the settings.

    Returns:
        The label.
    """
    terms = asdict(LabelTerms.of(settings))
    days = {name: value for name, value in terms.items() if name != "name"}
    return LabelDefinition(**terms, sql=label_sql(build or LABELS[settings.label], **days))


def declared_label(settings: Settings, declared: str) -> LabelDefinition:
    """Compile the label that the declaration of a model names.

    Args:
        settings: Settings with the label and its days.
        declared: Name of a label, or ``churn`` for that of the settings.

    Returns:
        The label.

    Raises:
        DeclarationError: There is no such label.
    """
    if declared == SETTINGS_LABEL:
        return current_label(settings)
    if declared not in LABELS:
        raise DeclarationError(f"There is no label {declared!r}: choose {SETTINGS_LABEL}, {', '.join(LABELS)}.")
    terms = asdict(LabelTerms.of(settings, declared))
    days = {name: value for name, value in terms.items() if name != "name"}
    return LabelDefinition(**terms, sql=label_sql(LABELS[declared], **days))


def label_tables(label: LabelTerms) -> tuple[KindName, ...]:
    """List the source tables that a label reads.

    Args:
        label: The label.

    Returns:
        Names of the tables.
    """
    return ("transactions", "attributes") if label.has_subscriptions else ("transactions",)


def scan_label_tables(
    connection: "Backend", settings: Settings, label: LabelTerms, as_of: datetime, known_at: datetime
) -> dict[KindName, ir.Table]:
    """Open the source tables of a label as they were known at a time.

    Args:
        connection: DuckDB with the time zone UTC, Ibis's default.
        settings: Settings with the data folder.
        label: The label.
        as_of: Time before which the rows must be.
        known_at: Arrival time up to which data count.

    Returns:
        Source table to its rows, corrected values of attributes dropped.
    """
    tables: dict[KindName, ir.Table] = {}
    for kind in label_tables(label):
        rows = known_rows(scan_table(connection, settings, kind, known_at), as_of, known_at)
        tables[kind] = drop_corrected(rows) if kind == "attributes" else rows
    return tables


def query_labels(
    connection: "Backend", label: LabelDefinition, tables: Mapping[KindName, ir.Table], cutoffs: Sequence[datetime]
) -> ir.Table:
    """Label the active customers of each cut-off.

    Args:
        connection: DuckDB with the time zone UTC, Ibis's default. Tables of an earlier call are replaced.
        label: The label.
        tables: Source table to its rows, whose data are tables or files and not in memory.
        cutoffs: Times that separate history from outcome. Their outcomes must be known.

    Returns:
        Table with one row per cut-off and active customer: ``customer_id``, ``cutoff``, ``churned`` (bool).
    """
    for name, table in tables.items():
        connection.create_view(name, table.select(list(SOURCE_TABLES[name])), overwrite=True)
    times = pa.table({"cutoff": pa.array(cutoffs, pa.timestamp("us", "UTC"))})
    connection.create_table(CUTOFFS, ibis.memtable(times), overwrite=True)
    return connection.sql(label.sql)
