"""Returns in a refund column of the purchase."""

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import read_text_column
from holdfast.ingestion.reading.source import MalformedLines, SourceFile
from holdfast.ingestion.row_rules.conditions import find_matching_rows
from holdfast.ingestion.row_rules.orders import ZERO


def split_refunds(file: SourceFile, mapping: ColumnMapping) -> SourceFile | None:
    """Select the rows with a refund, as a file of returns.

    Args:
        file: File of a source.
        mapping: Mapping of the file, with a refund column.

    Returns:
        File with the rows that have a refund other than 0, but for rows that ``cancellation`` marks as returns already;
        None without refunds.
    """
    if mapping.refund is None:
        return None
    column = read_text_column([file], mapping.refund.amount)
    is_zero = pc.fill_null(pc.match_substring_regex(column.text, ZERO), True)
    selected = ~np.asarray(is_zero.to_numpy(zero_copy_only=False), dtype=bool)
    if mapping.cancellation:
        selected &= ~find_matching_rows([file], mapping.cancellation.column, mapping.cancellation)
    for issue in file.issues:
        selected &= ~issue.rows
    if not selected.any():
        return None
    return replace(file.take(np.flatnonzero(selected)), malformed=MalformedLines(), notes=(), of_refunds=True)
