"""Values of the first line of an order, carried down to its other lines."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from holdfast.ingestion.mapping_rules import CarryDown
from holdfast.ingestion.parsing.columns import read_text_column
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.row_rules.orders import find_orders


def carry_down_values(file: SourceFile, rule: CarryDown) -> SourceFile:
    """Fill blank values by the last value above in the same order.

    Args:
        file: File of a source; orders do not reach beyond the file.
        rule: Columns of the order and columns to fill.

    Returns:
        File with filled columns. A row without an order and a blank above the first value stay blank.
    """
    rows = file.rows
    for name in (name for name in rule.by if name in rule.columns):
        present = ~read_text_column([file], name).missing
        latest = np.maximum.accumulate(np.where(present, np.arange(len(present)), 0))
        rows = rows.set_column(rows.column_names.index(name), name, rows.column(name).take(pa.array(latest)))
    file = replace(file, rows=rows)
    orders = find_orders([file], rule.by)
    by_order = np.argsort(orders, kind="stable")
    sorted_orders = orders[by_order]
    is_first = np.ones(len(orders), dtype=bool)
    is_first[1:] = sorted_orders[1:] != sorted_orders[:-1]
    positions = np.arange(len(orders))
    for name in (name for name in rule.columns if name not in rule.by):
        present = ~read_text_column([file], name).missing[by_order]
        # Position of the last value above, or of the first row of the order.
        latest = np.maximum.accumulate(np.where(present | is_first, positions, 0))
        source = np.empty(len(orders), dtype=np.int64)
        source[by_order] = by_order[latest]
        source = np.where(orders < 0, np.arange(len(orders)), source)
        rows = rows.set_column(rows.column_names.index(name), name, rows.column(name).take(pa.array(source)))
    return replace(file, rows=rows)
