"""Orders of several lines, of which one line counts: ``one_row_per``."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import column_names
from holdfast.ingestion.parsing.columns import read_text_column
from holdfast.ingestion.reading.source import RowIssue, SourceFile

ZERO = r"^[^1-9]*0(?:[eE][+-]?[0-9]+)?[^0-9]*$"  # in any notation of numbers


def find_orders(files: Sequence[SourceFile], columns: Sequence[str]) -> np.ndarray:
    """Find the order of each row.

    Args:
        files: Files of a source.
        columns: Columns that identify an order.

    Returns:
        Number of each row's order, -1 where a column of it is blank, shape (rows,).
    """
    numbers = np.zeros(sum(file.rows.num_rows for file in files), dtype=np.int64)
    blank = np.zeros(len(numbers), dtype=bool)
    for name in columns:
        codes = pc.dictionary_encode(read_text_column(files, name).text).indices
        blank |= np.asarray(pc.is_null(codes).to_numpy(zero_copy_only=False))
        codes = pc.fill_null(codes, 0).to_numpy(zero_copy_only=False)
        numbers = numbers * (int(codes.max(initial=0)) + 1) + codes
        if len(columns) > 1:
            numbers, _ = pd.factorize(numbers)  # dense, so that a further column does not overflow
    return np.where(blank, -1, numbers)


def find_repeated_lines(files: Sequence[SourceFile], mapping: ColumnMapping) -> tuple[np.ndarray, RowIssue, list[str]]:
    """Find the lines of each order but its first one with an amount.

    Args:
        files: Files that share the mapping.
        mapping: Mapping with ``one_row_per``.

    Returns:
        True for each line that does not count, shape (rows,); the reason for lines that count in orders with
        contradicting lines; and notes.

    Raises:
        IngestError: Most orders have lines with different amounts, customers or times.
    """
    columns = mapping.one_row_per or ()
    orders = find_orders(files, columns)
    amounts = [read_text_column(files, name) for name in mapping.columns.amount_columns]
    blank = np.logical_and.reduce([column.missing for column in amounts]) if amounts else np.zeros(len(orders), bool)
    for file, start in zip(files, np.cumsum([0, *(file.rows.num_rows for file in files)]), strict=False):
        for issue in file.issues:  # rows that go to quarantine anyway stand for no order
            orders[start : start + len(issue.rows)][issue.rows] = -1
    positions = np.arange(len(orders))
    in_order = np.flatnonzero(orders >= 0)
    ranked = in_order[np.lexsort((positions[in_order], blank[in_order], orders[in_order]))]
    first_of_order = np.full(int(orders.max(initial=-1)) + 1, -1, dtype=np.int64)
    first_of_order[orders[ranked[::-1]]] = ranked[::-1]  # the last assignment, of the first line, stays
    first = positions.copy()
    first[in_order] = first_of_order[orders[in_order]]
    repeated = first != positions
    conflicting = np.zeros(len(orders), dtype=bool)
    for field, names in _compared_columns(mapping).items():
        for name in names:
            found = _find_conflicts(files, name, first, repeated, is_refund=field == "refund")
            _require_one_value_per_order(files, mapping, (field, name), first, found, repeated & ~blank)
            conflicting |= found
    contradicted = np.zeros(len(orders), dtype=bool)
    contradicted[first[conflicting]] = True
    listed = " and ".join(map(repr, columns))
    notes = []
    if repeated.any():
        notes.append(f"one_row_per leaves out {repeated.sum():,} lines, whose {listed} is that of an earlier line.")
    return repeated, RowIssue(f"lines of one {' and '.join(columns)} contradict each other", contradicted), notes


def _compared_columns(mapping: ColumnMapping) -> dict[str, tuple[str, ...]]:
    """Return the columns, per field, that have one value in all lines of an order, or blanks."""
    fields = {"amount": mapping.columns.amount_columns} | {
        field: column_names(mapping.columns.by_field[field]) for field in ("customer_id", "event_timestamp")
    }
    return fields | ({"refund": (mapping.refund.amount,)} if mapping.refund else {})


def _find_conflicts(
    files: Sequence[SourceFile], name: str, first: np.ndarray, repeated: np.ndarray, is_refund: bool
) -> np.ndarray:
    """Find the lines that differ from the line that counts; a refund also where that line has none."""
    text = read_text_column(files, name).text
    if is_refund:
        text = pc.if_else(pc.match_substring_regex(text, ZERO), pa.scalar(None, pa.string()), text)
    differs = pc.not_equal(text, text.take(pa.array(first)))
    if is_refund:
        differs = pc.and_(pc.is_valid(text), pc.fill_null(differs, True))
    return repeated & np.asarray(pc.fill_null(differs, False).to_numpy(zero_copy_only=False), dtype=bool)


def _require_one_value_per_order(
    files: Sequence[SourceFile],
    mapping: ColumnMapping,
    compared_column: tuple[str, str],
    first: np.ndarray,
    conflicting: np.ndarray,
    compared: np.ndarray,
) -> None:
    orders = len(np.unique(first[compared]))
    contradicted = len(np.unique(first[conflicting]))
    if orders and contradicted > max(1, orders // 2):
        field, name = compared_column
        pair = np.zeros(len(first), dtype=bool)
        example = int(np.flatnonzero(conflicting)[0])
        pair[[example, first[example]]] = True
        order = " and ".join(map(repr, mapping.one_row_per or ()))
        raise IngestError(
            f"`one_row_per` reads one line of each {order}, but the lines of {contradicted:,} of {orders:,} differ in "
            f"{field}: {read_text_column(files, name).describe_values(pair)}. Map a column that has one value per "
            "order, or remove `one_row_per` from the mapping if every line counts."
        )
