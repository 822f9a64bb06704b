"""Labels: functions in pure Ibis that decide which customers are active at a cut-off and which of them churned.

The declaration of a model (``feature_repo/models``) names one of ``LABELS``, or ``churn``: that of the setting
``HOLDFAST_LABEL``. Its SQL is stored with each model version, so that outcomes stay
those of the training after the code has changed. The names of a function's parameters are those of source tables
(``feature_repo.source_tables``), ``cutoffs``, and of settings: ``horizon_days``, ``activity_days`` and ``grace_days``.
A function returns one row per cut-off and active customer: ``customer_id``, ``cutoff`` and ``churned`` (bool), and
for a regression ``spend`` (float64).
"""

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from feature_repo.source_tables import MONEY, SOURCE_TABLES, UTC_TIMESTAMP
from feature_repo.subscriptions import subscription_ends

CUTOFFS = "cutoffs"  # table with the column cutoff

LabelFunction = Callable[..., ir.Table]


def churn_labels(transactions: ir.Table, cutoffs: ir.Table, horizon_days: int, activity_days: int) -> ir.Table:
    """Label the customers with a recent purchase: churned without a purchase in the horizon.

    A customer is active who purchased in ``[cutoff - activity_days, cutoff)``, and has churned without a purchase in
    ``[cutoff, cutoff + horizon_days)``.

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


def renewal_labels(
    transactions: ir.Table, attributes: ir.Table, cutoffs: ir.Table, horizon_days: int, grace_days: int
) -> ir.Table:
    """Label the customers whose subscription ends in the horizon: churned if it is not renewed in time.

    A customer is active whose subscription, as stated before the cut-off, ends in ``(cutoff, cutoff + horizon_days]``,
    and who has purchased before the cut-off: only such customers have features. The customer has churned unless the
    value valid at that end plus ``grace_days`` is a later end. Statements count if they are valid before that time.

    Args:
        transactions: Transactions known at the time of training.
        attributes: Attributes known at the time of training, corrected values dropped.
        cutoffs: Column ``cutoff``: times that separate history from outcome. Horizon and grace must have passed: see
            :func:`closed_cutoffs`.
        horizon_days: Days after the cut-off in which the subscription of an active customer ends.
        grace_days: Days after the end until which a renewal counts.

    Returns:
        Table with one row per cut-off and active customer: ``customer_id``, ``cutoff``, ``churned`` (bool).
    """
    ends = subscription_ends(attributes)
    stated = ends.join(
        cutoffs,
        [
            ends.stated_at < cutoffs.cutoff,
            ends.replaced_at.isnull() | (ends.replaced_at >= cutoffs.cutoff),
            ends.subscription_end > cutoffs.cutoff,
            ends.subscription_end <= cutoffs.cutoff + ibis.interval(days=horizon_days),
        ],
    )
    due = stated.select("customer_id", "cutoff", "subscription_end").mutate(
        decided_at=lambda row: row.subscription_end + ibis.interval(days=grace_days)
    )
    final = ends.select("customer_id", "stated_at", "replaced_at", final_end=ends.subscription_end)
    decided = due.join(
        final,
        [
            due.customer_id == final.customer_id,
            final.stated_at < due.decided_at,
            final.replaced_at.isnull() | (final.replaced_at >= due.decided_at),
        ],
    )
    labels = decided.select(
        "customer_id", "cutoff", churned=~(decided.final_end > decided.subscription_end).fill_null(False)
    )
    purchases = (
        transactions.filter(transactions.amount > 0)
        .group_by("customer_id")
        .aggregate(first_purchase=transactions.event_timestamp.min())
    )
    known = labels.join(
        purchases, [labels.customer_id == purchases.customer_id, purchases.first_purchase < labels.cutoff]
    )
    return known.select("customer_id", "cutoff", "churned")


def spend_labels(transactions: ir.Table, cutoffs: ir.Table, horizon_days: int, activity_days: int) -> ir.Table:
    """Label the customers of :func:`churn_labels` with their spend in the horizon; returns are not subtracted.

    Args:
        transactions: Transactions known at the time of training.
        cutoffs: Column ``cutoff``: times that separate history from outcome. Their horizons must have closed.
        horizon_days: Days after the cut-off whose purchases are summed.
        activity_days: Days before the cut-off with a purchase that make a customer active.

    Returns:
        The rows of :func:`churn_labels` with ``spend`` (float64): exactly 0 for churned customers.
    """
    purchases = transactions.filter(transactions.amount > 0).select("customer_id", "event_timestamp", "amount")
    cutoffs = cutoffs.distinct()  # a repeated cut-off would count the spend twice
    joined = purchases.join(
        cutoffs,
        [
            purchases.event_timestamp >= cutoffs.cutoff - ibis.interval(days=activity_days),
            purchases.event_timestamp < cutoffs.cutoff + ibis.interval(days=horizon_days),
        ],
    )
    after = joined.event_timestamp >= joined.cutoff
    per_customer = joined.group_by("customer_id", "cutoff").aggregate(
        active=(~after).any(),
        churned=~after.any(),
        spend=joined.amount.cast(MONEY).sum(where=after).fill_null(0).cast("float64"),
    )
    return per_customer.filter(per_customer.active).drop("active")


LABELS: Mapping[str, LabelFunction] = {
    "no_purchase": churn_labels,
    "not_renewed": renewal_labels,
    "spend": spend_labels,
}


def label_sql(build: LabelFunction, **days: int) -> str:
    """Compile a label to SQL for DuckDB.

    Args:
        build: Label function.
        days: ``horizon_days``, ``activity_days`` and ``grace_days``; those that are no parameter have no effect.

    Returns:
        Query over source tables and the table ``cutoffs``.

    Raises:
        ValueError: The function has another parameter.
    """
    tables = SOURCE_TABLES | {CUTOFFS: {"cutoff": UTC_TIMESTAMP}}
    arguments = days | {name: ibis.table(columns, name=name) for name, columns in tables.items()}
    names = list(inspect.signature(build).parameters)
    if unknown := [name for name in names if name not in arguments]:
        raise ValueError(
            f"The label {build.__name__} has the parameter {unknown[0]}; it must be one of {', '.join(arguments)}."
        )
    return str(ibis.to_sql(build(**{name: arguments[name] for name in names}), "duckdb"))


def closed_cutoffs(
    first_event: datetime, as_of: datetime, outcome_days: int, min_history_days: int = 30
) -> list[datetime]:
    """List the first days of months whose outcomes are known.

    Args:
        first_event: Time of the first transaction.
        as_of: Time by which the outcomes must be known.
        outcome_days: Days from a cut-off until its outcomes are known.
        min_history_days: Least history before the earliest cut-off, days; the default fills the shortest window.

    Returns:
        Cut-offs, earliest first.
    """
    year, month = first_event.year, first_event.month
    cutoffs: list[datetime] = []
    while (cutoff := datetime(year, month, 1, tzinfo=first_event.tzinfo)) + timedelta(days=outcome_days) <= as_of:
        if cutoff >= first_event + timedelta(days=min_history_days):
            cutoffs.append(cutoff)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return cutoffs
