"""What "churned" means, as a pure Ibis expression.

A customer who bought in the ``activity_days`` before a cut-off churned when no purchase follows within
``horizon_days``: an event in ``[cutoff - activity_days, cutoff)`` and none in
``[cutoff, cutoff + horizon_days)``.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa


def churn_labels(
    transactions: ir.Table, cutoffs: Sequence[datetime], horizon_days: int, activity_days: int
) -> ir.Table:
    """One row per cut-off and customer active before it: ``customer_id``, ``cutoff``, ``churned`` (bool).

    ``transactions`` are those known at the time of training. Whether a horizon has closed is the caller's
    question: see :func:`closed_cutoffs`.
    """
    purchases = transactions.filter(transactions.amount > 0).select("customer_id", "event_timestamp")
    times = ibis.memtable(pa.table({"cutoff": pa.array(cutoffs, pa.timestamp("us", "UTC"))}))
    seen = purchases.join(
        times,
        [
            purchases.event_timestamp >= times.cutoff - ibis.interval(days=activity_days),
            purchases.event_timestamp < times.cutoff + ibis.interval(days=horizon_days),
        ],
    )
    per_customer = seen.group_by("customer_id", "cutoff").aggregate(
        active=(seen.event_timestamp < seen.cutoff).any(),
        churned=~(seen.event_timestamp >= seen.cutoff).any(),
    )
    return per_customer.filter(per_customer.active).drop("active")


def closed_cutoffs(
    first_event: datetime, as_of: datetime, horizon_days: int, min_history_days: int = 30
) -> list[datetime]:
    """The first of each month whose horizon has closed by ``as_of``.

    The earliest leaves ``min_history_days`` of history before it, so that the shortest window is full.
    """
    year, month = first_event.year, first_event.month
    cutoffs: list[datetime] = []
    while (cutoff := datetime(year, month, 1, tzinfo=first_event.tzinfo)) + timedelta(days=horizon_days) <= as_of:
        if cutoff >= first_event + timedelta(days=min_history_days):
            cutoffs.append(cutoff)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return cutoffs
