"""Churn labels, as a pure Ibis expression, and their compilation to SQL.

The SQL is stored with each model version, so that its outcomes stay those of its training after the code has changed.

A customer is active at a cut-off if they purchased in ``[cutoff - activity_days, cutoff)``. An active customer has
churned if they made no purchase in ``[cutoff, cutoff + horizon_days)``.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from feature_repo.source_tables import SOURCE_TABLES, UTC_TIMESTAMP

CUTOFFS = "cutoffs"  # table with the column cutoff

# As churn_labels: transactions, cut-offs, horizon_days, activity_days -> labels.
LabelFunction = Callable[[ir.Table, ir.Table, int, int], ir.Table]


def churn_labels(transactions: ir.Table, cutoffs: ir.Table, horizon_days: int, activity_days: int) -> ir.Table:
    """Label the active customers of each cut-off.

    Args:
        transactions: Transactions known at the time of training.
        cutoffs: Column ``cutoff``: times that separate history from outcome. Their horizons must have closed: see
            :func:`closed_cutoffs`.
        horizon_days: Days after the cut-off without a purchase that make a customer churned.
        activity_days: Days before the cut-off with a purchase that make a customer active.

    Returns:
        Table with one row per cut-off and active customer: ``customer_id``, ``cutoff``, ``churned`` (bool).
    """
    purchases = transactions.filter(transactions.amount > 0).select("customer_id", "event_timestamp")
    joined = purchases.join(
        cutoffs,
        [
            purchases.event_timestamp >= cutoffs.cutoff - ibis.interval(days=activity_days),
            purchases.event_timestamp < cutoffs.cutoff + ibis.interval(days=horizon_days),
        ],
    )
    per_customer = joined.group_by("customer_id", "cutoff").aggregate(
        active=(joined.event_timestamp < joined.cutoff).any(),
        churned=~(joined.event_timestamp >= joined.cutoff).any(),
    )
    return per_customer.filter(per_customer.active).drop("active")


def label_sql(horizon_days: int, activity_days: int, build: LabelFunction = churn_labels) -> str:
    """Compile the label to SQL for DuckDB.

    Args:
        horizon_days: Days after the cut-off without a purchase that make a customer churned.
        activity_days: Days before the cut-off with a purchase that make a customer active.
        build: Label function.

    Returns:
        Query over the tables ``transactions`` and ``cutoffs``.
    """
    tables = {"transactions": SOURCE_TABLES["transactions"], CUTOFFS: {"cutoff": UTC_TIMESTAMP}}
    transactions, cutoffs = (ibis.table(columns, name=name) for name, columns in tables.items())
    return str(ibis.to_sql(build(transactions, cutoffs, horizon_days, activity_days), "duckdb"))


def closed_cutoffs(
    first_event: datetime, as_of: datetime, horizon_days: int, min_history_days: int = 30
) -> list[datetime]:
    """List the first days of months whose horizon has closed.

    Args:
        first_event: Time of the first transaction.
        as_of: Time by which the horizon must have closed.
        horizon_days: Length of the horizon, days.
        min_history_days: Least history before the earliest cut-off, days; the default fills the shortest window.

    Returns:
        Cut-offs, earliest first.
    """
    year, month = first_event.year, first_event.month
    cutoffs: list[datetime] = []
    while (cutoff := datetime(year, month, 1, tzinfo=first_event.tzinfo)) + timedelta(days=horizon_days) <= as_of:
        if cutoff >= first_event + timedelta(days=min_history_days):
            cutoffs.append(cutoff)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return cutoffs
