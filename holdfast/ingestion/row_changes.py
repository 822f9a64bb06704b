"""Changes that make another row of a row: what a restated export differs in, and which rows are comparable."""

from dataclasses import dataclass

from holdfast.ingestion.kinds import Kind, KindName

_SECOND = 1_000_000  # microseconds
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86400 * _SECOND
# What a clock may leave out: fractions of a second, seconds, minutes or the time of day.
_IS_CUT = "f.us % {unit} = 0 OR o.us % {unit} = 0"
_CUT = " OR ".join(
    f"(f.us // {unit} = o.us // {unit} AND ({_IS_CUT.format(unit=unit)}))" for unit in (_SECOND, _MINUTE, _HOUR, _DAY)
)
_OTHER_ZONE = f"""(
    abs(f.us // {_MINUTE} - o.us // {_MINUTE}) <= 14 * 60
    AND (f.us // {_MINUTE} - o.us // {_MINUTE}) % 15 = 0
    AND (f.us % {_MINUTE} = o.us % {_MINUTE} OR {_IS_CUT.format(unit=_MINUTE)}
         OR (f.us % {_MINUTE} // {_SECOND} = o.us % {_MINUTE} // {_SECOND} AND ({_IS_CUT.format(unit=_SECOND)})))
)"""
_DAY_AND_MONTH_SWAPPED = """(
    f.event_timestamp::TIMESTAMP::TIME = o.event_timestamp::TIMESTAMP::TIME
    AND year(f.event_timestamp) = year(o.event_timestamp)
    AND month(f.event_timestamp) = day(o.event_timestamp) AND day(f.event_timestamp) = month(o.event_timestamp)
)"""
_SAME_TIME = f"({_OTHER_ZONE} OR {_CUT} OR {_DAY_AND_MONTH_SWAPPED})".replace("f.us", "epoch_us(f.event_timestamp)")
_SAME_TIME = _SAME_TIME.replace("o.us", "epoch_us(o.event_timestamp)")
# The time of payment instead of that of the order, or the reverse: less than a week, in which orders repeat.
_LATER, _EARLIER = (
    f"epoch_us({late}.event_timestamp) - epoch_us({early}.event_timestamp) BETWEEN 0 AND {6 * _DAY}"
    for late, early in ("fo", "of")
)


@dataclass(frozen=True)
class Change:
    """Change that makes another row of a row.

    Attributes:
        columns: Columns that differ; all others are equal. Only rows count whose equal columns occur once among the new
            rows and once among the orphans: a price that many customers pay identifies none of them.
        condition: Condition on a new row ``f`` and an orphan ``o``.
        name: Name of the change in messages; the columns when left out.
        of_orders: Compare the sums and numbers of rows (``lines``) per customer and day instead of rows.
        distinct: Expression whose different values are the evidence; every pair when left out.
        least_distinct: Share of the pairs that have different values.
        least_evidence: Least number of pairs, or of different values: fewer may be chance, such as customers who bought
            twice at a time of which only the day is known.
        can_refuse: False where the evidence suffices for a note only.
    """

    columns: tuple[str, ...]
    condition: str
    name: str = ""
    of_orders: bool = False
    distinct: str = ""
    least_distinct: float = 0.0
    least_evidence: int = 3
    can_refuse: bool = True


OTHER_CUSTOMER = Change(("customer_id",), "f.customer_id <> o.customer_id", distinct="stored_event_timestamp")
CHANGES: dict[KindName, tuple[Change, ...]] = {
    "transactions": (
        Change(("amount",), "f.amount <> o.amount"),
        Change(("amount", "quantity"), "f.amount <> o.amount AND f.quantity <> o.quantity"),
        Change(("quantity",), "f.quantity <> o.quantity"),
        Change(("event_timestamp",), _SAME_TIME),
        Change(("event_timestamp",), _LATER, distinct="stored_amount", least_distinct=0.5, least_evidence=8),
        Change(("event_timestamp",), _EARLIER, distinct="stored_amount", least_distinct=0.5, least_evidence=8),
        OTHER_CUSTOMER,
        Change(("source",), "f.source IS DISTINCT FROM o.source"),
        # The lines of orders instead of orders, or the reverse.
        Change(("amount", "quantity"), "f.lines <> o.lines AND round(f.amount - o.amount, 2) = 0", "lines", True),
        Change(
            ("amount", "quantity"),
            "f.lines <> o.lines AND round(f.amount - o.amount, 2) <> 0",
            "lines and their amounts",
            of_orders=True,
            distinct="date_trunc('day', stored_event_timestamp)",
            can_refuse=False,
        ),
    ),
    "events": (
        Change(("value",), "f.value IS DISTINCT FROM o.value"),
        Change(("event_timestamp",), _SAME_TIME),
        OTHER_CUSTOMER,
        # Not the kind: a mail is sent and delivered in one second.
    ),
    # A value that is stated again with another time or customer is in no sum twice.
    "attributes": (Change(("value",), "f.value IS DISTINCT FROM o.value"),),
}


def list_equal_columns(kind: Kind, change: Change) -> list[str]:
    """List the columns of comparable rows that a change leaves equal.

    Args:
        kind: Kind of source.
        change: The change.

    Returns:
        Names.
    """
    equal = [name for name in kind.key if name not in change.columns]
    return [name if name != "event_timestamp" else "day" for name in equal] if change.of_orders else equal


def select_comparable_rows(kind: Kind, change: Change, table: str, of: str = "") -> str:
    """Build the query of the rows that a change compares: those whose equal columns occur once, or orders.

    Args:
        kind: Kind of source.
        change: The change.
        table: Table of rows.
        of: Column that keeps the rows of several sources apart.

    Returns:
        SQL; orders have the columns ``lines`` and ``day``.
    """
    equal = [*([of] if of else []), *list_equal_columns(kind, change)]
    if not change.of_orders:
        values = ", ".join(f"any_value({name}) AS {name}" for name in change.columns)
        return f"SELECT {', '.join(equal)}, {values} FROM {table} GROUP BY {', '.join(equal)} HAVING count(*) = 1"
    sums = ", ".join(f"sum({name}) AS {name}" for name in change.columns)
    return (
        f"SELECT {', '.join(equal)}, min(event_timestamp) AS event_timestamp, {sums}, count(*) AS lines "
        f"FROM (SELECT *, date_trunc('day', event_timestamp) AS day FROM {table}) GROUP BY {', '.join(equal)}"
    )
