"""Rows of each kind from the parsed fields of a source."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from holdfast.ingestion.arrow_columns import as_text
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import Constant
from holdfast.ingestion.parsing.columns import RowIssue
from holdfast.ingestion.parsing.subscription_ends import parse_subscription_ends
from holdfast.ingestion.parsing.texts import AttributeCells, parse_attribute_cells
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.row_rules.conditions import find_matching_rows


@dataclass(frozen=True)
class KindRows:
    """Rows of a kind.

    Attributes:
        frame: Columns of the kind, with the positions of the source rows as ascending index.
        issues: Reasons why source rows are bad.
        notes: Sentences for the person who ingests the source.
    """

    frame: pd.DataFrame
    issues: tuple[RowIssue, ...] = ()
    notes: tuple[str, ...] = ()


def build_rows(files: Sequence[SourceFile], values: dict[str, pd.Series], mapping: ColumnMapping) -> KindRows:
    """Build the rows of the mapping's kind.

    Args:
        files: Files that share the mapping.
        values: Parsed values by field, each of shape (rows,).
        mapping: Column mapping.

    Returns:
        The rows.

    Raises:
        IngestError: Ends of subscriptions contradict the format of times.
    """
    if mapping.kind == "attributes":
        return _build_attributes(files, values, mapping)
    if mapping.kind == "events":
        size = len(values["customer_id"])
        number = values.get("value", pd.Series(np.full(size, np.nan)))
        fields = {name: values[name] for name in ("customer_id", "event_timestamp", "kind")}
        return KindRows(pd.DataFrame(fields | {"value": number.astype(np.float64)}))
    return KindRows(_build_transactions(files, values, mapping))


def _build_transactions(
    files: Sequence[SourceFile], values: dict[str, pd.Series], mapping: ColumnMapping
) -> pd.DataFrame:
    amount, quantity = _amount_and_quantity(values, _find_returns(files, mapping), mapping.amount_sign == "negated")
    source = values.get("source")
    return pd.DataFrame(
        {
            "customer_id": values["customer_id"],
            "event_timestamp": values["event_timestamp"],
            "amount": amount,
            "quantity": quantity,
            "source": as_text(pa.nulls(len(amount), pa.string())) if source is None else source,
        }
    )


def _find_returns(files: Sequence[SourceFile], mapping: ColumnMapping) -> np.ndarray:
    if mapping.cancellation is not None:
        return find_matching_rows(files, mapping.cancellation.column, mapping.cancellation)
    return np.full(sum(file.rows.num_rows for file in files), files[0].of_refunds)


def _amount_and_quantity(
    values: dict[str, pd.Series], returns: np.ndarray, negated: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Compute amounts, rounded to 6 decimals so that they do not depend on the file format, and quantities."""
    quantity = values["quantity"].to_numpy(dtype=float) if "quantity" in values else None
    with np.errstate(over="ignore", invalid="ignore"):  # the schema rejects infinite amounts
        if "amount" in values:
            amount = values["amount"].to_numpy(dtype=float)
        else:
            amount = values["quantity"].to_numpy(dtype=float) * values["unit_price"].to_numpy(dtype=float)
        amount = np.where(np.abs(amount) < 1e9, np.round(amount, 6), amount)
        if negated:
            if quantity is not None:  # a quantity with the sign of the amount changes with it
                quantity = np.where(np.sign(quantity) == np.sign(amount), -quantity, quantity)
            amount = -amount
        if quantity is None:  # one unit was bought or returned, by the sign of the amount
            quantity = np.where(amount < 0, -1.0, 1.0)
    return np.where(returns, -np.abs(amount), amount), np.where(returns, -np.abs(quantity), quantity)


def _build_attributes(files: Sequence[SourceFile], values: dict[str, pd.Series], mapping: ColumnMapping) -> KindRows:
    """Build a row per stated attribute of a source row; the rows of one source row follow each other."""
    columns = mapping.columns
    if columns.attributes is not None:
        names = list(columns.attributes)
        cells = [parse_attribute_cells(files, _as_source(source), mapping) for source in columns.attributes.values()]
    else:
        names, cells = [], [parse_attribute_cells(files, str(columns.value), mapping)]
    positions = [np.flatnonzero(cell.is_stated) for cell in cells]
    position = np.concatenate(positions)
    order = np.argsort(position, kind="stable")
    position = position[order]
    frame = pd.DataFrame(
        {
            "customer_id": values["customer_id"].take(position).array,
            "attribute": _list_names(names, positions, values, order, position),
            "value": _take_values(cells, positions, order).array,
            "event_timestamp": values["event_timestamp"].take(position).array,
        },
        index=position,
    )
    ends = parse_subscription_ends(files, frame, mapping)
    return KindRows(ends.frame, ends.issues, (*(note for cell in cells for note in cell.notes), *ends.notes))


def _as_source(source: object) -> str | Constant:
    return source if isinstance(source, Constant) else str(source)


def _list_names(
    names: list[str],
    positions: list[np.ndarray],
    values: dict[str, pd.Series],
    order: np.ndarray,
    position: np.ndarray,
) -> Any:
    if not names:
        return values["attribute"].take(position).array
    numbers = np.repeat(np.arange(len(names)), [len(rows) for rows in positions])[order]
    return as_text(pa.array(names, pa.string()).take(pa.array(numbers))).array


def _take_values(cells: list[AttributeCells], positions: list[np.ndarray], order: np.ndarray) -> pd.Series:
    stated = [cell.values.take(pa.array(rows)) for cell, rows in zip(cells, positions, strict=True)]
    return as_text(pa.chunked_array(stated, pa.string()).combine_chunks().take(pa.array(order)))
