"""Features of attributes and events: pure Ibis, parts of the transformation of a view.

Each function returns one row per customer in its table. A transformation joins them to the customers with a
purchase::

    def customer_profile(transactions, attributes, events, as_of):
        country = latest_attribute(attributes, "country")
        tickets = event_counts(events, as_of, "ticket", [30, 90])
        return join_to_customers(transactions, country, tickets).fill_null({"ticket_30d": 0, "ticket_90d": 0})

Tables hold the rows before ``as_of`` that had arrived by ``known_at``; of several values of an attribute for one time,
the one that arrived last (:func:`drop_corrected`). Windows are half open: ``[as_of - days, as_of)``.
"""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

_DAY_US = 86_400_000_000


def drop_corrected(attributes: ir.Table) -> ir.Table:
    """Select, of the values of an attribute for one customer and time, the one that arrived last.

    Args:
        attributes: Rows that had arrived by ``known_at``, with the column ingested_at.

    Returns:
        At most one row per customer, attribute and time.
    """
    by_time = ibis.window(group_by=["customer_id", "attribute", "event_timestamp"], order_by=ibis.desc("ingested_at"))
    ranked = attributes.mutate(rank_of_arrival=ibis.row_number().over(by_time))
    return ranked.filter(ranked.rank_of_arrival == 0).drop("rank_of_arrival")


def latest_attribute(attributes: ir.Table, name: str) -> ir.Table:
    """Select the latest value of an attribute.

    Args:
        attributes: Known attributes before ``as_of``.
        name: Name of the attribute.

    Returns:
        Columns customer_id and ``name``, a string; null where the value was erased.
    """
    by_customer = ibis.window(group_by="customer_id", order_by=ibis.desc("event_timestamp"))
    values = attributes.filter(attributes.attribute == name)
    ranked = values.mutate(rank_in_time=ibis.row_number().over(by_customer))
    latest = ranked.filter(ranked.rank_in_time == 0)
    return latest.select("customer_id", **{name: latest.value})


def event_counts(events: ir.Table, as_of: ir.TimestampScalar, kind: str, days: Sequence[int]) -> ir.Table:
    """Count the events of a kind in windows before ``as_of``.

    Args:
        events: Known events before ``as_of``.
        as_of: End of the windows.
        kind: Kind of event.
        days: Length of each window in days.

    Returns:
        Columns customer_id and ``KIND_DAYSd``, whole numbers.
    """
    of_kind = events.filter(events.kind == kind)
    counts = {
        f"{kind}_{length}d": of_kind.count(where=of_kind.event_timestamp >= as_of - ibis.interval(days=length))
        for length in days
    }
    return of_kind.group_by("customer_id").aggregate(**counts)


def days_since_event(events: ir.Table, as_of: ir.TimestampScalar, kind: str) -> ir.Table:
    """Compute the days from a customer's last event of a kind to ``as_of``.

    Args:
        events: Known events before ``as_of``.
        as_of: Time that the features describe.
        kind: Kind of event.

    Returns:
        Columns customer_id and ``days_since_KIND``, a number with a fraction.
    """
    of_kind = events.filter(events.kind == kind)
    last = of_kind.group_by("customer_id").aggregate(last=of_kind.event_timestamp.max())
    days = (epoch_us(as_of) - epoch_us(last["last"])).cast("float64") / float(_DAY_US)
    return last.select("customer_id", **{f"days_since_{kind}": days})


def join_to_customers(transactions: ir.Table, *features: ir.Table) -> ir.Table:
    """Join features to the customers with a purchase, the customers of every view.

    Args:
        transactions: Known transactions before ``as_of``.
        features: Tables with one row per customer.

    Returns:
        One row per customer with a purchase; features are null for a customer that their table lacks.
    """
    customers = transactions.filter(transactions.amount > 0).select("customer_id").distinct()
    for table in features:
        customers = customers.left_join(table, "customer_id").drop("customer_id_right")
    return customers


def epoch_us(timestamp: ir.TimestampValue) -> ir.IntegerValue:
    """Convert a time to microseconds since 1970, exactly.

    Args:
        timestamp: The time.

    Returns:
        Whole number.
    """
    return timestamp.truncate("s").epoch_seconds() * 1_000_000 + timestamp.microsecond()
