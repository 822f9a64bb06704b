"""Subscriptions with an end: the attribute ``subscription_end`` of a customer, and features of it.

A row states, from its time on, when the subscription of the customer ends. A renewal is a later row with a later end, a
cancellation one with an earlier end or an erased value. Ingest stores an end as a time in ISO 8601 (UTC).
"""

import ibis
import ibis.expr.types as ir

from feature_repo.names import SUBSCRIPTION_END
from feature_repo.source_features import epoch_us, join_to_customers
from feature_repo.source_tables import UTC_TIMESTAMP

_DAY_US = 86_400_000_000


def subscription_ends(attributes: ir.Table) -> ir.Table:
    """List the ends that were stated, each with the period in which it was the valid one.

    Args:
        attributes: Known attributes, corrected values dropped.

    Returns:
        Columns customer_id, stated_at, replaced_at (null for the last statement) and subscription_end (null where it
        was erased).
    """
    rows = attributes.filter(attributes.attribute == SUBSCRIPTION_END)
    in_time = ibis.window(group_by="customer_id", order_by="event_timestamp")
    return rows.select(
        "customer_id",
        stated_at=rows.event_timestamp,
        replaced_at=rows.event_timestamp.lead().over(in_time),
        subscription_end=rows.value.try_cast(UTC_TIMESTAMP),
    )


def subscription_features(transactions: ir.Table, attributes: ir.Table) -> ir.Table:
    """Build the end of the subscription, the length of its term and the number of renewals.

    Args:
        transactions: Known transactions before ``as_of``.
        attributes: Known attributes before ``as_of``, corrected values dropped.

    Returns:
        Table of the feature view ``customer_subscription``; end and term are null without a subscription.
    """
    ends = subscription_ends(attributes)
    in_time = ibis.window(group_by="customer_id", order_by="stated_at")
    ends = ends.mutate(renewed=ends.subscription_end > ends.subscription_end.lag().over(in_time))
    renewals = ends.group_by("customer_id").aggregate(renewals=ends.renewed.sum().fill_null(0))
    valid = ends.filter(ends.replaced_at.isnull())
    last = valid.select(
        "customer_id",
        subscription_end_day=epoch_us(valid.subscription_end).cast("float64") / float(_DAY_US),
        subscription_term_days=(epoch_us(valid.subscription_end) - epoch_us(valid.stated_at)).cast("float64")
        / float(_DAY_US),
    )
    return join_to_customers(transactions, last, renewals).fill_null({"renewals": 0})
