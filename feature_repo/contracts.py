"""Contracts with an end: the attribute ``contract_end`` of a customer, and features of it.

A row states, from its time on, when the contract of the customer ends. A renewal is a later row with a later end, a
cancellation one with an earlier end or an erased value. Ingest stores an end as a time in ISO 8601 (UTC).
"""

import ibis
import ibis.expr.types as ir

from feature_repo.names import CONTRACT_END
from feature_repo.source_tables import UTC_TIMESTAMP


def contract_ends(attributes: ir.Table) -> ir.Table:
    """List the ends that were stated, each with the period in which it was the valid one.

    Args:
        attributes: Known attributes, corrected values dropped.

    Returns:
        Columns customer_id, stated_at, replaced_at (null for the last statement) and contract_end (null where it was
        erased).
    """
    rows = attributes.filter(attributes.attribute == CONTRACT_END)
    in_time = ibis.window(group_by="customer_id", order_by="event_timestamp")
    return rows.select(
        "customer_id",
        stated_at=rows.event_timestamp,
        replaced_at=rows.event_timestamp.lead().over(in_time),
        contract_end=rows.value.try_cast(UTC_TIMESTAMP),
    )
