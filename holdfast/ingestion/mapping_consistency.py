"""Contradictions between the keys of a mapping."""

from typing import TYPE_CHECKING

from holdfast.ingestion.mapping_columns import AmountSum
from holdfast.ingestion.parsing.timestamp_formats import is_day_first

if TYPE_CHECKING:
    from holdfast.ingestion.column_mapping import ColumnMapping


def require_consistent_keys(mapping: "ColumnMapping") -> None:
    """Reject keys that contradict each other.

    Args:
        mapping: Mapping with valid values of each key.

    Raises:
        ValueError: Two keys contradict each other.
    """
    if mapping.thousands == mapping.decimal:
        raise ValueError(f"decimal and thousands are both {mapping.decimal!r}: give two different separators")
    if mapping.dayfirst is not None and mapping.dayfirst not in {
        is_day_first(text) for text in mapping.timestamp_formats
    }:
        raise ValueError(f"dayfirst: {str(mapping.dayfirst).lower()} contradicts timestamp_format; correct one of them")
    columns, refund, carried = mapping.columns, mapping.refund, mapping.carry_down
    of_lines = [source for source in (columns.quantity, columns.unit_price) if isinstance(source, str)]
    if mapping.one_row_per and of_lines:
        raise ValueError(
            f"one_row_per reads one line of an order, but {of_lines[0]!r} has a value for each line: map amount "
            "without quantity and unit_price, or remove one_row_per"
        )
    amount = columns.amount
    if isinstance(amount, AmountSum) and (mapping.minor_units or (mapping.currency and mapping.currency.rates)):
        prices = [name for name in amount.multiply if name != columns.quantity]
        if len(prices) > 1:
            raise ValueError(
                f"minor_units and currency.rates apply to one factor of {' × '.join(amount.multiply)}: name the column "
                "that is no price under columns.quantity"
            )
    if carried and (both := {*columns.amount_columns, *((refund.amount,) if refund else ())} & set(carried.columns)):
        raise ValueError(
            f"carry_down would give every line the amount {min(both)!r} of its order: use one_row_per for it"
        )
    if refund and refund.amount in columns.amount_columns:
        raise ValueError(f"column {refund.amount!r} is both the amount and the refund")
    for name, condition in mapping.where.items():
        other = mapping.where_not.get(name)
        if other and condition == other:
            raise ValueError(f"where and where_not have the same condition on {name!r}: no row would remain")
    if mapping.cancellation:
        name, marked = mapping.cancellation.column, mapping.cancellation.values or ()
        allowed = mapping.where[name].values if name in mapping.where else None
        if marked and allowed and set(marked).isdisjoint(allowed):
            raise ValueError(
                f"where leaves out every row that cancellation would mark: add {marked[0]!r} to where.{name}, or "
                "remove cancellation"
            )
    files = [join.file for join in mapping.join]
    if len(set(files)) < len(files):
        raise ValueError("join names a file twice")
