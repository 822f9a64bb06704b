"""Label of the current code and settings, and the query of any label by DuckDB."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from feature_repo.labels import CUTOFFS, LabelFunction, churn_labels, label_sql
from feature_repo.settings import Settings
from feature_repo.source_tables import SOURCE_TABLES
from holdfast.models.label import LabelDefinition

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def current_label(settings: Settings, build: LabelFunction = churn_labels) -> LabelDefinition:
    """Compile the label of the current code and settings, for new model versions.

    Args:
        settings: Settings with the horizon and the activity window.
        build: Label function.

    Returns:
        The label.
    """
    horizon_days, activity_days = settings.horizon_days, settings.activity_days
    return LabelDefinition(horizon_days, activity_days, label_sql(horizon_days, activity_days, build))


def query_labels(
    connection: "Backend", label: LabelDefinition, transactions: ir.Table, cutoffs: Sequence[datetime]
) -> ir.Table:
    """Label the active customers of each cut-off.

    Args:
        connection: DuckDB with the time zone UTC, Ibis's default. Tables of an earlier call are replaced.
        label: The label.
        transactions: Transactions, whose data are tables or files and not in memory.
        cutoffs: Times that separate history from outcome. Their horizons must have closed.

    Returns:
        Table with one row per cut-off and active customer: ``customer_id``, ``cutoff``, ``churned`` (bool).
    """
    connection.create_view("transactions", transactions.select(list(SOURCE_TABLES["transactions"])), overwrite=True)
    times = pa.table({"cutoff": pa.array(cutoffs, pa.timestamp("us", "UTC"))})
    connection.create_table(CUTOFFS, ibis.memtable(times), overwrite=True)
    return connection.sql(label.sql)
