"""Transformations of transactions to feature tables: pure Ibis, compiled to SQL when the definitions are applied.

The names of a builder's parameters are names of tables (``feature_repo.source_tables``) and ``as_of``. A table holds
the rows known at some time (see :func:`known_rows`); ``as_of`` is an Ibis timestamp, not a ``datetime``, because the
compiled SQL serves every time. A builder returns one row per customer with at least one purchase before ``as_of``.
Windows are half open: ``[as_of - days, as_of)``. A purchase is a row with ``amount > 0``; rows below zero are returns.

Results do not depend on the order or partitions in which the engine works, to the last bit: money is summed as
decimals and gaps as whole days, and only the last step is floating point.
"""

from collections.abc import Callable
from datetime import datetime

import ibis
import ibis.expr.types as ir

from feature_repo.source_tables import MONEY


def known_rows(table: ir.Table, as_of: datetime, known_at: datetime) -> ir.Table:
    """Select the rows of a source table before ``as_of`` that had arrived by ``known_at``.

    Args:
        table: All rows, with the columns event_timestamp and ingested_at.
        as_of: Time that the features describe; later events are excluded.
        known_at: Time by which a row must have been ingested.

    Returns:
        The selected rows.
    """
    return table.filter(table.event_timestamp < ibis.literal(as_of), table.ingested_at <= ibis.literal(known_at))


def purchase_history(transactions: ir.Table) -> ir.Table:
    """Build purchase days, amounts, first and last purchase over the customer's whole history.

    Args:
        transactions: Known transactions before ``as_of``.

    Returns:
        Table of the feature view ``customer_purchase_history``.
    """
    bought = transactions.amount > 0
    money = transactions.amount.cast(MONEY)
    totals = transactions.group_by("customer_id").aggregate(
        purchase_days=transactions.event_timestamp.date().nunique(where=bought),
        net=money.sum(),
        gross=money.sum(where=bought),
        first_purchase_us=_epoch_us(transactions.event_timestamp.min(where=bought)),
        last_purchase_us=_epoch_us(transactions.event_timestamp.max(where=bought)),
    )
    totals = totals.filter(totals.purchase_days > 0)
    return totals.select(
        "customer_id",
        "purchase_days",
        total_amount=totals.net.cast("float64"),
        mean_purchase_amount=totals.gross.cast("float64") / totals.purchase_days.cast("float64"),
        first_purchase_us=totals.first_purchase_us,
        last_purchase_us=totals.last_purchase_us,
    )


def recent_activity(transactions: ir.Table, as_of: ir.TimestampScalar) -> ir.Table:
    """Build purchase days and net spend over the last 30, 90 and 180 days, and the 90-day trend.

    Args:
        transactions: Known transactions before ``as_of``.
        as_of: End of the windows.

    Returns:
        Table of the feature view ``customer_recent_activity``.
    """
    t = transactions
    bought = t.amount > 0

    def within(start_days: int, end_days: int = 0) -> ir.BooleanValue:
        start = t.event_timestamp >= as_of - ibis.interval(days=start_days)
        if end_days == 0:  # transactions end before as_of already
            return start
        return start & (t.event_timestamp < as_of - ibis.interval(days=end_days))

    days = {f"purchase_days_{n}d": t.event_timestamp.date().nunique(where=bought & within(n)) for n in (30, 90, 180)}
    money = {
        f"amount_{n}d": t.amount.cast(MONEY).sum(where=within(n)).fill_null(0).cast("float64") for n in (30, 90, 180)
    }
    table = t.group_by("customer_id").aggregate(
        **days,
        **money,
        previous=t.event_timestamp.date().nunique(where=bought & within(180, 90)),
        purchases=bought.sum(),
    )
    table = table.filter(table.purchases > 0)
    return table.select("customer_id", *days, *money, purchase_days_trend_90d=table.purchase_days_90d - table.previous)


def purchase_rhythm(transactions: ir.Table) -> ir.Table:
    """Build statistics of the gaps between a customer's purchase days.

    Args:
        transactions: Known transactions before ``as_of``.

    Returns:
        Table of the feature view ``customer_purchase_rhythm``; null for customers with a single purchase day.
    """
    days = (
        transactions.filter(transactions.amount > 0)
        .select("customer_id", day=lambda t: t.event_timestamp.date())
        .distinct()
    )
    by_customer = ibis.window(group_by="customer_id", order_by="day")
    gaps = days.mutate(gap=days.day.delta(days.day.lag().over(by_customer), unit="day"))
    sums = gaps.group_by("customer_id").aggregate(
        n=gaps.gap.count(),
        total=gaps.gap.sum(),
        squares=(gaps.gap * gaps.gap).sum(),
        longest=gaps.gap.max(),
        latest=gaps.gap.argmax(gaps.day),
    )
    n, total = sums.n.cast("float64"), sums.total.cast("float64")
    repeat = sums.n > 0
    missing = ibis.null("float64")
    return sums.select(
        "customer_id",
        mean_gap_days=ibis.ifelse(repeat, total / n, missing),
        std_gap_days=ibis.ifelse(repeat, (n * sums.squares.cast("float64") - total * total).sqrt() / n, missing),
        max_gap_days=sums.longest.cast("float64"),
        last_gap_days=sums.latest.cast("float64"),
    )


def _epoch_us(timestamp: ir.TimestampScalar) -> ir.IntegerScalar:
    """Convert to microseconds since 1970: Feast's online timestamps have whole seconds only."""
    return timestamp.truncate("s").epoch_seconds() * 1_000_000 + timestamp.microsecond()


# Name of the feature view, which is also the folder of its snapshots, to its builder.
BUILDERS: dict[str, Callable[..., ir.Table]] = {
    "customer_purchase_history": purchase_history,
    "customer_recent_activity": recent_activity,
    "customer_purchase_rhythm": purchase_rhythm,
}
